import { SegmentedControl } from "@mantine/core";
import { useState } from "react";
import { useParams } from "react-router";
import { ApiError } from "../api/client";
import { useShadow, useStanding } from "../api/queries";
import type { Interval, ShadowReport } from "../api/types";
import { chosen, count, day, metric, number, percent } from "../format";
import { DeploymentNav } from "../parts/DeploymentNav";
import { Loaded } from "../parts/Loaded";
import { words } from "../parts/slices";
import { StateMark } from "../parts/State";
import { Grid, Section } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";
import "../parts/deliveries.css";

type Output = ShadowReport["outputs"][number];

const DAYS = ["1", "7", "30", "365"];

/** What a version in the shadow would have answered, beside what callers got: the same numbers as `noria shadow`. */
export default function ShadowPage() {
  const { deploymentName = "" } = useParams();
  const [days, setDays] = useState("7");
  const standing = useStanding(deploymentName);
  const shadow = useShadow(deploymentName, Number(days), standing.data === undefined ? undefined : endOf(standing.data.policy.as_of));
  const none = shadow.error instanceof ApiError && shadow.error.status < 500 ? shadow.error : undefined;
  return (
    <Page title={deploymentName} action={<SegmentedControl size="xs" aria-label="How many days" data={DAYS.map((each) => ({ value: each, label: each === "1" ? "a day" : `${each} days` }))} value={days} onChange={setDays} />}>
      <DeploymentNav name={deploymentName} />
      {none === undefined ? (
        <Loaded of={shadow}>{(data) => <Whole of={data} />}</Loaded>
      ) : (
        <Empty {...(none.body.remedy?.startsWith("noria ") ? { command: none.body.remedy } : {})}>
          {none.message}. {none.body.cause}
        </Empty>
      )}
    </Page>
  );
}

/** A replayed record ends where it ends, whatever this machine's clock says; "" is now. */
function endOf(asOf: string): string {
  return Date.now() - Date.parse(asOf) > 86_400_000 ? asOf : "";
}

function Whole({ of }: { of: ShadowReport }) {
  return (
    <div className="stack">
      <div className="card">
        <p className="delivery-headline">
          version {of.shadow.number} in the shadow of version {of.champion.number}
        </p>
        <p className="delivery-reason">
          {day(of.since)} to {day(of.until)}: {percent(of.copied)} of {count(of.answered)} requests were copied, {count(of.pairs)} rows were answered by both. {of.note}
        </p>
        {of.quality === null ? null : (
          <p>
            <Better of={of.quality} /> {metric(of.loss)} on {count(of.labels)} labelled rows differs by {number(of.quality.value)} ({number(of.quality.low)} to {number(of.quality.high)}); below 0 the shadow is better.
          </p>
        )}
      </div>
      {of.outputs.length === 0 ? <Empty>Nothing was answered by both yet.</Empty> : of.outputs.map((output) => <Compared key={output.name} of={output} />)}
      <Section title="How they served">
        <Sides of={of} />
      </Section>
      <Section title="Where they differ most">
        <Slices of={of} />
      </Section>
    </div>
  );
}

function Better({ of }: { of: Interval }) {
  if (of.high < 0) return <StateMark state="ok" word="the shadow is better" />;
  return of.low > 0 ? <StateMark state="warn" word="the shadow is worse" /> : <StateMark state="empty" word="not surely better or worse" />;
}

function Compared({ of }: { of: Output }) {
  const figures: [string, Interval | null, (value: number) => string][] = [
    ["same answer", of.agreement, percent],
    ["mean difference", of.difference, number],
    ["shadow minus answer", of.shift, number],
  ];
  return (
    <Section title={`Answers: ${of.name}`} aside={<span className="muted">{count(of.rows)} rows</span>}>
      <div className="card">
        <dl className="figures">
          {figures.map(([name, found, said]) =>
            found === null ? null : (
              <div key={name}>
                <dt>{name}</dt>
                <dd>
                  {said(found.value)}{" "}
                  <span className="muted small">
                    {said(found.low)} to {said(found.high)}
                  </span>
                </dd>
              </div>
            ),
          )}
          {of.quantiles.length < 4 ? null : (
            <div>
              <dt>difference at most, in 50, 95, 99 % of rows and ever</dt>
              <dd>{of.quantiles.map((each) => number(each)).join(", ")}</dd>
            </div>
          )}
        </dl>
        {of.bins.length === 0 ? null : <Bins of={of} />}
      </div>
    </Section>
  );
}

const HEIGHT = 140;
const WIDE = 56;

/** Answers of both by bin, side by side: the champion filled, the shadow striped. The numbers stand in each bin's title. */
function Bins({ of }: { of: Output }) {
  const most = Math.max(...of.bins.flatMap((bin) => [bin.answers, bin.shadow]), 1);
  const width = of.bins.length * WIDE;
  const tall = (given: number) => (HEIGHT - 4) * (given / most);
  return (
    <figure className="answers">
      <svg viewBox={`0 0 ${width} ${HEIGHT + 18}`} role="img" aria-label={`${of.name} by bin: answers of the champion and of the shadow`} className="answers-plot">
        <defs>
          <pattern id="striped" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="3" height="6" className="answers-stripe" />
          </pattern>
        </defs>
        {of.bins.map((bin, place) => (
          <g key={bin.low}>
            <title>{`${number(bin.low)} to ${number(bin.high)}: ${count(bin.answers)} answers, ${count(bin.shadow)} of the shadow`}</title>
            <rect x={place * WIDE} y={0} width={WIDE} height={HEIGHT} fill="transparent" />
            <rect x={place * WIDE + 6} width={20} y={HEIGHT - tall(bin.answers)} height={tall(bin.answers)} className="answers-champion" />
            <rect x={place * WIDE + 29} width={20} y={HEIGHT - tall(bin.shadow)} height={tall(bin.shadow)} fill="url(#striped)" className="answers-shadow" />
            <text x={place * WIDE} y={HEIGHT + 14} className="answers-edge">
              {chosen(bin.low)}
            </text>
          </g>
        ))}
        <line x1={0} x2={width} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} className="shares-floor" />
      </svg>
      <figcaption className="legend">
        <span>
          <span className="traffic-key traffic-champion" aria-hidden="true" /> what callers got
        </span>
        <span>
          <span className="traffic-key traffic-challenger" aria-hidden="true" /> what the shadow said
        </span>
      </figcaption>
    </figure>
  );
}

function Sides({ of }: { of: ShadowReport }) {
  return (
    <Grid label="How they served">
      <thead>
        <tr>
          <th scope="col">Version</th>
          <th scope="col" className="num">
            Requests
          </th>
          <th scope="col" className="num">
            Failed
          </th>
          <th scope="col" className="num">
            Half within
          </th>
          <th scope="col" className="num">
            95 % within
          </th>
          <th scope="col" className="num">
            99 % within
          </th>
          <th scope="col">What went wrong</th>
        </tr>
      </thead>
      <tbody>
        {[of.champion, of.shadow].map((side) => (
          <tr key={side.variant}>
            <th scope="row">
              {side.variant} v{side.number}
            </th>
            <td className="num">{count(side.requests)}</td>
            <td className="num">
              {count(side.failed)}
              {side.failures === null ? null : (
                <span className="sub">
                  {percent(side.failures.low)} to {percent(side.failures.high)}
                </span>
              )}
            </td>
            {[0, 1, 2].map((place) => (
              <td key={place} className="num">
                {side.latency_ms[place] === undefined ? <span className="muted">n/a</span> : `${number(side.latency_ms[place])} ms`}
              </td>
            ))}
            <td className="evidence">{side.errors.length === 0 ? <span className="muted">nothing</span> : side.errors.join("; ")}</td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

function Slices({ of }: { of: ShadowReport }) {
  const found = of.slices?.slices ?? [];
  if (found.length === 0) return <p className="muted">No group of rows differs more than the others.</p>;
  return (
    <Grid label="Where they differ most">
      <thead>
        <tr>
          <th scope="col">Group</th>
          <th scope="col" className="num">
            Rows
          </th>
          <th scope="col" className="num">
            Mean difference
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
                <StateMark state={slice.sure ? "warn" : "empty"} word={slice.sure ? "surely more" : "may be chance"} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </Grid>
  );
}
