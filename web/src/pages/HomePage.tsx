import { Link } from "react-router";
import type { Need, Station, StatusView } from "../api/types";
import { useStatus } from "../api/queries";
import { ArmChart } from "../charts/ArmChart";
import { instant } from "../format";
import { Events } from "../parts/Events";
import { Loaded } from "../parts/Loaded";
import { StateMark } from "../parts/State";
import { Command, Section, When } from "../parts/Texts";
import { Page } from "../shell/Page";
import "./home.css";

const TITLES: Record<Station["name"], string> = { data: "Data", train: "Train", gate: "Gate", deploy: "Deploy", monitor: "Monitor", retrain: "Retrain" };

/** The loop at a glance: six stations, what needs a person, what changed. */
export default function HomePage() {
  const status = useStatus();
  return (
    <Page title={status.data === undefined ? "Home" : status.data.project} action={status.data === undefined ? undefined : <Turns of={status.data} />}>
      <Loaded of={status}>{(data) => <Loop data={data} />}</Loaded>
    </Page>
  );
}

function Loop({ data }: { data: StatusView }) {
  return (
    <div className="stack">
      <ol className="wheel" aria-label="The loop">
        {data.stations.map((station) => (
          <StationCard key={station.name} station={station} to={pageOf(station.name, data.deployments)} />
        ))}
      </ol>
      {data.progress === null ? null : (
        <Section title="The demo is running">
          <div className="card">
            <p className="progress-step">
              <StateMark state="busy" word={data.progress.step} />
              {data.progress.simulated_until === null ? null : <span className="muted">replayed until {instant(data.progress.simulated_until)}</span>}
            </p>
            {data.progress.months.length === 0 ? <p className="muted">The first month of results is on its way.</p> : <ArmChart months={data.progress.months} events={data.what_changed} />}
          </div>
        </Section>
      )}
      <div className="home-columns">
        <Section title="Needs you" aside={data.needs_you.length > 0 ? <span className="muted">{data.needs_you.length}</span> : undefined}>
          {data.needs_you.length === 0 ? <p className="calm">Nothing waits for a person.</p> : <Needs of={data.needs_you} />}
        </Section>
        <Section title="What changed" aside={data.entries === 0 ? undefined : <Link to="/ledger">all {data.entries} entries</Link>}>
          <Events events={data.what_changed} empty="Nothing has happened yet." />
        </Section>
      </div>
    </div>
  );
}

function Turns({ of }: { of: StatusView }) {
  const times = of.turns === 1 ? "once" : `${of.turns} times`;
  return <span className="turns">{of.turns === 0 ? "The loop has not closed yet" : `The loop has closed ${times}`}</span>;
}

function StationCard({ station, to }: { station: Station; to: string | undefined }) {
  const title = TITLES[station.name];
  return (
    <li className={`station station-${station.name} station-is-${station.state}`}>
      <div className="station-head">
        <h2>{to === undefined ? title : <Link to={to}>{title}</Link>}</h2>
        <StateMark state={station.state} />
      </div>
      <p className="station-headline">{station.headline}</p>
      <p className="station-detail" title={station.detail}>
        {station.detail}
      </p>
      <p className="station-foot">{station.state === "empty" ? <Command>{station.command}</Command> : <When at={station.at} />}</p>
      <svg className="station-arrow" width={16} height={16} viewBox="0 0 16 16" aria-hidden="true">
        <path d="M2 8h11M9 3.5L13.5 8 9 12.5" fill="none" stroke="currentColor" strokeWidth={1.75} strokeLinecap="round" strokeLinejoin="round" />
      </svg>
    </li>
  );
}

function Needs({ of }: { of: Need[] }) {
  return (
    <ul className="needs">
      {of.map((need) => (
        <li key={`${need.summary} ${need.since}`} className={need.severity === "page" ? "need need-page" : "need"}>
          <p className="need-head">
            <StateMark state={need.severity === "page" ? "bad" : "warn"} word={need.severity} />
            <When at={need.since} />
          </p>
          <p>{need.deployment === "" ? need.summary : <Link to={`/deployments/${encodeURIComponent(need.deployment)}`}>{need.summary}</Link>}</p>
          {need.command === "" ? null : <Command>{need.command}</Command>}
        </li>
      ))}
    </ul>
  );
}

function pageOf(station: Station["name"], deployments: string[]): string | undefined {
  const deployment = deployments.length === 1 ? `/deployments/${encodeURIComponent(deployments[0] ?? "")}` : "/deployments";
  const pages: Record<Station["name"], string | undefined> = { data: undefined, train: "/runs", gate: "/models", deploy: deployment, monitor: deployment, retrain: deployment };
  return pages[station];
}
