import { useComputedColorScheme } from "@mantine/core";
import { useElementSize, useMergedRef } from "@mantine/hooks";
import { useEffect, useRef } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Line {
  label: string;
  values: (number | null)[];
  /** One of the eight data colours, 1 to 8; by default the place in the list. */
  hue?: number;
  dash?: number[];
}

interface Props {
  /** Says what is drawn: the accessible name of the chart. */
  title: string;
  x: number[];
  lines: Line[];
  /** Whether x is in seconds since 1970, so that the axis shows dates. */
  time?: boolean;
  logarithmic?: boolean;
  height?: number;
}

/** Lines over steps or time. The only place that knows uPlot; a page gives the numbers as a table as well. */
export function LineChart({ title, x, lines, time = false, logarithmic = false, height = 240 }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const { ref, width } = useElementSize<HTMLDivElement>();
  const both = useMergedRef(holder, ref);
  const scheme = useComputedColorScheme("light");

  useEffect(() => {
    const target = holder.current;
    if (target === null || width === 0) return;
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const plot = new UPlot(
      {
        width,
        height,
        scales: { x: { time }, y: { distr: logarithmic ? 3 : 1 } },
        axes: [axis, axis],
        series: [
          {},
          ...lines.map((line, place) => ({
            label: line.label,
            stroke: color(`--data-${line.hue ?? (place % 8) + 1}`),
            width: 1.5,
            dash: line.dash ?? (place < 8 ? [] : [6, 4]),
          })),
        ],
      },
      [x, ...lines.map((line) => line.values)],
      target,
    );
    return () => plot.destroy();
  }, [width, height, x, lines, time, logarithmic, scheme]);

  return <div ref={both} role="img" aria-label={title} style={{ minHeight: height }} />;
}
