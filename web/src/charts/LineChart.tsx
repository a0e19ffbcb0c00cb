import { useComputedColorScheme } from "@mantine/core";
import { useElementSize, useMergedRef } from "@mantine/hooks";
import { useEffect, useRef } from "react";
import "./language";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export type Marker = "circle" | "square" | "triangle" | "diamond";

export interface Line {
  label: string;
  values: (number | null)[];
  /** One of the eight data colours, 1 to 8; by default the place in the list. */
  hue?: number;
  dash?: number[];
  marker?: Marker;
  width?: number;
  /** How far the values of each stretch reached: a band behind the line, so that no peak is hidden. */
  band?: { low: (number | null)[]; high: (number | null)[] };
}

export type Sign = "turn" | "up" | "down" | "stop";

/** Something that happened at a moment: a thin upright line with a sign on top. color: a token. */
export interface Note {
  at: number;
  sign: Sign;
  color: string;
}

interface Props {
  /** Says what is drawn: the accessible name of the chart. */
  title: string;
  x: number[];
  lines: Line[];
  notes?: Note[];
  /** Whether x is in seconds since 1970, so that the axis shows dates. */
  time?: boolean;
  logarithmic?: boolean;
  height?: number;
  /** Ends of the x axis; by default a little more than the values reach. */
  span?: [number, number];
  xLabel?: (at: number) => string;
  yLabel?: (at: number) => string;
}

/** Lines over steps or time. The only place that knows uPlot; a page gives the numbers as a table as well. */
export function LineChart({ title, x, lines, notes = [], time = false, logarithmic = false, height = 240, span, xLabel, yLabel }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const { ref, width } = useElementSize<HTMLDivElement>();
  const both = useMergedRef(holder, ref);
  const scheme = useComputedColorScheme("light");

  useEffect(() => {
    const target = holder.current;
    if (target === null || width === 0) return;
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const font = `12px ${color("--font")}`;
    const banded = lines.flatMap((line, place) => (line.band === undefined ? [] : [{ ...line.band, color: color(`--data-${line.hue ?? (place % 8) + 1}`) }]));
    const axis = { stroke: color("--muted"), font, grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const plot = new UPlot(
      {
        width,
        height,
        padding: [notes.length > 0 ? 22 : 12, 16, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        scales: { x: { time, range: (_, low, high) => span ?? spread(low, high, time) }, y: { distr: logarithmic ? 3 : 1 } },
        axes: [
          { ...axis, size: 32, ...(xLabel === undefined ? (time ? { values: dates } : {}) : { splits: () => x, values: (_: UPlot, at: number[]) => thinned(at.map(xLabel), width) }) },
          { ...axis, size: 62, ...(yLabel === undefined ? {} : { values: (_: UPlot, at: number[]) => at.map((v) => (v === null ? "" : yLabel(v))) }) },
        ],
        series: [
          {},
          ...lines.map((line, place) => ({
            label: line.label,
            stroke: color(`--data-${line.hue ?? (place % 8) + 1}`),
            width: line.width ?? 1.75,
            dash: line.dash ?? (place < 8 ? [] : [6, 4]),
            points: { show: line.marker === undefined && line.values.length < 2 },
          })),
          ...banded.flatMap((band) => [edge(band.color), edge(band.color)]),
        ],
        bands: banded.map((band, place) => ({ series: [lines.length + 2 * place + 2, lines.length + 2 * place + 1], fill: faded(band.color, 25) })),
        hooks: {
          draw: [
            (drawn) => {
              let taken = Number.NEGATIVE_INFINITY;
              for (const note of [...notes].sort((a, b) => a.at - b.at)) taken = upright(drawn, note, color(note.color), taken);
              lines.forEach((line, place) => {
                if (line.marker !== undefined) marks(drawn, place + 1, line.marker, color(`--data-${line.hue ?? place + 1}`), color("--bg"));
              });
            },
          ],
        },
      },
      [x, ...lines.map((line) => line.values), ...banded.flatMap((band) => [band.low, band.high])],
      target,
    );
    return () => plot.destroy();
  }, [width, height, x, lines, notes, time, logarithmic, scheme, span, xLabel, yLabel]);

  return <div ref={both} role="img" aria-label={title} className="chart" style={{ minHeight: height }} />;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en-GB", { month: "short", year: "numeric", timeZone: "UTC" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });

/** Days as they are read everywhere on these pages (7 Jun), minutes where the ticks are close, months where they are far apart. */
function dates(_: UPlot, at: number[]): string[] {
  const apart = (at[1] ?? 0) - (at[0] ?? 0);
  const form = apart > 0 && apart < 86_400 ? MINUTE : apart > 27 * 86_400 ? MONTH : DAY;
  return at.map((seconds) => form.format(new Date(seconds * 1000)));
}

const faded = (color: string, percent: number) => `color-mix(in srgb, ${color} ${percent}%, transparent)`;

/** An edge of a band: fine, but seen where a single peak is narrower than a pixel. */
const edge = (color: string) => ({ stroke: faded(color, 60), width: 1, points: { show: false } });

/** Room at both sides, so that the first and the last marker are whole. */
function spread(low: number, high: number, time: boolean): [number, number] {
  const room = (high - low) * 0.02 || (time ? 86_400 : 0.5);
  return [low - room, high + room];
}

/** Leaves labels out where they would touch. */
function thinned(labels: string[], width: number): string[] {
  const every = Math.max(1, Math.ceil((labels.length * 64) / Math.max(width, 1)));
  return labels.map((label, place) => (place % every === 0 ? label : ""));
}

function marks(plot: UPlot, series: number, marker: Marker, color: string, background: string) {
  const { ctx } = plot;
  const size = 4.5 * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = color;
  ctx.strokeStyle = background;
  ctx.lineWidth = devicePixelRatio;
  (plot.data[series] ?? []).forEach((value, place) => {
    if (value === null || value === undefined) return;
    const cx = plot.valToPos(plot.data[0][place] ?? 0, "x", true);
    const cy = plot.valToPos(value, "y", true);
    ctx.beginPath();
    if (marker === "circle") ctx.arc(cx, cy, size, 0, 2 * Math.PI);
    else if (marker === "square") ctx.rect(cx - size * 0.9, cy - size * 0.9, size * 1.8, size * 1.8);
    else {
      ctx.moveTo(cx, cy - size * 1.2);
      ctx.lineTo(cx + size * 1.2, marker === "diamond" ? cy : cy + size);
      if (marker === "diamond") ctx.lineTo(cx, cy + size * 1.2);
      ctx.lineTo(cx - size * 1.2, marker === "diamond" ? cy : cy + size);
      ctx.closePath();
    }
    ctx.fill();
    ctx.stroke();
  });
  ctx.restore();
}

/** Draws one; its sign stands beside the one before it, never on it. Gives the place that is taken now. */
function upright(plot: UPlot, note: Note, color: string, taken: number): number {
  const { ctx, bbox } = plot;
  const at = plot.valToPos(note.at, "x", true);
  if (at < bbox.left || at > bbox.left + bbox.width) return taken;
  const unit = devicePixelRatio;
  const place = Math.max(at, taken + 14 * unit);
  ctx.save();
  ctx.strokeStyle = color;
  ctx.fillStyle = color;
  ctx.lineWidth = unit;
  ctx.setLineDash([2 * unit, 3 * unit]);
  ctx.globalAlpha = 0.6;
  ctx.beginPath();
  ctx.moveTo(at, bbox.top);
  ctx.lineTo(at, bbox.top + bbox.height);
  ctx.stroke();
  ctx.globalAlpha = 1;
  ctx.setLineDash([]);
  ctx.lineWidth = 1.75 * unit;
  ctx.translate(place - 6 * unit, bbox.top - 15 * unit);
  ctx.scale(unit, unit);
  const path = new Path2D(SIGNS[note.sign]);
  if (note.sign === "turn") {
    ctx.lineWidth = 1.75;
    ctx.stroke(path);
  } else ctx.fill(path);
  ctx.restore();
  return place;
}

/** Signs in a box of 12 by 12, for the canvas and for the legend. */
export const SIGNS: Record<Sign, string> = {
  turn: "M10.5 6a4.5 4.5 0 1 1-1.4-3.3M9.4 0.6v2.6H6.8",
  up: "M6 1l5 9.5H1z",
  down: "M6 11L1 1.5h10z",
  stop: "M1.5 1.5h9v9h-9z",
};
