import { useMemo } from "react";
import { Link, useParams } from "react-router";
import { useErrors, useWatch } from "../api/queries";
import type { ErrorReport, WatchedFeature, WatchStory } from "../api/types";
import { type Line, LineChart } from "../charts/LineChart";
import { SharesChart } from "../charts/SharesChart";
import { count, day, duration, number, percent } from "../format";
import { DeploymentNav } from "../parts/DeploymentNav";
import { Loaded } from "../parts/Loaded";
import { Chip, StateMark } from "../parts/State";
import { words } from "../parts/slices";
import { Grid, Section, When } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";
import "./watch.css";

/** How a deployment is watched: the evidence for drift as it grew, every feature beside its reference, labels, and where the errors are. */
export default function WatchPage() {
  const { deploymentName = "" } = useParams();
  const watch = useWatch(deploymentName);
  return (
    <Page title={deploymentName}>
      <DeploymentNav name={deploymentName} />
      <Loaded of={watch}>{(data) => <Whole of={data} />}</Loaded>
      <Errors name={deploymentName} />
    </Page>
  );
}

function Whole({ of }: { of: WatchStory }) {
  if (of.features.length === 0) return <Empty>{of.note === "" ? "Nothing is watched yet." : `${of.note}.`}</Empty>;
  return (
    <div className="stack">
      <Section title="Drift" aside={<Verdict of={of} />}>
        <div className="card">
          {of.moments.length === 0 ? <p className="muted">{of.note}: windows of {duration(of.window_seconds)} are judged.</p> : <Evidence of={of} />}
          <p className="muted small">
            Version {of.number} against its reference of {count(of.reference_rows)} rows
            {of.reference_since === null || of.reference_until === null ? "" : `, ${day(of.reference_since)} to ${day(of.reference_until)}`}. {of.budget === "" ? "" : `Allowed: ${of.budget}.`}
          </p>
        </div>
      </Section>
      {of.look === null ? null : <Labels of={of.look} />}
      <Section title="Features" aside={<span className="muted">{of.recent === 0 ? "nothing seen yet" : `the newest ${of.recent} windows beside the reference`}</span>}>
        <Features of={of.features} seen={of.recent > 0} />
      </Section>
    </div>
  );
}

function Verdict({ of }: { of: WatchStory }) {
  if (of.moments.length === 0) return <StateMark state="empty" word="nothing judged yet" />;
  if (of.alarm_inputs || of.alarm_prediction) return <StateMark state="warn" word={of.alarm_inputs && of.alarm_prediction ? "inputs and answers drifted" : of.alarm_inputs ? "the inputs drifted" : "the answers drifted"} />;
  return <StateMark state="ok" word="within what is usual" />;
}

/** Below this the evidence speaks against drift, and how far is of no interest. */
const LOWEST = -2;

function Evidence({ of }: { of: WatchStory }) {
  const x = useMemo(() => of.moments.map((each) => Date.parse(each.until) / 1000), [of]);
  const lines = useMemo((): Line[] => {
    const shown = (pick: "inputs" | "prediction") => of.moments.map((each) => Math.max(LOWEST, each[pick]));
    return [
      { label: "inputs", hue: 1, values: shown("inputs"), width: 2.25 },
      { label: "answers", hue: 3, values: shown("prediction"), dash: [8, 4] },
      { label: "alarm, inputs", hue: 2, values: of.moments.map(() => of.threshold_inputs), dash: [2, 4], width: 1.25 },
      { label: "alarm, answers", hue: 4, values: of.moments.map(() => of.threshold_prediction), dash: [2, 6], width: 1.25 },
    ];
  }, [of]);
  const last = of.moments.at(-1);
  return (
    <>
      <LineChart title="Evidence for drift by window, as a power of ten, and the line above which it is an alarm." x={x} lines={lines} time height={240} />
      <ul className="legend" aria-label="Legend">
        {lines.map((line) => (
          <li key={line.label}>
            <svg width={28} height={8} aria-hidden="true">
              <line x1={0} x2={28} y1={4} y2={4} stroke={`var(--data-${line.hue})`} strokeWidth={line.width ?? 1.75} strokeDasharray={line.dash?.join(" ")} />
            </svg>
            {line.label}
          </li>
        ))}
        <li className="muted">powers of ten; below {LOWEST} is drawn at {LOWEST}</li>
      </ul>
      {last === undefined ? null : (
        <p className="muted small">
          {count(of.moments.length)} windows; after the newest, {day(last.until)}: inputs <Power of={last.inputs} />, answers <Power of={last.prediction} />; an alarm is <Power of={of.threshold_inputs} /> and <Power of={of.threshold_prediction} />.
        </p>
      )}
    </>
  );
}

const Power = ({ of }: { of: number }) => (
  <span className="power">
    10<sup>{of.toFixed(1).replace("-", "−")}</sup>
  </span>
);

function Labels({ of }: { of: NonNullable<WatchStory["look"]> }) {
  const { quality, labels } = of;
  return (
    <Section
      title="Labelled answers"
      aside={
        <span className="muted">
          looked at <When at={of.at} />
        </span>
      }
    >
      <dl className="figures">
        <div>
          <dt>state</dt>
          <dd>
            <StateMark state={quality.alarm ? "bad" : quality.rows === 0 ? "empty" : "ok"} word={quality.alarm ? "decayed" : quality.rows === 0 ? "no label yet" : "as good as expected"} />
          </dd>
        </div>
        <div>
          <dt>labels judged</dt>
          <dd>{count(quality.rows)}</dd>
        </div>
        {quality.excess === null ? null : (
          <div>
            <dt>loss beyond what was expected</dt>
            <dd>
              {number(quality.excess)}{" "}
              {quality.excess_low === null || quality.excess_high === null ? null : (
                <span className="muted small">
                  {number(quality.excess_low)} to {number(quality.excess_high)}
                </span>
              )}
            </dd>
          </div>
        )}
        <div>
          <dt>happened minus said</dt>
          <dd>{number(quality.bias)}</dd>
        </div>
        {labels === null || labels === undefined ? null : (
          <>
            <div>
              <dt>answers with a label</dt>
              <dd>
                {percent(labels.answers === 0 ? 0 : labels.labelled / labels.answers)} <span className="muted small">of {count(labels.answers)}</span>
              </dd>
            </div>
            {labels.delay_s.length === 0 ? null : (
              <div>
                <dt>delay, half and 9 in 10</dt>
                <dd>
                  {duration(labels.delay_s[0] ?? 0)}, {duration(labels.delay_s[1] ?? 0)}
                </dd>
              </div>
            )}
          </>
        )}
      </dl>
    </Section>
  );
}

function Features({ of, seen }: { of: WatchedFeature[]; seen: boolean }) {
  return (
    <Grid label="Features">
      <thead>
        <tr>
          <th scope="col">Feature</th>
          <th scope="col">Reference and now</th>
          <th scope="col" className="num">
            Farthest share
          </th>
          <th scope="col" className="num">
            Evidence
          </th>
          <th scope="col" className="num">
            PSI
          </th>
          <th scope="col" className="num">
            Importance
          </th>
        </tr>
      </thead>
      <tbody>
        {of.map((feature) => (
          <tr key={feature.name}>
            <th scope="row">
              {feature.importance === null ? "the model's answers" : feature.name} {feature.drift?.blamed ? <Chip tone="warn">moved</Chip> : null}
              <span className="sub">{feature.kind}</span>
            </th>
            <td>
              <SharesChart title={`${feature.name}: shares of the reference and of the newest windows`} bins={feature.bins} seen={seen} />
            </td>
            <td className="num">
              {feature.drift === null || !seen ? (
                <span className="muted">n/a</span>
              ) : (
                <>
                  {percent(feature.drift.shift ?? 0)}
                  <span className="sub">of {percent(feature.drift.margin)} usual</span>
                </>
              )}
            </td>
            <td className="num">{feature.drift === null || !seen ? <span className="muted">n/a</span> : <Power of={feature.drift.evidence} />}</td>
            <td className="num">
              {feature.drift === null || !seen ? (
                <span className="muted">n/a</span>
              ) : (
                <>
                  {number(feature.drift.psi)}
                  <span className="sub">noise to {number(feature.drift.psi_noise)}</span>
                </>
              )}
            </td>
            <td className="num">{feature.importance === null ? <span className="muted">n/a</span> : percent(feature.importance)}</td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

/** Where the errors are. Read from the labelled answers of the last 90 days, which may take a moment. */
function Errors({ name }: { name: string }) {
  const errors = useErrors(name);
  if (errors.error !== null) return null; // nothing labelled: the section above says so
  return (
    <Section title="Where the errors are" aside={errors.data === undefined ? undefined : <span className="muted">{count(errors.data.span.used)} labelled answers</span>}>
      <Loaded of={errors}>
        {(data) => (
          <div className="stack">
            <Slices of={data.report} />
            <Examples of={data.report} />
          </div>
        )}
      </Loaded>
    </Section>
  );
}

function Slices({ of }: { of: ErrorReport }) {
  const found = of.slices?.slices ?? [];
  const sure = found.filter((slice) => slice.sure).length;
  return (
    <>
      <p className="muted small">
        {sure === 0 ? "No group of answers is surely worse than the others" : `${count(sure)} group${sure === 1 ? " is" : "s are"} surely worse than the others`}
        {of.slices === null ? "" : `: of ${count(of.slices.tried)} tried on one half of the days, ${count(of.slices.judged)} were judged by the other half`}. {of.notes.join(". ")}
      </p>
      {found.length === 0 ? null : (
        <Grid label="Groups of answers">
          <thead>
            <tr>
              <th scope="col">Group</th>
              <th scope="col" className="num">
                Rows
              </th>
              <th scope="col" className="num">
                Mean {of.by}, {of.unit}
              </th>
              <th scope="col" className="num">
                More than the others
              </th>
              <th scope="col">Verdict</th>
            </tr>
          </thead>
          <tbody>
            {found.map((slice) => {
              const name = slice.conditions.map(words).join(" and ");
              return (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td className="num">
                    {count(slice.rows)} <span className="muted">{percent(slice.share)}</span>
                  </td>
                  <td className="num">{number(slice.mean)}</td>
                  <td className="num">
                    {number(slice.excess.value)}
                    <span className="sub">
                      {number(slice.excess.low)} to {number(slice.excess.high)}
                    </span>
                  </td>
                  <td>
                    <StateMark state={slice.sure ? "warn" : "empty"} word={slice.sure ? "surely worse" : "may be chance"} />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </Grid>
      )}
    </>
  );
}

function Examples({ of }: { of: ErrorReport }) {
  if (of.examples.length === 0) return null;
  return (
    <Grid label="Answers to look at" dense>
      <thead>
        <tr>
          <th scope="col">To look at</th>
          <th scope="col" className="num">
            Said
          </th>
          <th scope="col" className="num">
            Happened
          </th>
          <th scope="col">Because</th>
        </tr>
      </thead>
      <tbody>
        {of.examples.map((example) => (
          <tr key={example.prediction_id}>
            <th scope="row">
              <Link to={`/why/${encodeURIComponent(example.prediction_id)}`}>
                <code className="digest">{example.prediction_id}</code>
              </Link>
            </th>
            <td className="num">{number(example.said)}</td>
            <td className="num">{number(example.happened)}</td>
            <td>{example.because}</td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}
