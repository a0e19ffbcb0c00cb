import { SegmentedControl } from "@mantine/core";
import { useMemo, useState } from "react";
import type { Arm, EventView, MonthFigures } from "../api/types";
import { count, number } from "../format";
import { Star } from "../parts/Signs";
import { Grid } from "../parts/Texts";
import { type Line, LineChart, type Marker, type Note, type Sign, SIGNS } from "./LineChart";

type Figure = "log_loss" | "auc" | "calibration_error";

const FIGURES: { value: Figure; label: string }[] = [
  { value: "log_loss", label: "Log loss" },
  { value: "auc", label: "AUC" },
  { value: "calibration_error", label: "Calibration" },
];
const LOWER: Record<Figure, boolean> = { log_loss: true, auc: false, calibration_error: true };

interface Look {
  label: string;
  hue: number;
  dash: number[];
  marker: Marker;
  width?: number;
}
const ARMS: Record<string, Look> = {
  noria: { label: "Noria's loop", hue: 1, dash: [], marker: "circle", width: 2.5 },
  frozen: { label: "Frozen winter model", hue: 2, dash: [8, 5], marker: "square" },
  blind_recent: { label: "Blind monthly, last 2 months", hue: 4, dash: [2, 4], marker: "triangle" },
  blind_all: { label: "Blind monthly, all so far", hue: 3, dash: [10, 4, 2, 4], marker: "diamond" },
};
const SPARE: Marker[] = ["circle", "square", "triangle", "diamond"];
const look = (arm: string, place: number): Look => ARMS[arm] ?? { label: arm, hue: (place % 8) + 1, dash: [4, 4], marker: SPARE[place % 4] ?? "circle" };

/** What the loop did, as it is marked on the chart. Shapes differ as well as colours. */
const MARKS: Record<string, { sign: Sign; color: string; word: string }> = {
  RetrainRequested: { sign: "turn", color: "--info", word: "retraining asked for" },
  GatesFailed: { sign: "stop", color: "--warn", word: "challenger refused" },
  RolloutPromoted: { sign: "up", color: "--ok", word: "promoted" },
  RolloutRolledBack: { sign: "down", color: "--bad", word: "rolled back" },
};

/** Months by arm, as curves or as a table, with what the loop did above the curves. */
export function ArmChart({ months, events = [] }: { months: MonthFigures[]; events?: EventView[] }) {
  const [figure, setFigure] = useState<Figure>("log_loss");
  const [form, setForm] = useState("chart");
  const arms = useMemo(() => ordered(months), [months]);
  const x = useMemo(() => months.map(({ month }) => middle(month)), [months]);
  const lines = useMemo(
    () =>
      arms.map((arm, place): Line => {
        const { label, hue, dash, marker, width } = look(arm, place);
        return { label, hue, dash, marker, ...(width === undefined ? {} : { width }), values: months.map((m) => m.arms[arm]?.[figure] ?? null) };
      }),
    [arms, months, figure],
  );
  const span = useMemo(() => spanOf(months), [months]);
  const notes = useMemo(() => notesOf(events).filter((note) => note.at >= span[0] && note.at <= span[1]), [events, span]);
  const name = FIGURES.find((f) => f.value === figure)?.label ?? figure;
  const seen = new Set(notes.map((note) => note.sign));
  return (
    <div className="arm-chart">
      <div className="chart-tools">
        <SegmentedControl size="xs" aria-label="Figure" data={FIGURES} value={figure} onChange={(v) => setFigure(v as Figure)} />
        <SegmentedControl
          size="xs"
          aria-label="Chart or table"
          data={[
            { value: "chart", label: "Chart" },
            { value: "table", label: "Table" },
          ]}
          value={form}
          onChange={setForm}
        />
      </div>
      {form === "chart" ? (
        <>
          <LineChart title={`${name} by month, ${arms.length} ways of looking after the model. The table holds the same numbers.`} x={x} lines={lines} notes={notes} time height={300} span={span} xLabel={monthName} yLabel={tick} />
          <ul className="legend" aria-label="Legend">
            {arms.map((arm, place) => (
              <li key={arm}>
                <Sample of={look(arm, place)} />
                {look(arm, place).label}
              </li>
            ))}
            {Object.values(MARKS)
              .filter((mark) => seen.has(mark.sign))
              .map((mark) => (
                <li key={mark.word}>
                  <svg width={12} height={12} viewBox="0 0 12 12" aria-hidden="true" style={{ color: `var(${mark.color})` }}>
                    <path d={SIGNS[mark.sign]} fill={mark.sign === "turn" ? "none" : "currentColor"} stroke={mark.sign === "turn" ? "currentColor" : "none"} strokeWidth={1.75} />
                  </svg>
                  {mark.word}
                </li>
              ))}
            <li className="muted">{LOWER[figure] ? "lower is better" : "higher is better"}</li>
          </ul>
        </>
      ) : (
        <MonthTable months={months} arms={arms} figure={figure} name={name} />
      )}
    </div>
  );
}

/** The year's totals: one line an arm, the best of each column marked by a star. */
export function YearTable({ year, retrainings }: { year: Record<string, Arm>; retrainings: Record<string, number> }) {
  const arms = Object.keys(ARMS)
    .filter((arm) => arm in year)
    .concat(Object.keys(year).filter((arm) => !(arm in ARMS)));
  const winner = (figure: Figure) => best(arms.map((arm) => year[arm]?.[figure] ?? null), LOWER[figure]);
  return (
    <Grid label="The whole year">
      <thead>
        <tr>
          <th scope="col">Way of looking after the model</th>
          {FIGURES.map((f) => (
            <th key={f.value} scope="col" className="num">
              {f.label}
            </th>
          ))}
          <th scope="col" className="num">
            Retrainings
          </th>
          <th scope="col" className="num">
            Outcomes
          </th>
        </tr>
      </thead>
      <tbody>
        {arms.map((arm, place) => (
          <tr key={arm}>
            <th scope="row">
              <span className="arm-name">
                <Sample of={look(arm, place)} />
                {look(arm, place).label}
              </span>
            </th>
            {FIGURES.map((f) => (
              <td key={f.value} className="num">
                <Best is={winner(f.value) === place} />
                {number(year[arm]?.[f.value])}
              </td>
            ))}
            <td className="num">{retrainings[arm] === undefined ? <span className="muted">n/a</span> : count(retrainings[arm])}</td>
            <td className="num">{count(year[arm]?.n ?? 0)}</td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}

function MonthTable({ months, arms, figure, name }: { months: MonthFigures[]; arms: string[]; figure: Figure; name: string }) {
  return (
    <Grid label={`${name} by month`} dense>
      <thead>
        <tr>
          <th scope="col">Month</th>
          {arms.map((arm, place) => (
            <th key={arm} scope="col" className="num">
              {look(arm, place).label}
            </th>
          ))}
          <th scope="col" className="num">
            Outcomes
          </th>
        </tr>
      </thead>
      <tbody>
        {months.map((row) => {
          const values = arms.map((arm) => row.arms[arm]?.[figure] ?? null);
          const winner = best(values, LOWER[figure]);
          return (
            <tr key={row.month}>
              <th scope="row">{monthName(middle(row.month))}</th>
              {values.map((given, place) => (
                <td key={arms[place]} className="num">
                  <Best is={winner === place} />
                  {number(given)}
                </td>
              ))}
              <td className="num">{count(Math.max(0, ...arms.map((arm) => row.arms[arm]?.n ?? 0)))}</td>
            </tr>
          );
        })}
      </tbody>
    </Grid>
  );
}

const Best = ({ is }: { is: boolean }) => (is ? <Star said="best: " /> : null);

/** A short piece of an arm's line with its marker. */
function Sample({ of }: { of: Look }) {
  const color = `var(--data-${of.hue})`;
  const marker: Record<Marker, React.ReactNode> = {
    circle: <circle cx="14" cy="7" r="4" />,
    square: <rect x="10.5" y="3.5" width="7" height="7" />,
    triangle: <path d="M14 2.5l4.5 8.5h-9z" />,
    diamond: <path d="M14 2l5 5-5 5-5-5z" />,
  };
  return (
    <svg width={28} height={14} viewBox="0 0 28 14" aria-hidden="true" className="sample">
      <path d="M0 7h28" stroke={color} strokeWidth={of.width ?? 1.75} strokeDasharray={of.dash.join(" ")} />
      <g fill={color}>{marker[of.marker]}</g>
    </svg>
  );
}

function best(values: (number | null)[], lower: boolean): number {
  let place = -1;
  values.forEach((given, at) => {
    const champion = values[place] ?? null;
    if (given !== null && (champion === null || (lower ? given < champion : given > champion))) place = at;
  });
  return place;
}

function ordered(months: MonthFigures[]): string[] {
  const found = new Set(months.flatMap((m) => Object.keys(m.arms)));
  return [...Object.keys(ARMS).filter((arm) => found.has(arm)), ...[...found].filter((arm) => !(arm in ARMS)).sort()];
}

function notesOf(events: EventView[]): Note[] {
  return events
    .filter((event) => event.kind in MARKS && !(event.kind === "RetrainRequested" && event.body["trigger"] === "declared"))
    .filter((event) => !(event.kind === "RolloutPromoted" && event.body["previous"] === null))
    .flatMap((event) => {
      const mark = MARKS[event.kind];
      return mark === undefined ? [] : [{ at: new Date(event.at).getTime() / 1000, sign: mark.sign, color: mark.color }];
    });
}

/** From the first day of the first month to the last of the last. */
function spanOf(months: MonthFigures[]): [number, number] {
  const first = months[0]?.month ?? "1970-01";
  const last = months.at(-1)?.month ?? first;
  return [Date.parse(`${first}-01T00:00:00Z`) / 1000, middle(last) + 16 * 86_400];
}

/** "2013-03" stands at the middle of its month. */
const middle = (month: string): number => Date.parse(`${month}-15T00:00:00Z`) / 1000;
const MONTH = new Intl.DateTimeFormat("en-GB", { month: "short", year: "2-digit", timeZone: "UTC" });
const monthName = (at: number): string => MONTH.format(new Date(at * 1000));
const tick = (at: number): string => String(Number(at.toPrecision(4)));
