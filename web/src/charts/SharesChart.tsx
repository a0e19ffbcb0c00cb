import type { Bin } from "../api/types";
import { percent } from "../format";

const WIDTH = 260;
const HEIGHT = 56;

/** Shares by bin: the reference as outlined steps, the newest windows as bars. Small; the numbers stand in each bar's title. */
export function SharesChart({ title, bins, seen }: { title: string; bins: Bin[]; seen: boolean }) {
  const most = Math.max(...bins.map((bin) => Math.max(bin.reference, seen ? bin.now : 0)), 1e-9);
  const step = WIDTH / bins.length;
  const top = (share: number) => HEIGHT - (HEIGHT - 2) * (share / most);
  const outline = bins.map((bin, place) => `${place === 0 ? "M" : "L"}${place * step},${top(bin.reference)}H${(place + 1) * step}`).join("");
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={title} className="shares">
      {bins.map((bin, place) => (
        <g key={bin.name}>
          <title>{`${bin.name}: reference ${percent(bin.reference)}${seen ? `, now ${percent(bin.now)}` : ""}`}</title>
          <rect x={place * step} y={0} width={step} height={HEIGHT} fill="transparent" />
          {seen ? <rect x={place * step + 1} y={top(bin.now)} width={Math.max(step - 2, 1)} height={HEIGHT - top(bin.now)} className="shares-now" /> : null}
        </g>
      ))}
      <path d={outline} className="shares-reference" />
      <line x1={0} x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} className="shares-floor" />
    </svg>
  );
}
