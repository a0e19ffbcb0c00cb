import { useState } from "react";
import { Button } from "@mantine/core";
import { Link, useParams } from "react-router";
import type { Alert, Comparison, DeploymentStanding, DeploymentView, EventView, QualityView } from "../api/types";
import { useDeliveries, useDelivery, useDeployment, usePredictions, useQuality, useStanding, useTriggers } from "../api/queries";
import { ArmChart, YearTable } from "../charts/ArmChart";
import { count, instant, latency, number, value } from "../format";
import { Acts, Approve } from "../parts/Acts";
import { AlertCard } from "../parts/Alerts";
import { DeliveryEvidence, DeliveryFacts, DeliveryList, deliveryPath } from "../parts/Deliveries";
import { DeploymentNav } from "../parts/DeploymentNav";
import { Events } from "../parts/Events";
import { Loaded } from "../parts/Loaded";
import { Policy } from "../parts/Policy";
import { deploymentPath, versionPath } from "../parts/RunParts";
import { StateMark } from "../parts/State";
import { Grid, Section, When } from "../parts/Texts";
import { Traffic } from "../parts/Traffic";
import { Triggers } from "../parts/Triggers";
import { Page } from "../shell/Page";
import "./deployments.css";

/** One deployment: what answers, how well, and everything the loop did to it. */
export default function DeploymentPage() {
  const { deploymentName = "" } = useParams();
  const deployment = useDeployment(deploymentName);
  return (
    <Page title={deploymentName} action={deployment.data === undefined ? undefined : <State of={deployment.data} />}>
      <DeploymentNav name={deploymentName} />
      <Loaded of={deployment}>{(data) => <Whole deployment={data} />}</Loaded>
    </Page>
  );
}

function State({ of }: { of: DeploymentView }) {
  const open = of.alerts.filter((alert) => alert.state !== "resolved").length;
  if (of.variants.length === 0) return <StateMark state="bad" word="nobody answers" />;
  if (open > 0) return <StateMark state="warn" word={`${open} open alert${open === 1 ? "" : "s"}`} />;
  if (of.rollout?.outcome === "running") return <StateMark state="busy" word="a rollout is under way" />;
  return <StateMark state="ok" word="no open alert" />;
}

function Whole({ deployment }: { deployment: DeploymentView }) {
  const standing = useStanding(deployment.name);
  const triggers = useTriggers(deployment.name);
  const running = standing.data?.running ?? null;
  return (
    <div className="stack">
      {standing.data === undefined ? null : <Notices of={standing.data} />}
      <Section title="Traffic">
        <div className="card">
          <Traffic variants={deployment.variants} />
          <p className="muted small">
            model <Link to={`/models/${encodeURIComponent(deployment.model)}`}>{deployment.model}</Link>, generation {deployment.generation}, {sticky(deployment.sticky_by)}, changed <When at={deployment.updated_at} />
          </p>
          {standing.data === undefined ? null : <Acts of={standing.data} />}
        </div>
      </Section>
      {running === null ? null : <Running id={running.id} />}
      {deployment.comparison === null ? null : <Year comparison={deployment.comparison} events={deployment.decisions} />}
      <Section title="Promotions and roll-backs">
        <Delivered name={deployment.name} />
      </Section>
      <Section title="Retraining policy" aside={standing.data === undefined ? undefined : <span className="muted">as of {instant(standing.data.policy.as_of)}</span>}>
        <Loaded of={standing}>{(data) => <Policy of={data.policy} />}</Loaded>
      </Section>
      <Section title="Triggers">
        <Loaded of={triggers}>{(data) => <Triggers of={data} />}</Loaded>
      </Section>
      <Section title="Alerts" aside={<Link to={`${deploymentPath(deployment.name)}/watch`}>how it is watched</Link>}>
        <Alerts of={deployment.alerts} />
      </Section>
      <Decisions of={deployment.decisions} />
      <Realised name={deployment.name} />
      <Newest name={deployment.name} />
    </div>
  );
}

/** How callers keep to a variant, in words. */
function sticky(by: string): string {
  const [kind, ...rest] = by.split(":");
  if (by === "request") return "each request is drawn anew";
  return kind === "header" ? `callers stay by the header ${rest.join(":")}` : `callers stay by the input ${rest.join(":")}`;
}

/** What a person must know first, each with what can be done about it. */
function Notices({ of }: { of: DeploymentStanding }) {
  const { stopped } = of.deployment;
  return (
    <>
      {stopped === null ? null : (
        <div className="notice notice-bad">
          <p>
            <StateMark state="bad" word="stopped" /> by {stopped.actor}, <When at={stopped.at} />: {stopped.reason}. {stopped.number === null ? "Nobody answers." : `Version ${stopped.number} answers alone.`} The loop leaves it alone.
          </p>
        </div>
      )}
      {of.troubles.map((each) => (
        <div key={`${each.worker} ${each.variant}`} className="notice notice-bad">
          <p>
            <StateMark state="bad" word="cannot be served" /> the {each.variant} (version {each.number}), says worker {each.worker}, <When at={each.at} />: {each.error}
            {each.variant === "champion" ? "" : " The champion answers for it meanwhile."}
          </p>
        </div>
      ))}
      {of.waiting.map((each) => (
        <div key={each.event} className="notice">
          <p>
            <StateMark state="warn" word="waits for you" />{" "}
            <Link to={versionPath(each.model, each.number)}>
              version {each.number} ({each.version})
            </Link>{" "}
            since <When at={each.since} />, {each.gates}
          </p>
          <Approve of={each} />
        </div>
      ))}
    </>
  );
}

/** The rollout under way, with its evidence as of the newest look. */
function Running({ id }: { id: string }) {
  const story = useDelivery(id);
  return (
    <Section title="Being tried" aside={story.data === undefined ? undefined : <Link to={deliveryPath(story.data.delivery)}>the whole story</Link>}>
      <Loaded of={story}>
        {(data) => (
          <div className="stack">
            <div className="card">
              <p className="delivery-headline">{data.delivery.headline}</p>
              <p className="delivery-reason">{data.delivery.reason}</p>
              <DeliveryFacts of={data.delivery} />
            </div>
            <DeliveryEvidence story={data} brief />
          </div>
        )}
      </Loaded>
    </Section>
  );
}

const FEW = 6;

function Delivered({ name }: { name: string }) {
  const [all, setAll] = useState(false);
  const found = useDeliveries(name);
  return (
    <Loaded of={found}>
      {(data) => (
        <>
          <DeliveryList of={all ? data : data.slice(0, FEW)} />
          {data.length > FEW ? (
            <Button mt={8} size="xs" variant="default" onClick={() => setAll(!all)}>
              {all ? `Show the newest ${FEW}` : `Show all ${data.length}`}
            </Button>
          ) : null}
        </>
      )}
    </Loaded>
  );
}

const COUNTS: Record<string, string> = { retrainings: "retrainings", promotions: "promotions", refusals: "refused by gates", rollbacks: "rolled back", alerts: "alerts" };

function Year({ comparison, events }: { comparison: Comparison; events: EventView[] }) {
  return (
    <Section
      title="The year, four ways"
      aside={comparison.example_prediction === "" ? undefined : <Link to={`/why/${encodeURIComponent(comparison.example_prediction)}`}>why one of its answers was given</Link>}
    >
      <div className="year">
        <YearTable year={comparison.year} retrainings={comparison.retrainings} />
        <div className="card">
          <ArmChart months={comparison.months} events={events} />
          {Object.keys(comparison.counts).length === 0 ? null : (
            <dl className="figures totals">
              {Object.entries(comparison.counts).map(([name, given]) => (
                <div key={name}>
                  <dt>{COUNTS[name] ?? name}</dt>
                  <dd>{count(given)}</dd>
                </div>
              ))}
            </dl>
          )}
        </div>
      </div>
    </Section>
  );
}

/** Quality of the answers that were really given. Asked for by hand when the log may be long: it is read whole. */
function Realised({ name }: { name: string }) {
  const quality = useQuality(name);
  return (
    <Section title="Realised quality by month">
      <Loaded of={quality}>{(data) => <Months of={data} />}</Loaded>
    </Section>
  );
}

function Months({ of }: { of: QualityView }) {
  if (of.months.length === 0) return <p className="muted">{of.note === "" ? "Nothing has been predicted yet." : `${of.note}.`}</p>;
  return (
    <>
      <Grid label="Realised quality by month" dense>
        <thead>
          <tr>
            <th scope="col">Month</th>
            <th scope="col" className="num">
              Log loss
            </th>
            <th scope="col" className="num">
              AUC
            </th>
            <th scope="col" className="num">
              Calibration error
            </th>
            <th scope="col" className="num">
              Predictions
            </th>
            <th scope="col" className="num">
              Outcome known
            </th>
            <th scope="col">By version</th>
          </tr>
        </thead>
        <tbody>
          {of.months.map((month) => (
            <tr key={month.month}>
              <th scope="row">{month.month}</th>
              <td className="num">{number(month.log_loss)}</td>
              <td className="num">{number(month.auc)}</td>
              <td className="num">{number(month.calibration_error)}</td>
              <td className="num">{count(month.predictions)}</td>
              <td className="num">{count(month.labelled)}</td>
              <td>
                {Object.entries(month.by_version)
                  .map(([version, rows]) => `v${version}: ${count(rows)}`)
                  .join(", ")}
              </td>
            </tr>
          ))}
        </tbody>
      </Grid>
      <p className="muted small">
        Scored on <code>{of.output}</code> with the outcomes known now. {of.note}
      </p>
    </>
  );
}

function Alerts({ of }: { of: Alert[] }) {
  const [all, setAll] = useState(false);
  if (of.length === 0) return <p className="muted">No alert was ever opened here.</p>;
  const standing = of.filter((alert) => alert.state !== "resolved");
  const shown = all ? of : standing.length > 0 ? standing : of.slice(0, 3);
  return (
    <>
      <ul className="alerts">
        {shown.map((alert) => (
          <AlertCard key={alert.id} alert={alert} />
        ))}
      </ul>
      {of.length > shown.length || all ? (
        <Button mt={8} size="xs" variant="default" onClick={() => setAll(!all)}>
          {all ? "Show the standing ones" : `Show all ${of.length}`}
        </Button>
      ) : null}
    </>
  );
}

const FIRST = 8;

function Decisions({ of }: { of: EventView[] }) {
  const [all, setAll] = useState(false);
  return (
    <Section title="What the loop decided" aside={<span className="muted">{of.length}</span>}>
      <Events events={all ? of : of.slice(0, FIRST)} empty="Nothing has been decided yet." />
      {of.length > FIRST ? (
        <Button size="xs" variant="default" onClick={() => setAll(!all)}>
          {all ? `Show the newest ${FIRST}` : `Show all ${of.length}`}
        </Button>
      ) : null}
    </Section>
  );
}

/** The newest predictions, each with its way to Why. */
function Newest({ name }: { name: string }) {
  const predictions = usePredictions(name, 10);
  return (
    <Section title="Newest predictions">
      <Loaded of={predictions}>
        {(data) =>
          data.predictions.length === 0 ? (
            <p className="muted">Nothing has been predicted yet.</p>
          ) : (
            <Grid label="Newest predictions" dense>
              <thead>
                <tr>
                  <th scope="col">Prediction</th>
                  <th scope="col">Answer</th>
                  <th scope="col">Version</th>
                  <th scope="col" className="num">
                    Latency
                  </th>
                  <th scope="col">Protocol</th>
                  <th scope="col">Asked</th>
                </tr>
              </thead>
              <tbody>
                {data.predictions.map((row) => (
                  <tr key={row.prediction_id}>
                    <th scope="row">
                      <Link to={`/why/${encodeURIComponent(row.prediction_id)}`}>
                        <code className="digest">{row.prediction_id}</code>
                      </Link>
                    </th>
                    <td className="answer-value">
                      {Object.entries(row.outputs)
                        .map(([output, given]) => `${output} ${value(given)}`)
                        .join(", ")}
                    </td>
                    <td>
                      v{row.number} <span className="muted">{row.variant}</span>
                    </td>
                    <td className="num">{latency(row.latency_us)}</td>
                    <td>{row.protocol}</td>
                    <td>
                      <When at={row.at} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </Grid>
          )
        }
      </Loaded>
    </Section>
  );
}
