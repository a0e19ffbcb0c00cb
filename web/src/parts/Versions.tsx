import { Link } from "react-router";
import type { AliasMove } from "../api/types";
import { Arrow } from "./Signs";
import { Chip, StateMark } from "./State";
import { deploymentPath, versionPath } from "./RunParts";
import { Grid, When } from "./Texts";

export function GateMark({ passed, total }: { passed: number; total: number }) {
  if (total === 0) return <StateMark state="empty" word="no gates" />;
  return <StateMark state={passed === total ? "ok" : "bad"} word={`${passed} of ${total} passed`} />;
}

/** Deployments in which something answers. */
export function Where({ names }: { names: string[] }) {
  if (names.length === 0) return <span className="muted">nowhere</span>;
  return (
    <>
      {names.map((name) => (
        <Link key={name} to={deploymentPath(name)}>
          {name}{" "}
        </Link>
      ))}
    </>
  );
}

export const Aliases = ({ of }: { of: string[] }) => (
  <span className="chips">
    {of.map((alias) => (
      <Chip key={alias} tone="accent">{`@${alias}`}</Chip>
    ))}
  </span>
);

/** Who pointed which alias where, and why; newest first. */
export function AliasHistory({ moves }: { moves: AliasMove[] }) {
  if (moves.length === 0) return <p className="muted">No alias has pointed here.</p>;
  return (
    <Grid label="Alias history" dense>
      <thead>
        <tr>
          <th scope="col">Alias</th>
          <th scope="col">Moved</th>
          <th scope="col">Why</th>
          <th scope="col">By</th>
          <th scope="col">When</th>
        </tr>
      </thead>
      <tbody>
        {moves.map((move) => (
          <tr key={`${move.alias} ${move.at} ${move.number}`}>
            <th scope="row">@{move.alias}</th>
            <td>
              {move.previous === null ? (
                move.number === null ? null : "first set to "
              ) : (
                <>
                  v{move.previous} <Arrow to="right" /> <span className="unseen">to</span>
                </>
              )}
              {move.number === null ? "taken away" : <Link to={versionPath(move.model, move.number)}>v{move.number}</Link>}
            </td>
            <td>{move.reason}</td>
            <td>{move.actor}</td>
            <td>
              <When at={move.at} />
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}
