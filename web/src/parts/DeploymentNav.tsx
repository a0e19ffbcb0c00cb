import { NavLink } from "react-router";
import { deploymentPath } from "./RunParts";
import "./deliveries.css";

const PLACES = [
  { to: "", label: "Overview" },
  { to: "/watch", label: "Watching" },
  { to: "/quality", label: "Quality" },
  { to: "/inputs", label: "Inputs" },
  { to: "/shadow", label: "Shadow" },
];

/** The pages of one deployment, side by side. */
export function DeploymentNav({ name }: { name: string }) {
  return (
    <nav aria-label={`Pages of ${name}`} className="places">
      {PLACES.map(({ to, label }) => (
        <NavLink key={label} to={`${deploymentPath(name)}${to}`} end className="place">
          {label}
        </NavLink>
      ))}
    </nav>
  );
}
