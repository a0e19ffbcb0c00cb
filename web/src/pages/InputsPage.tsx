import { SegmentedControl } from "@mantine/core";
import { useState } from "react";
import { useParams } from "react-router";
import { useInputs } from "../api/queries";
import type { InputsReport, InputStory } from "../api/types";
import { count, day, number, percent } from "../format";
import { DeploymentNav } from "../parts/DeploymentNav";
import { Loaded } from "../parts/Loaded";
import { StateMark } from "../parts/State";
import { Grid, Section } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";
import "../parts/deliveries.css";
import "./inputs.css";

const DAYS = ["7", "14", "30", "90"];
const SEVERITIES = { info: "empty", warn: "warn", page: "bad" } as const;

/** What the model was asked, day by day, beside what it learnt from: the same numbers as `noria inputs`. */
export default function InputsPage() {
  const { deploymentName = "" } = useParams();
  const [days, setDays] = useState("14");
  const inputs = useInputs(deploymentName, Number(days));
  return (
    <Page title={deploymentName} action={<SegmentedControl size="xs" aria-label="How many days" data={DAYS.map((each) => ({ value: each, label: `${each} days` }))} value={days} onChange={setDays} />}>
      <DeploymentNav name={deploymentName} />
      <Loaded of={inputs}>{(data) => <Whole of={data} />}</Loaded>
    </Page>
  );
}

function Whole({ of }: { of: InputsReport }) {
  if (!of.inputs.some((each) => each.days.length > 0)) return <Empty>No day was counted yet.</Empty>;
  return (
    <div className="stack">
      <Section title="The newest day">
        {of.findings.length === 0 ? (
          <p>
            <StateMark state="ok" word="nothing is wrong with it" />
          </p>
        ) : (
          <ul className="findings">
            {of.findings.map((each) => (
              <li key={`${each.kind} ${each.about}`}>
                <StateMark state={SEVERITIES[each.severity]} word={each.severity} />
                <div>
                  <p>{each.summary}</p>
                  {each.remedy === "" ? null : <p className="muted small">{each.remedy}</p>}
                </div>
              </li>
            ))}
          </ul>
        )}
      </Section>
      <Section title="Inputs by day" aside={<span className="muted">version {of.number}, beside what it learnt from</span>}>
        <Inputs of={of.inputs.filter((each) => each.days.length > 0).sort((a, b) => (b.importance ?? -1) - (a.importance ?? -1))} />
      </Section>
    </div>
  );
}

function Inputs({ of }: { of: InputStory[] }) {
  return (
    <>
      <Grid label="Inputs by day">
        <thead>
          <tr>
            <th scope="col">Input</th>
            <th scope="col">Days</th>
            <th scope="col" className="num">
              Learnt from
            </th>
            <th scope="col" className="num">
              Mean then, now
            </th>
            <th scope="col" className="num">
              Missing then, now
            </th>
            <th scope="col" className="num">
              Strange now
            </th>
            <th scope="col" className="num">
              Rows
            </th>
          </tr>
        </thead>
        <tbody>
          {of.map((story) => {
            const last = story.days.at(-1);
            const strange = last?.out_of_range ?? last?.unseen ?? null;
            return (
              <tr key={story.name}>
                <th scope="row">
                  {story.importance === null ? "the model's answers" : story.name}
                  <span className="sub">{story.importance === null || story.importance === 0 ? story.kind : `${story.kind}, importance ${percent(story.importance)}`}</span>
                </th>
                <td>
                  <Days of={story} />
                </td>
                <td className="num">{story.low === null || story.high === null ? <span className="muted">n/a</span> : `${number(story.low)} to ${number(story.high)}`}</td>
                <td className="num">
                  {number(story.mean)} <span className="muted">{number(last?.mean)}</span>
                </td>
                <td className="num">
                  {percent(story.missing)} <span className="muted">{last === undefined ? "n/a" : percent(last.missing)}</span>
                </td>
                <td className="num">{strange === null ? <span className="muted">n/a</span> : percent(strange)}</td>
                <td className="num">{count(last?.rows ?? 0)}</td>
              </tr>
            );
          })}
        </tbody>
      </Grid>
      <p className="muted small">Each picture: the middle 90 % of a day as a bar with its median, or its mean where no quantiles are kept; between the dashed lines lies what the version learnt from. Strange is out of the range, or a value, that it never saw.</p>
    </>
  );
}

const WIDTH = 280;
const HEIGHT = 56;

/** One input over the days. Numbers: middle 90 % and median, within the learnt range; texts: the share of values never seen before. */
function Days({ of }: { of: InputStory }) {
  const numeric = of.kind === "number";
  const shown = of.days.map((each) => {
    if (!numeric) return { low: 0, middle: each.unseen ?? each.missing, high: each.unseen ?? each.missing };
    const [low, middle, high] = each.quantiles ?? [];
    return { low: low ?? each.mean, middle: middle ?? each.mean, high: high ?? each.mean };
  });
  const ends = [...shown.flatMap((each) => [each.low, each.middle, each.high]), ...(numeric ? [of.low, of.high] : [0, 0.05])].filter((end) => end !== null && end !== undefined);
  const least = Math.min(...ends);
  const span = Math.max(...ends) - least || 1;
  const y = (at: number) => HEIGHT - 4 - ((at - least) / span) * (HEIGHT - 8);
  const step = WIDTH / Math.max(of.days.length, 1);
  const first = of.days[0];
  const last = of.days.at(-1);
  const said = first === undefined || last === undefined ? "" : `, ${day(first.since)} to ${day(last.since)}`;
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={`${of.name} by day${said}`} className="days">
      {!numeric ? null : [of.low, of.high].map((end, place) => (end === null ? null : <line key={place} x1={0} x2={WIDTH} y1={y(end)} y2={y(end)} className="days-range" />))}
      {shown.map((each, place) => {
        const begins = of.days[place];
        if (begins === undefined || each.low === null || each.middle === null || each.high === null) return null;
        const x = place * step;
        const wide = Math.max(Math.min(step - 2, 16), 2);
        return (
          <g key={begins.since}>
            <title>{`${day(begins.since)}: ${numeric ? `${number(each.low)}, ${number(each.middle)}, ${number(each.high)}` : percent(each.middle)}`}</title>
            <rect x={x + (step - wide) / 2} width={wide} y={y(each.high)} height={Math.max(y(each.low) - y(each.high), 1)} className="days-bar" />
            <line x1={x + (step - wide) / 2} x2={x + (step + wide) / 2} y1={y(each.middle)} y2={y(each.middle)} className="days-middle" />
          </g>
        );
      })}
    </svg>
  );
}
