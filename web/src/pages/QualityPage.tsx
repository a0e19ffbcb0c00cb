import { NativeSelect, SegmentedControl } from "@mantine/core";
import { useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { useFeedback, useQualityWindows } from "../api/queries";
import type { Feedback, Interval, QualityPageView } from "../api/types";
import { type Line, LineChart } from "../charts/LineChart";
import { count, day, duration, metric, number, percent, value } from "../format";
import { DeploymentNav } from "../parts/DeploymentNav";
import { Loaded } from "../parts/Loaded";
import { StateMark } from "../parts/State";
import { Grid, Section, When } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";
import "../parts/deliveries.css";

type History = NonNullable<QualityPageView["history"]>;
type Window = History["windows"][number];

const COUNTS = ["6", "12", "24"];

/** How good the answers were, stretch by stretch: realised where labels are, estimated where they are not; and what people said of them. */
export default function QualityPage() {
  const { deploymentName = "" } = useParams();
  const [windows, setWindows] = useState("12");
  const quality = useQualityWindows(deploymentName, Number(windows));
  return (
    <Page title={deploymentName} action={<SegmentedControl size="xs" aria-label="How many windows" data={COUNTS.map((each) => ({ value: each, label: `${each} windows` }))} value={windows} onChange={setWindows} />}>
      <DeploymentNav name={deploymentName} />
      <Loaded of={quality}>{(data) => <Whole of={data} />}</Loaded>
      <Words name={deploymentName} />
    </Page>
  );
}

function Whole({ of }: { of: QualityPageView }) {
  if (of.history === null) return <Empty>{of.note === "" ? "Nothing has been answered yet." : `${of.note}.`}</Empty>;
  return (
    <div className="stack">
      <Windows history={of.history} of={of} />
      <Arrival of={of.history.arrival} />
      <Records of={of.history} />
    </div>
  );
}

const metricsOf = (history: History): string[] => [...new Set(history.windows.flatMap((each) => [...Object.keys(each.realised), ...Object.keys(each.estimate?.metrics ?? {})]))];

function Windows({ history, of }: { history: History; of: QualityPageView }) {
  const names = useMemo(() => metricsOf(history), [history]);
  const [asked, setAsked] = useState("");
  const name = names.includes(asked) ? asked : (names[0] ?? "");
  const x = useMemo(() => history.windows.map((each) => Date.parse(each.since) / 1000), [history]);
  const lines = useMemo((): Line[] => {
    const pick = (each: Window, kind: "realised" | "estimated"): Interval | undefined => (kind === "realised" ? each.realised[name] : each.estimate?.metrics[name]);
    const line = (kind: "realised" | "estimated", more: Partial<Line>): Line => ({
      label: kind,
      values: history.windows.map((each) => pick(each, kind)?.value ?? null),
      band: { low: history.windows.map((each) => pick(each, kind)?.low ?? null), high: history.windows.map((each) => pick(each, kind)?.high ?? null) },
      ...more,
    });
    return [line("realised", { hue: 1, width: 2.25, marker: "circle" }), line("estimated", { hue: 2, dash: [6, 4], marker: "diamond" })];
  }, [history, name]);
  if (name === "") return <p className="muted">No metric could be computed in any window.</p>;
  return (
    <Section title="Quality by window" aside={names.length < 2 ? undefined : <NativeSelect size="xs" aria-label="Metric" data={names.map((each) => ({ value: each, label: metric(each) }))} value={name} onChange={(event) => setAsked(event.currentTarget.value)} />}>
      <div className="card">
        <LineChart title={`${metric(name)} by window, realised and estimated, with intervals. The table holds the same numbers.`} x={x} lines={lines} time height={260} />
        <ul className="legend" aria-label="Legend">
          {lines.map((line) => (
            <li key={line.label}>
              <svg width={28} height={8} aria-hidden="true">
                <line x1={0} x2={28} y1={4} y2={4} stroke={`var(--data-${line.hue})`} strokeWidth={line.width ?? 1.75} strokeDasharray={line.dash?.join(" ")} />
              </svg>
              {line.label}, with its interval
            </li>
          ))}
        </ul>
        <p className="muted small">
          Version {of.number}, scored on <code>{of.output}</code> as a {history.task} task with the labels known on {day(of.as_of)}. A point stands where its window begins; an estimate is what was believed when the window ended. {of.note}
        </p>
      </div>
      <div className="below">
        <Table of={history.windows} name={name} />
      </div>
    </Section>
  );
}

const SOURCES: Record<Window["source"], React.ReactNode> = {
  realised: <StateMark state="ok" word="realised" />,
  estimated: <StateMark state="busy" word="estimated" />,
  none: <StateMark state="empty" word="neither" />,
};

function Table({ of, name }: { of: Window[]; name: string }) {
  return (
    <Grid label={`${metric(name)} by window`} dense>
      <thead>
        <tr>
          <th scope="col">Window</th>
          <th scope="col" className="num">
            Answers
          </th>
          <th scope="col" className="num">
            Labelled
          </th>
          <th scope="col" className="num">
            Realised
          </th>
          <th scope="col" className="num">
            Estimated
          </th>
          <th scope="col">Believe</th>
          <th scope="col">Note</th>
        </tr>
      </thead>
      <tbody>
        {of.map((each) => (
          <tr key={each.until}>
            <th scope="row">
              <span className="one-line">
                {day(each.since)}, {day(each.until)}
              </span>
            </th>
            <td className="num">{count(each.answers)}</td>
            <td className="num">{percent(each.coverage)}</td>
            <td className="num">
              <Within of={each.realised[name]} />
            </td>
            <td className="num">
              <Within of={each.estimate?.metrics[name]} />
            </td>
            <td>{SOURCES[each.source]}</td>
            <td className="evidence">{[each.missing[name], each.note].filter((word) => word !== undefined && word !== "").join("; ")}</td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

function Within({ of }: { of: Interval | undefined }) {
  if (of === undefined) return <span className="muted">n/a</span>;
  return (
    <>
      {number(of.value)}{" "}
      <span className="muted small">
        {number(of.low)} to {number(of.high)}
      </span>
    </>
  );
}

function Arrival({ of }: { of: History["arrival"] }) {
  const delays = Object.entries(of.delay_s);
  return (
    <Section title="How labels come">
      <dl className="figures">
        <div>
          <dt>answers with a label by now</dt>
          <dd>
            {percent(of.coverage)} <span className="muted small">of {count(of.answers)}</span>
          </dd>
        </div>
        {delays.map(([share, seconds]) => (
          <div key={share}>
            <dt>{percent(Number(share))} of labels come within</dt>
            <dd>{duration(seconds)}</dd>
          </div>
        ))}
        {of.final === null ? null : (
          <div>
            <dt>answers that get one in the end</dt>
            <dd>
              {percent(of.final.value)}{" "}
              <span className="muted small">
                {percent(of.final.low)} to {percent(of.final.high)}
              </span>
            </dd>
          </div>
        )}
        {of.early === 0 ? null : (
          <div>
            <dt>labels older than their answer</dt>
            <dd>
              <StateMark state="warn" word={count(of.early)} />
            </dd>
          </div>
        )}
      </dl>
    </Section>
  );
}

/** Whether estimates turned out right: shown beside every estimate's assumption. */
function Records({ of }: { of: History }) {
  const assumption = of.windows.map((each) => each.estimate?.assumption ?? "").find((word) => word !== "") ?? "";
  if (of.record.length === 0 && assumption === "") return null;
  return (
    <Section title="How estimates turned out">
      {of.record.length === 0 ? (
        <p className="muted">No estimate can be compared with what came true yet.</p>
      ) : (
        <Grid label="How estimates turned out" dense>
          <thead>
            <tr>
              <th scope="col">Metric</th>
              <th scope="col" className="num">
                Windows compared
              </th>
              <th scope="col" className="num">
                Inside their interval
              </th>
              <th scope="col" className="num">
                Missed by
              </th>
              <th scope="col" className="num">
                As in the window before misses by
              </th>
            </tr>
          </thead>
          <tbody>
            {of.record.map((each) => (
              <tr key={each.metric}>
                <th scope="row">{metric(each.metric)}</th>
                <td className="num">{count(each.windows)}</td>
                <td className="num">
                  {count(each.inside)} <span className="muted small">of {percent(each.level)} promised</span>
                </td>
                <td className="num">{number(each.error)}</td>
                <td className="num">{number(each.naive)}</td>
              </tr>
            ))}
          </tbody>
        </Grid>
      )}
      {assumption === "" ? null : <p className="muted small">Every estimate {assumption}.</p>}
    </Section>
  );
}

function Words({ name }: { name: string }) {
  const feedback = useFeedback(name);
  return (
    <Section title="What people said" aside={feedback.data === undefined ? undefined : <span className="muted">{count(feedback.data.total)}</span>}>
      <Loaded of={feedback}>
        {(data) =>
          data.total === 0 ? (
            <Empty command="noria feedback PREDICTION --good">Nobody has said anything of an answer yet. It is kept beside the labels, never among them.</Empty>
          ) : (
            <>
              <dl className="figures">
                <div>
                  <dt>good</dt>
                  <dd>{count(data.good)}</dd>
                </div>
                <div>
                  <dt>bad</dt>
                  <dd>{count(data.bad)}</dd>
                </div>
                <div>
                  <dt>other words</dt>
                  <dd>{count(data.total - data.good - data.bad)}</dd>
                </div>
              </dl>
              <div className="below">
                <Said of={data.feedback} />
              </div>
            </>
          )
        }
      </Loaded>
    </Section>
  );
}

function Said({ of }: { of: Feedback[] }) {
  return (
    <Grid label="What people said" dense>
      <thead>
        <tr>
          <th scope="col">Of</th>
          <th scope="col">Said</th>
          <th scope="col">Should have been</th>
          <th scope="col">In words</th>
          <th scope="col">Who</th>
          <th scope="col">When</th>
        </tr>
      </thead>
      <tbody>
        {of.map((word) => (
          <tr key={`${word.prediction_id} ${word.by} ${word.at}`}>
            <th scope="row">
              <Link to={`/why/${encodeURIComponent(word.prediction_id)}`}>
                <code className="digest">{word.prediction_id}</code>
              </Link>
            </th>
            <td>{word.good === null ? <span className="muted">neither</span> : <StateMark state={word.good ? "ok" : "warn"} word={word.good ? "good" : "bad"} />}</td>
            <td>{word.value === null ? <span className="muted">not said</span> : value(word.value)}</td>
            <td className="evidence">{word.comment}</td>
            <td>{word.by === "" ? <span className="muted">somebody</span> : word.by}</td>
            <td>
              <When at={word.at} />
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}
