import { useMemo } from "react";
import type { Curve, Delivery } from "../api/types";
import { chosen, count, instant, number } from "../format";
import { type Line, LineChart, type Note } from "./LineChart";

/** So many half-widths of the newest interval are drawn; what reaches farther is cut at the edge. */
const REACH = 4;

/** One objective over the looks of a rollout: the estimate in its confidence sequence, and the limit. Valid at every look, so it may be looked at. */
export function EvidenceChart({ curve, name, moves }: { curve: Curve; name: string; moves: Delivery["moves"] }) {
  const x = useMemo(() => curve.points.map((point) => Date.parse(point.at) / 1000), [curve]);
  const lines = useMemo((): Line[] => {
    const cut = cutter(curve);
    return [
      {
        label: "estimate, within its confidence sequence",
        hue: 1,
        width: 2.25,
        values: curve.points.map((point) => cut(point.value)),
        band: { low: curve.points.map((point) => cut(point.low ?? -Infinity)), high: curve.points.map((point) => cut(point.high ?? Infinity)) },
      },
      { label: `limit, ${chosen(curve.limit)}`, hue: 2, dash: [6, 4], width: 1.5, values: curve.points.map(() => curve.limit) },
    ];
  }, [curve]);
  const notes = useMemo((): Note[] => moves.slice(1).map((move) => ({ at: Date.parse(move.at) / 1000, sign: "up", color: "--info" })), [moves]);
  const last = curve.points.at(-1);
  return (
    <>
      <LineChart title={`${name} over ${curve.points.length} looks, with its limit. The last numbers stand below.`} x={x} lines={lines} notes={notes} time height={260} />
      <ul className="legend" aria-label="Legend">
        {lines.map((line) => (
          <li key={line.label}>
            <svg width={28} height={8} aria-hidden="true">
              <line x1={0} x2={28} y1={4} y2={4} stroke={`var(--data-${line.hue})`} strokeWidth={line.width ?? 1.75} strokeDasharray={line.dash?.join(" ")} />
            </svg>
            {line.label}
          </li>
        ))}
        {notes.length === 0 ? null : <li className="muted">upright lines: another share from there on</li>}
      </ul>
      {last === undefined ? null : (
        <p className="muted small">
          {count(curve.points.length)} looks. At the newest, {instant(last.at)}: {number(last.value)}, not below {last.low === null ? "any limit yet" : number(last.low)}, not above{" "}
          {last.high === null ? "any limit yet" : number(last.high)}.
        </p>
      )}
    </>
  );
}

/** Keeps values near enough to the newest interval and the limit that these can be told apart. */
function cutter(curve: Curve): (value: number | null) => number | null {
  const known = curve.points.filter((point) => point.low !== null || point.high !== null);
  const last = known.at(-1);
  const middle = last?.value ?? 0;
  const ends = [last?.low ?? middle, last?.high ?? middle, curve.limit];
  const half = Math.max(...ends.map((end) => Math.abs(end - middle)), 1e-9);
  const low = middle - REACH * half;
  const high = middle + REACH * half;
  return (value) => (value === null ? null : Math.min(high, Math.max(low, value)));
}
