import { Link, useParams } from "react-router";
import type { ReactNode } from "react";
import type { Value, WhyView } from "../api/types";
import { useDelivery, useWhy } from "../api/queries";
import { instant, latency, number, value } from "../format";
import { DeliveryWhole } from "../parts/Deliveries";
import { Events } from "../parts/Events";
import { Gates } from "../parts/Gates";
import { Loaded } from "../parts/Loaded";
import { Datasets, deploymentPath, Params, runPath, versionPath } from "../parts/RunParts";
import { StateMark } from "../parts/State";
import { datasetName, Digest, Facts, Figures, Lineage, When } from "../parts/Texts";
import { Traffic } from "../parts/Traffic";
import { Page } from "../shell/Page";
import { Ask } from "./WhyPage";
import "./why.css";

const PREDICTION = /^r[0-9a-f]*\.\d+$/;

/** What an id stands for, explained: a prediction, or else a rollout or what a person did. */
export default function PredictionPage() {
  const { predictionId = "" } = useParams();
  return PREDICTION.test(predictionId) ? <Prediction predictionId={predictionId} /> : <Delivered id={predictionId} />;
}

/** The same story as the page of the deployment tells. */
function Delivered({ id }: { id: string }) {
  const story = useDelivery(id);
  return (
    <Page title="Why" action={story.data === undefined ? undefined : <Link to={deploymentPath(story.data.delivery.deployment)}>{story.data.delivery.deployment}</Link>}>
      <p className="asked">
        <code>{id}</code>
      </p>
      <Loaded of={story}>{(data) => <DeliveryWhole story={data} />}</Loaded>
      {story.error === null ? null : <Ask key={id} former={id} />}
    </Page>
  );
}

/** One prediction, walked back through the loop to the data it rests on. */
function Prediction({ predictionId }: { predictionId: string }) {
  const why = useWhy(predictionId);
  return (
    <Page title="Why" action={why.data === undefined ? undefined : <Again of={why.data} />}>
      <p className="asked">
        <code>{predictionId}</code>
      </p>
      <Loaded of={why}>{(data) => <Walk why={data} />}</Loaded>
      {why.error === null ? null : <Ask key={predictionId} former={predictionId} />}
    </Page>
  );
}

/** Whether the same question gave the same bits again. */
function Again({ of }: { of: WhyView }) {
  if (of.recomputed.equal) return <StateMark state="ok" word="computed again: the same, bit for bit" />;
  return <StateMark state="bad" word={of.recomputed.problem === "" ? "computed again: a different answer" : "could not be computed again"} />;
}

function Walk({ why }: { why: WhyView }) {
  return (
    <div className="stack">
      <Lineage
        stops={[
          { what: "data", name: why.datasets.map(datasetName).join(", ") || "none recorded" },
          { what: "run", name: why.run.name, to: runPath(why.run.id) },
          { what: "version", name: `${why.model} v${why.number}`, to: versionPath(why.model, why.number) },
          { what: "deployment", name: why.deployment, to: deploymentPath(why.deployment), note: `generation ${why.generation.generation}` },
          { what: "prediction", name: Object.values(why.outputs).map((v) => value(v)).join(", "), note: "here" },
        ]}
      />
      <ol className="walk">
        <Step title="The answer" said={`asked ${instant(why.asked_at)} over ${why.protocol}, answered in ${latency(why.latency_us)}`}>
          <Answer why={why} />
        </Step>
        <Step title="The deployment at that moment" said={`${why.deployment}, generation ${why.generation.generation}, answered by the ${why.variant}`} to={deploymentPath(why.deployment)}>
          <Traffic variants={why.generation.variants} />
          {why.rollout === null ? null : (
            <p>
              <Link to={`${deploymentPath(why.deployment)}/deliveries/${why.rollout.id}`}>
                A rollout ({why.rollout.plan.mode}) was under way: v{why.rollout.challenger} beside v{why.rollout.champion}
              </Link>
              {why.rollout.verdict ? `; so far: ${why.rollout.verdict.reason}` : ""}.
            </p>
          )}
        </Step>
        <Step title="The version" said={`${why.model} v${why.number} (${why.version}): ${why.version_reason}`} to={versionPath(why.model, why.number)}>
          <Facts
            of={[
              ["registered", <When key="at" at={why.registered_at} />],
              ["champion at that moment", why.champion_then === null || why.champion_then.number === null ? "none" : <Link key="then" to={versionPath(why.model, why.champion_then.number)}>{`v${why.champion_then.number}, ${why.champion_then.reason}`}</Link>],
              ["bundle", <Digest key="bundle" of={why.bundle.digest} />],
              ["parity", why.bundle.parity === null ? "not converted" : `largest difference ${number(why.bundle.parity.max_difference)}`],
            ]}
          />
        </Step>
        <Step title="The gates it passed" said={why.gates === null ? "none were asked" : `${why.gates.results.filter((r) => r.passed).length} of ${why.gates.results.length}`}>
          {why.gates === null ? null : <Gates report={why.gates} brief />}
        </Step>
        <Step title="The run that trained it" said={`${why.run.name} in ${why.run.experiment}`} to={runPath(why.run.id)}>
          <Figures of={why.run.metrics} />
          <div className="columns walk-columns">
            <Params of={why.run.params} />
            <Facts
              of={[
                ["seed", value(why.run.seed)],
                ["commit", why.run.code?.commit?.slice(0, 12) ?? "outside a repository"],
                ["sources", why.run.code ? <Digest key="code" of={why.run.code.digest} /> : "not recorded"],
                ["Python", why.run.environment?.python ?? "not recorded"],
              ]}
            />
          </div>
        </Step>
        <Step title="The data it learnt from" said={why.datasets.map(datasetName).join(", ") || "none recorded"}>
          <Datasets of={why.datasets} />
        </Step>
        <Step title="What led here" said={`${why.events.length} events, oldest first`}>
          <Events events={why.events} empty="No event of the loop led to this version." />
        </Step>
      </ol>
    </div>
  );
}

function Step({ title, said, to, children }: { title: string; said: string; to?: string; children: ReactNode }) {
  return (
    <li className="step">
      <h2>{to === undefined ? title : <Link to={to}>{title}</Link>}</h2>
      <p className="muted step-said">{said}</p>
      <div className="step-body">{children}</div>
    </li>
  );
}

function Answer({ why }: { why: WhyView }) {
  return (
    <>
      <div className="answer">
        {Object.entries(why.outputs).map(([name, given]) => (
          <Big key={name} name={name} given={value(given)} />
        ))}
        <Big name="what really happened" given={why.label === null ? "not known yet" : value(why.label)} {...(why.label_at === null ? {} : { note: instant(why.label_at) })} />
        <Big name="computed again" given={recomputed(why)} />
      </div>
      <h3>Asked with</h3>
      <dl className="inputs">
        {Object.entries(why.inputs).map(([name, given]) => (
          <Pair key={name} name={name} given={given} />
        ))}
      </dl>
    </>
  );
}

function recomputed(why: WhyView): string {
  if (why.recomputed.equal) return "equal";
  return why.recomputed.problem === "" ? Object.values(why.recomputed.outputs).map((v) => value(v)).join(", ") : why.recomputed.problem;
}

function Big({ name, given, note }: { name: string; given: string; note?: string }) {
  return (
    <div className="big">
      <span className="muted small">{name}</span>
      <strong>{given}</strong>
      {note === undefined ? null : <span className="muted small">{note}</span>}
    </div>
  );
}

const Pair = ({ name, given }: { name: string; given: Value }) => (
  <div>
    <dt>{name}</dt>
    <dd>
      <code>{value(given)}</code>
    </dd>
  </div>
);
