import { Link } from "react-router";
import type { Variant } from "../api/types";
import { percent } from "../format";

/** How the traffic is split: a bar (the challenger hatched, so that it is told apart without colour) and the versions with their shares. */
export function Traffic({ variants }: { variants: Variant[] }) {
  if (variants.length === 0) return <p className="muted">No version answers yet.</p>;
  const said = variants.map((v) => `${v.name} version ${v.number}: ${percent(v.weight)}`).join(", ");
  return (
    <div className="traffic">
      <div role="img" aria-label={`Traffic: ${said}`} className="traffic-bar">
        {variants.map((v) => (
          <span key={v.name} className={`traffic-${v.name}`} style={{ flexGrow: Math.max(v.weight, 0.001) }} />
        ))}
      </div>
      <ul className="traffic-legend">
        {variants.map((v) => (
          <li key={v.name}>
            <span className={`traffic-key traffic-${v.name}`} aria-hidden="true" />
            <Link to={`/models/${encodeURIComponent(v.model)}/versions/${v.number}`}>
              v{v.number} <span className="muted">({v.version})</span>
            </Link>
            <span>{v.name}</span>
            <strong>{percent(v.weight)}</strong>
          </li>
        ))}
      </ul>
    </div>
  );
}
