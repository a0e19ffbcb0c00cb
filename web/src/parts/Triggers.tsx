import type { TriggerStory } from "../api/types";
import { instant } from "../format";
import { Chip } from "./State";
import { Grid, When } from "./Texts";

/** What besides alarms may ask for a training: when each is due next, and what came of it last. */
export function Triggers({ of }: { of: TriggerStory[] }) {
  if (of.length === 0) return <p className="muted">None is declared: alarms, growth of the data and people ask for trainings.</p>;
  return (
    <Grid label="Triggers">
      <thead>
        <tr>
          <th scope="col">Trigger</th>
          <th scope="col">Waits for</th>
          <th scope="col">Next due</th>
          <th scope="col">Fired last</th>
          <th scope="col">What came of it</th>
        </tr>
      </thead>
      <tbody>
        {of.map((each) => (
          <tr key={each.name}>
            <th scope="row">
              {each.name} <Chip>{each.rule.kind.replaceAll("_", " ")}</Chip>
            </th>
            <td className="evidence">{each.says}</td>
            <td>{each.next_due === null ? <span className="muted">not by the calendar</span> : instant(each.next_due)}</td>
            <td>
              {each.last === null ? (
                <span className="muted">not yet</span>
              ) : (
                <>
                  <When at={each.last.at} />
                  {each.last.missed === 0 ? null : <span className="sub">for {each.last.missed} that were missed as well</span>}
                </>
              )}
            </td>
            <td className="evidence">{each.last === null ? "" : each.last.outcome === "" ? <span className="muted">the loop has not dealt with it yet</span> : each.last.outcome}</td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}
