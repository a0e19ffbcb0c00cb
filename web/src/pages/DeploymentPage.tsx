import { useState } from "react";
import { Button } from "@mantine/core";
import { Link, useParams } from "react-router";
import type { Alert, Comparison, DeploymentView, EventView, QualityView, Rollout } from "../api/types";
import { useDeployment, usePredictions, useQuality } from "../api/queries";
import { ArmChart, YearTable } from "../charts/ArmChart";
import { count, latency, number, value } from "../format";
import { AlertCard } from "../parts/Alerts";
import { Events } from "../parts/Events";
import { Loaded } from "../parts/Loaded";
import { versionPath } from "../parts/RunParts";
import { StateMark } from "../parts/State";
import { Grid, Section, When } from "../parts/Texts";
import { Traffic } from "../parts/Traffic";
import { Page } from "../shell/Page";
import "./deployments.css";

/** One deployment: what answers, how well, and everything the loop did to it. */
export default function DeploymentPage() {
  const { deploymentName = "" } = useParams();
  const deployment = useDeployment(deploymentName);
  return (
    <Page title={deploymentName} action={deployment.data === undefined ? undefined : <Standing of={deployment.data} />}>
      <Loaded of={deployment}>{(data) => <Whole deployment={data} />}</Loaded>
    </Page>
  );
}

function Standing({ of }: { of: DeploymentView }) {
  const open = of.alerts.filter((alert) => alert.state !== "resolved").length;
  if (open > 0) return <StateMark state="warn" word={`${open} open alert${open === 1 ? "" : "s"}`} />;
  if (of.rollout?.outcome === "running") return <StateMark state="busy" word="canary under way" />;
  return <StateMark state={of.variants.length > 0 ? "ok" : "empty"} word={of.variants.length > 0 ? "no open alert" : "nothing answers yet"} />;
}

function Whole({ deployment }: { deployment: DeploymentView }) {
  return (
    <div className="stack">
      <Section title="Traffic">
        <div className="card">
          <Traffic variants={deployment.variants} />
          <p className="muted small">
            model <Link to={`/models/${encodeURIComponent(deployment.model)}`}>{deployment.model}</Link>, generation {deployment.generation}, split by {deployment.sticky_by}, changed{" "}
            <When at={deployment.updated_at} />
          </p>
        </div>
      </Section>
      {deployment.comparison === null ? null : <Year comparison={deployment.comparison} events={deployment.decisions} />}
      <Realised name={deployment.name} />
      <Section title="Rollouts" aside={<span className="muted">{deployment.rollouts.length}</span>}>
        <Rollouts of={deployment.rollouts} model={deployment.model} />
      </Section>
      <Section title="Alerts" aside={<Link to={`/deployments/${encodeURIComponent(deployment.name)}/watch`}>how it is watched</Link>}>
        <Alerts of={deployment.alerts} />
      </Section>
      <Decisions of={deployment.decisions} />
      <Newest name={deployment.name} />
    </div>
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

const OUTCOMES = { running: "busy", promoted: "ok", rolled_back: "warn" } as const;

function Rollouts({ of, model }: { of: Rollout[]; model: string }) {
  if (of.length === 0) return <p className="muted">No challenger has stood beside the champion yet.</p>;
  return (
    <Grid label="Rollouts">
      <thead>
        <tr>
          <th scope="col">Outcome</th>
          <th scope="col">Challenger</th>
          <th scope="col">Champion</th>
          <th scope="col" className="num">
            Difference of log loss
          </th>
          <th scope="col" className="num">
            Labels
          </th>
          <th scope="col">Verdict</th>
          <th scope="col">Started</th>
          <th scope="col">Ended</th>
        </tr>
      </thead>
      <tbody>
        {of.map((rollout) => (
          <tr key={rollout.id}>
            <th scope="row">
              <StateMark state={OUTCOMES[rollout.outcome]} word={rollout.outcome.replace("_", " ")} />
            </th>
            <td>
              <Link to={versionPath(model, rollout.challenger)}>v{rollout.challenger}</Link>
            </td>
            <td>
              <Link to={versionPath(model, rollout.champion)}>v{rollout.champion}</Link>
            </td>
            <td className="num">
              {rollout.verdict?.difference ? (
                <>
                  {number(rollout.verdict.difference.value)}
                  <span className="sub">
                    {number(rollout.verdict.difference.low)} to {number(rollout.verdict.difference.high)}
                  </span>
                </>
              ) : (
                <span className="muted">not yet</span>
              )}
            </td>
            <td className="num">
              {rollout.verdict ? (
                <>
                  {count(rollout.verdict.challenger_labels)} <span className="muted">vs {count(rollout.verdict.champion_labels)}</span>
                </>
              ) : (
                <span className="muted">n/a</span>
              )}
            </td>
            <td className="verdict">{rollout.verdict?.reason ?? "evidence is being gathered"}</td>
            <td>
              <When at={rollout.started_at} />
            </td>
            <td>{rollout.ended_at === null ? <span className="muted">running</span> : <When at={rollout.ended_at} />}</td>
          </tr>
        ))}
      </tbody>
    </Grid>
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
