import type { GateReport, GateResult, Interval } from "../api/types";
import { chosen, count, metric, number } from "../format";
import { StateMark } from "./State";
import { Grid } from "./Texts";

const KINDS: Record<string, string> = {
  absolute: "against a fixed limit",
  against_champion: "against the champion",
  worst_slice: "worst slice",
  calibration: "calibration",
  latency: "latency",
  group_gap: "gap between groups",
  data_contract: "contract of the data",
};

/** Every gate with what was measured, its interval drawn against the limit, and the sentence of evidence. */
export function Gates({ report, brief = false }: { report: GateReport; brief?: boolean }) {
  return (
    <>
      <Grid label="Gates">
        <thead>
          <tr>
            <th scope="col">Gate</th>
            <th scope="col" className="num">
              Measured
            </th>
            <th scope="col">Interval and limit</th>
            <th scope="col" className="num">
              Limit
            </th>
            {brief ? null : (
              <th scope="col" className="num">
                Champion
              </th>
            )}
            {brief ? null : <th scope="col">Evidence</th>}
          </tr>
        </thead>
        <tbody>
          {report.results.map((result) => (
            <tr key={result.gate.name}>
              <th scope="row">
                <span className="gate-name">
                  <StateMark state={result.passed ? "ok" : "bad"} word={result.passed ? "passed" : "failed"} hidden />
                  <span>
                    {result.gate.name}
                    <span className="sub">
                      {metric(result.gate.metric)}, {KINDS[result.gate.kind] ?? result.gate.kind}
                      {result.slice_value ? `: ${result.gate.slice_by ?? "slice"} ${result.slice_value}` : ""}
                    </span>
                  </span>
                </span>
              </th>
              <td className="num">
                <Measured of={result} />
              </td>
              <td>
                <IntervalPlot result={result} />
              </td>
              <td className="num">
                <Limit of={result} />
              </td>
              {brief ? null : <td className="num">{result.champion ? number(result.champion.value) : <span className="muted">none</span>}</td>}
              {brief ? null : <td className="evidence">{result.evidence}</td>}
            </tr>
          ))}
        </tbody>
      </Grid>
      <p className="muted small">
        {report.results.filter((r) => r.passed).length} of {report.results.length} gates passed on {count(report.rows)} rows
        {report.since === "" ? "" : `, ${report.since.slice(0, 10)} to ${report.until.slice(0, 10)}`}. A gate passes only if the unfavourable end of the
        interval keeps the limit.
      </p>
    </>
  );
}

function Measured({ of }: { of: GateResult }) {
  if (of.measured.method === "not measured") return <span className="muted">not measured</span>;
  return (
    <>
      {number(of.measured.value)}
      <span className="sub">
        {number(of.measured.low)} to {number(of.measured.high)}
      </span>
    </>
  );
}

function Limit({ of }: { of: GateResult }) {
  const bound = boundOf(of);
  if (bound === null) return <span className="muted">{of.passed ? "no champion yet" : "n/a"}</span>;
  return (
    <>
      {bound.lower ? "≤" : "≥"} {chosen(bound.limit)}
    </>
  );
}

interface Bound {
  limit: number;
  /** Whether the allowed side is the lower one. */
  lower: boolean;
}

/**
 * What the measured interval is held to. A tolerated worsening is a difference: of a metric that should be high it may fall to minus the limit;
 * of a slice it is counted upwards whatever the metric. Without a champion, or when nothing could be measured, there is nothing to hold it to.
 */
export function boundOf({ gate, measured, evidence }: GateResult): Bound | null {
  const lower = gate.better === "lower";
  if (measured.method === "not measured") return null;
  if (gate.kind !== "against_champion" && gate.kind !== "worst_slice") return { limit: gate.limit, lower };
  if (evidence.startsWith("no champion yet")) return null;
  return gate.kind === "worst_slice" || lower ? { limit: gate.limit, lower: true } : { limit: -gate.limit, lower: false };
}

const WIDTH = 220;
const HEIGHT = 34;
const PAD = 12;

/** A small picture of one gate: allowed side shaded, limit as a dashed line, interval as a bar with its value; the numbers stand beside it. */
function IntervalPlot({ result }: { result: GateResult }) {
  const bound = boundOf(result);
  if (bound === null) return <span className="muted">nothing to compare with</span>;
  const { limit, lower } = bound;
  const shown: Interval[] = result.champion === null || isDifference(result) ? [result.measured] : [result.measured, result.champion];
  const ends = [limit, ...shown.flatMap((i) => [i.low, i.high])];
  const low = Math.min(...ends);
  const span = Math.max(...ends) - low || Math.abs(low) || 1;
  const x = (at: number) => PAD + ((at - low) / span) * (WIDTH - 2 * PAD);
  const label = `${result.gate.name}: ${number(result.measured.value)}, interval ${number(result.measured.low)} to ${number(result.measured.high)}, must be at ${lower ? "most" : "least"} ${chosen(limit)}`;
  return (
    <svg width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label} className="interval">
      <rect x={lower ? 0 : x(limit)} y={0} width={lower ? x(limit) : WIDTH - x(limit)} height={HEIGHT} className="interval-allowed" />
      <line x1={x(limit)} x2={x(limit)} y1={0} y2={HEIGHT} className="interval-limit" />
      {shown[1] ? <Bar of={shown[1]} x={x} y={26} kind="champion" /> : null}
      <Bar of={result.measured} x={x} y={shown[1] ? 11 : 17} kind={result.passed ? "passed" : "failed"} />
    </svg>
  );
}

const isDifference = ({ gate }: GateResult) => gate.kind === "against_champion" || gate.kind === "worst_slice";

function Bar({ of, x, y, kind }: { of: Interval; x: (at: number) => number; y: number; kind: "passed" | "failed" | "champion" }) {
  return (
    <g className={`interval-${kind}`}>
      <path d={`M${x(of.low)} ${y - 4}v8M${x(of.high)} ${y - 4}v8M${x(of.low)} ${y}H${x(of.high)}`} />
      {kind === "champion" ? <path d={`M${x(of.value)} ${y - 4}l4 4-4 4-4-4z`} className="solid" /> : <circle cx={x(of.value)} cy={y} r={4} className="solid" />}
    </g>
  );
}
