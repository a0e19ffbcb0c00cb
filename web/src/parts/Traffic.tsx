import { Link } from "react-router";
import type { Variant } from "../api/types";
import { percent } from "../format";

/** Arms besides champion and challenger take the next hues, with stripes that lean the other way. */
const look = (variant: Variant, others: Variant[]): string =>
  variant.name === "champion" || variant.name === "challenger" ? `traffic-${variant.name}` : `traffic-arm traffic-arm-${(others.indexOf(variant) % 4) + 1}`;

/** How the traffic is split: a bar (each version told apart without colour too) and the versions with their shares; shadows only get copies. */
export function Traffic({ variants }: { variants: Variant[] }) {
  if (variants.length === 0) return <p className="muted">No version answers.</p>;
  const others = variants.filter((v) => v.name !== "champion" && v.name !== "challenger");
  const answering = variants.filter((v) => !v.shadow && v.weight > 0);
  const said = variants.map((v) => `${v.name} version ${v.number}: ${v.shadow ? `copies of ${percent(v.weight)}` : percent(v.weight)}`).join(", ");
  return (
    <div className="traffic">
      <div role="img" aria-label={`Traffic: ${said}`} className="traffic-bar">
        {answering.map((v) => (
          <span key={v.name} className={look(v, others)} style={{ flexGrow: Math.max(v.weight, 0.001) }} />
        ))}
      </div>
      <ul className="traffic-legend">
        {variants.map((v) => (
          <li key={v.name}>
            <span className={`traffic-key ${look(v, others)}`} aria-hidden="true" />
            <Link to={`/models/${encodeURIComponent(v.model)}/versions/${v.number}`}>
              v{v.number} <span className="muted">({v.version})</span>
            </Link>
            <span>{v.name}</span>
            {v.shadow ? <span className="muted">in the shadow: copies of {percent(v.weight)} of the requests</span> : <strong>{percent(v.weight)}</strong>}
          </li>
        ))}
      </ul>
    </div>
  );
}
