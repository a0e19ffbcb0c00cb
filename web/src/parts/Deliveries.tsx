import { Button, SegmentedControl } from "@mantine/core";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import type { Bound, Delivery, DeliveryStory, Judged, Told } from "../api/types";
import { EvidenceChart } from "../charts/EvidenceChart";
import { type Line, LineChart } from "../charts/LineChart";
import { chosen, number, percent } from "../format";
import { kindName } from "./Events";
import { Gates } from "./Gates";
import { versionPath } from "./RunParts";
import { Chip, StateMark } from "./State";
import { Facts, Grid, Section, When } from "./Texts";
import "./deliveries.css";

export const deliveryPath = (delivery: Delivery): string => `/deployments/${encodeURIComponent(delivery.deployment)}/deliveries/${encodeURIComponent(delivery.id)}`;

const KINDS: Record<Delivery["kind"], string> = { first: "first version", rollout: "rollout", changed: "declared", rolled_back: "by hand", stopped: "stop switch", resumed: "stop switch" };
const MODES: Record<string, string> = { canary: "canary", ab: "A/B test", shadow: "shadow", bandit: "bandit" };
const MEASURES: Record<Judged["measure"], string> = {
  errors: "failed requests",
  latency: "slow requests",
  disagreement: "disagreement with the champion",
  quality: "quality, log loss",
  business: "business metric",
};
const WORDS: Record<Delivery["outcome"], string> = { running: "running", promoted: "promoted", rolled_back: "rolled back", done: "done" };

export const measureName = ({ measure, name }: { measure: Judged["measure"]; name: string }): string => (measure === "business" && name !== "" ? name : MEASURES[measure]);

/** What kind of change it was. */
function Kind({ of }: { of: Delivery }) {
  return <Chip>{of.rollout === null ? KINDS[of.kind] : (MODES[of.rollout.plan.mode] ?? of.rollout.plan.mode)}</Chip>;
}

/** Each change of what answers, newest first: what happened, why, who. */
export function DeliveryList({ of }: { of: Delivery[] }) {
  if (of.length === 0) return <p className="muted">Nothing was delivered here yet.</p>;
  return (
    <ol className="deliveries">
      {of.map((each) => (
        <li key={each.id} className="delivery">
          <div className="delivery-head">
            <StateMark state={each.tone} word={WORDS[each.outcome]} /> <Kind of={each} />
            <span className="delivery-when">
              <When at={each.ended ?? each.began} />
            </span>
          </div>
          <p className="delivery-headline">
            <Link to={deliveryPath(each)}>{each.headline}</Link>
          </p>
          {each.reason === "" ? null : <p>{each.reason}</p>}
          <p className="muted small">
            {each.asked === "" ? "" : `${each.asked} · `}
            {each.took === "" ? "" : `${each.took} · `}by {each.actor}
          </p>
        </li>
      ))}
    </ol>
  );
}

/** One of them in full. */
export function DeliveryWhole({ story }: { story: DeliveryStory }) {
  const { delivery } = story;
  const many = delivery.moves.length > FEW_MOVES;
  const followed = story.followed.filter((event) => !many || event.kind !== "RolloutAdvanced");
  return (
    <div className="stack">
      <div className="card">
        <p className="delivery-head">
          <StateMark state={delivery.tone} word={WORDS[delivery.outcome]} /> <Kind of={delivery} />
        </p>
        <p className="delivery-headline">{delivery.headline}</p>
        {delivery.reason === "" ? null : <p className="delivery-reason">{delivery.reason}</p>}
        <DeliveryFacts of={delivery} />
      </div>
      <DeliveryEvidence story={story} />
      {delivery.gates === null ? null : (
        <Section title="Gates before it">
          <Gates report={delivery.gates} brief />
        </Section>
      )}
      <Section title="What led here">
        <Telling of={story.led} empty="Nothing led here but the person who did it." />
      </Section>
      <Section title="What happened then">
        <Telling of={followed} empty="Nothing followed." />
        {followed.length === story.followed.length ? null : <p className="muted small">Without {story.followed.length - followed.length} moves of the split, which stand above.</p>}
      </Section>
    </div>
  );
}

/** What was judged, how the evidence grew and how the split moved; in full also within which bounds it was asked for. */
export function DeliveryEvidence({ story, brief = false }: { story: DeliveryStory; brief?: boolean }) {
  const { delivery } = story;
  return (
    <>
      {delivery.rollout === null ? null : (
        <Section title="Objectives" aside={<span className="muted">wrong in at most {percent(delivery.rollout.plan.error_rate)} of rollouts, at every look</span>}>
          <Objectives of={delivery.objectives} />
        </Section>
      )}
      {story.curves.length === 0 ? null : (
        <Section title="How the evidence grew">
          <Curves story={story} />
        </Section>
      )}
      {delivery.moves.length === 0 ? null : (
        <Section title="Share of the challenger">
          <Moves of={delivery} />
        </Section>
      )}
      {brief || delivery.bounds.length === 0 ? null : (
        <Section title="Inside its policy">
          <Bounds of={delivery.bounds} />
        </Section>
      )}
    </>
  );
}

export function DeliveryFacts({ of }: { of: Delivery }) {
  const version = (number: number | null) => (number === null ? "nobody" : of.model === "" ? `v${number}` : <Link to={versionPath(of.model, number)}>v{number}</Link>);
  const facts: [string, React.ReactNode][] = [
    ["began", <When key="began" at={of.began} />],
    ["ended", of.ended === null ? "it runs" : <When key="ended" at={of.ended} />],
    ["version", version(of.number)],
  ];
  if (of.previous !== null) facts.push([of.kind === "rolled_back" ? "taken back" : "beside", version(of.previous)]);
  if (of.asked !== "") facts.unshift(["asked for", `${of.asked} (${of.trigger.replace("_", " ")})`]);
  if (of.approved_by !== "") facts.push(["approved by", of.approved_by]);
  if (of.ended !== null) facts.push(["done by", of.actor]);
  if (of.expected !== "") facts.push(["told before it began", of.expected]);
  if (of.took !== "") facts.push([of.ended === null ? "so far" : "it took", of.took]);
  if (of.differences.length > 0) facts.push(["changed", of.differences.join("; ")]);
  facts.push(["generation", String(of.generation)]);
  return (
    <div className="delivery-facts">
      <Facts of={facts} />
    </div>
  );
}

const OUTCOMES = { kept: { state: "ok", word: "kept" }, broken: { state: "bad", word: "broken" }, open: { state: "busy", word: "open" } } as const;

export function Objectives({ of }: { of: Judged[] }) {
  if (of.length === 0) return <p className="muted">Nothing has been judged yet.</p>;
  return (
    <Grid label="Objectives">
      <thead>
        <tr>
          <th scope="col">Objective</th>
          <th scope="col">Outcome</th>
          <th scope="col" className="num">
            Found
          </th>
          <th scope="col">Interval and limit</th>
          <th scope="col" className="num">
            Limit
          </th>
          <th scope="col">In words</th>
        </tr>
      </thead>
      <tbody>
        {of.map((judged) => (
          <tr key={`${judged.measure} ${judged.name}`}>
            <th scope="row">{measureName(judged)}</th>
            <td>
              <StateMark {...OUTCOMES[judged.outcome]} />
            </td>
            <td className="num">
              {judged.value === null ? (
                <span className="muted">not yet</span>
              ) : (
                <>
                  {number(judged.value.value)}
                  <span className="sub">
                    {number(judged.value.low)} to {number(judged.value.high)}
                  </span>
                </>
              )}
            </td>
            <td>{judged.value === null ? <span className="muted">nothing to show yet</span> : <LimitPlot of={judged} />}</td>
            <td className="num">≤ {chosen(judged.limit)}</td>
            <td className="evidence">{judged.reason}</td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

const WIDTH = 200;
const HEIGHT = 30;
const PAD = 10;

/** One interval beside its limit; the allowed side is shaded. */
function LimitPlot({ of }: { of: Judged }) {
  const { value, limit } = of;
  if (value === null) return null;
  const ends = [limit, value.value, value.low, value.high].filter((end) => Number.isFinite(end));
  const low = Math.min(...ends);
  const span = Math.max(...ends) - low || Math.abs(low) || 1;
  const x = (at: number) => (Number.isFinite(at) ? PAD + ((at - low) / span) * (WIDTH - 2 * PAD) : at > 0 ? WIDTH : 0);
  const kind = of.outcome === "kept" ? "passed" : of.outcome === "broken" ? "failed" : "champion";
  const y = HEIGHT / 2;
  return (
    <svg width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" className="interval" aria-label={`${measureName(of)}: ${number(value.value)}, between ${number(value.low)} and ${number(value.high)}, at most ${chosen(limit)} is allowed`}>
      <rect x={0} y={0} width={x(limit)} height={HEIGHT} className="interval-allowed" />
      <line x1={x(limit)} x2={x(limit)} y1={0} y2={HEIGHT} className="interval-limit" />
      <g className={`interval-${kind}`}>
        <path d={`M${x(value.low)} ${y - 4}v8M${x(value.high)} ${y - 4}v8M${x(value.low)} ${y}H${x(value.high)}`} />
        <circle cx={x(value.value)} cy={y} r={4} className="solid" />
      </g>
    </svg>
  );
}

function Curves({ story }: { story: DeliveryStory }) {
  const [place, setPlace] = useState("0");
  const curve = story.curves[Number(place)] ?? story.curves[0];
  if (curve === undefined) return null;
  return (
    <div className="card">
      {story.curves.length < 2 ? null : (
        <div className="chart-tools">
          <SegmentedControl size="xs" aria-label="Objective" data={story.curves.map((each, at) => ({ value: String(at), label: measureName(each) }))} value={place} onChange={setPlace} />
        </div>
      )}
      <EvidenceChart curve={curve} name={measureName(curve)} moves={story.delivery.moves.length > FEW_MOVES ? [] : story.delivery.moves} />
    </div>
  );
}

const FEW_MOVES = 10;

/** The shares that the challenger had, and what its schedule still asks for; many of them (a bandit's) as a curve as well. */
function Moves({ of }: { of: Delivery }) {
  const [all, setAll] = useState(false);
  const many = of.moves.length > FEW_MOVES;
  const first = many && !all ? of.moves.length - FEW_MOVES : 0;
  return (
    <>
      {many ? (
        <div className="card">
          <ShareChart of={of.moves} />
        </div>
      ) : null}
      <div className={many ? "below" : ""}>
        <MovesTable of={of} first={first} />
      </div>
      {many ? (
        <Button mt={8} size="xs" variant="default" onClick={() => setAll(!all)}>
          {all ? `Show the newest ${FEW_MOVES}` : `Show all ${of.moves.length}`}
        </Button>
      ) : null}
    </>
  );
}

/** The share over time; it stays where it is until the next move. */
function ShareChart({ of }: { of: Delivery["moves"] }) {
  const [x, lines] = useMemo(() => {
    const at = of.flatMap((move, place) => {
      const begins = Date.parse(move.at) / 1000;
      return place === 0 ? [begins] : [begins - 0.001, begins];
    });
    const values = of.flatMap((move, place) => (place === 0 ? [move.share] : [of[place - 1]?.share ?? move.share, move.share]));
    const lines: Line[] = [{ label: "share of the challenger", hue: 2, width: 2, values }];
    return [at, lines] as const;
  }, [of]);
  return <LineChart title={`Share of the challenger over ${of.length} moves. The table holds the same numbers.`} x={x} lines={lines} time height={180} yLabel={percent} />;
}

function MovesTable({ of, first }: { of: Delivery; first: number }) {
  const steps = of.rollout?.plan.steps ?? [];
  const now = of.moves.at(-1)?.step ?? 0;
  return (
    <Grid label="Share of the challenger">
      <thead>
        <tr>
          <th scope="col">Step</th>
          <th scope="col">Share</th>
          <th scope="col">Since</th>
          <th scope="col">Because</th>
        </tr>
      </thead>
      <tbody>
        {of.moves.slice(first).map((move, place) => (
          <tr key={`${move.at} ${place}`}>
            <th scope="row">{steps.length === 0 ? first + place + 1 : `${move.step + 1} of ${steps.length}`}</th>
            <td>
              <Share of={move.share} /> {move.shadow ? <span className="muted">copies, answers nobody</span> : null}
            </td>
            <td>
              <When at={move.at} />
            </td>
            <td className="verdict">{move.reason}</td>
          </tr>
        ))}
        {of.outcome !== "running"
          ? null
          : steps.slice(now + 1).map((step, place) => (
              <tr key={`ahead ${place}`}>
                <th scope="row">
                  {now + place + 2} of {steps.length}
                </th>
                <td>
                  <Share of={step.weight} />
                </td>
                <td className="muted">ahead</td>
                <td className="verdict">after {needs(steps[now + place])}</td>
              </tr>
            ))}
      </tbody>
    </Grid>
  );
}

function needs(step: { hours: number; requests: number; labels: number } | undefined): string {
  if (step === undefined) return "the step before";
  const asked = [step.hours > 0 ? `${chosen(step.hours)} hours` : "", step.requests > 0 ? `${step.requests} requests` : "", step.labels > 0 ? `${step.labels} labels` : ""].filter((word) => word !== "");
  return asked.length === 0 ? "the next look" : asked.join(", ");
}

const Share = ({ of }: { of: number }) => (
  <span className="share">
    <span className="share-track" aria-hidden="true">
      <span style={{ width: `${100 * of}%` }} />
    </span>
    {percent(of)}
  </span>
);

const BOUNDS: Record<string, string> = {
  cooldown_days: "days since the last retraining, at least",
  change_cooldown_days: "days since the last, which could not know the change, at least",
  budget_per_year: "retrainings before it in 365 days, fewer than",
  unreserved_budget: "of these, what is not kept for a decay, fewer than",
  minimum_labels: "new labels, at least",
  labels_since_change: "labels since the world changed, at least",
  growth: "growth of the data, at least",
};

/** Each limit of the policy beside what was found as the training was asked for. */
export function Bounds({ of }: { of: Bound[] }) {
  return (
    <Grid label="Bounds of the policy" dense>
      <thead>
        <tr>
          <th scope="col">Bound</th>
          <th scope="col" className="num">
            Limit
          </th>
          <th scope="col" className="num">
            Found
          </th>
          <th scope="col">Kept</th>
        </tr>
      </thead>
      <tbody>
        {of.map((bound) => (
          <tr key={bound.name}>
            <th scope="row">{BOUNDS[bound.name] ?? bound.name.replaceAll("_", " ")}</th>
            <td className="num">{chosen(bound.limit)}</td>
            <td className="num">{number(bound.found)}</td>
            <td>
              <StateMark state={bound.kept ? "ok" : "warn"} word={bound.kept ? "kept" : "not kept"} />
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

function Telling({ of, empty }: { of: Told[]; empty: string }) {
  if (of.length === 0) return <p className="muted">{empty}</p>;
  return (
    <ol className="events">
      {of.map((event) => (
        <li key={event.seq}>
          <span className="event-text">
            {event.sentence}
            <span className="event-meta">
              {kindName(event.kind)} · entry {event.seq} · {event.actor}
            </span>
          </span>
          <When at={event.at} />
        </li>
      ))}
    </ol>
  );
}
