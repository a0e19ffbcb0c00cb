import type { PolicyState } from "../api/types";
import { instant, value } from "../format";
import { Bounds } from "./Deliveries";
import { StateMark } from "./State";
import { Facts, When } from "./Texts";

/** What the policy still allows: the budget as a row of marks, the cool-down, and the last decision with each limit beside what was found. */
export function Policy({ of }: { of: PolicyState }) {
  if (of.at === null && of.declared === null) return <p className="muted">Nothing has been decided yet: no alarm, no growth and no trigger has asked for a training.</p>;
  return (
    <div className="card policy">
      <dl className="figures">
        <div>
          <dt>retrainings in 365 days{of.budget === null ? "" : `, of ${of.budget}`}</dt>
          <dd>
            {of.spent}
            {of.budget === null ? null : <Budget spent={of.spent} of={of.budget} />}
          </dd>
        </div>
        <div>
          <dt>cooling down</dt>
          <dd>{of.cooling_until === null ? "no" : `until ${instant(of.cooling_until)}`}</dd>
        </div>
        {of.free_at === null ? null : (
          <div>
            <dt>budget free again</dt>
            <dd>{instant(of.free_at)}</dd>
          </div>
        )}
      </dl>
      {of.at === null ? <p className="muted">Nothing has been decided yet.</p> : <Last of={of} />}
      {of.declared === null ? null : <Declared of={of.declared} />}
    </div>
  );
}

function Last({ of }: { of: PolicyState }) {
  return (
    <>
      <p>
        <StateMark state={of.retrained ? "ok" : "empty"} word={of.retrained ? "retrained" : "held back"} /> <span className="muted">{of.trigger.replaceAll("_", " ")}, </span>
        <When at={of.at} />: {of.reason}
      </p>
      {of.bounds.length === 0 ? null : <Bounds of={of.bounds} />}
    </>
  );
}

/** The policy as noria.toml says it. */
function Declared({ of }: { of: NonNullable<PolicyState["declared"]> }) {
  return (
    <details>
      <summary>as noria.toml says it</summary>
      <Facts of={Object.entries(of).map(([name, given]) => [name.replaceAll("_", " "), Array.isArray(given) ? given.join(", ") || "nothing" : value(given)])} />
    </details>
  );
}

function Budget({ spent, of }: { spent: number; of: number }) {
  if (of > 24) return null;
  return (
    <span className="budget" aria-hidden="true">
      {Array.from({ length: of }, (_, place) => (
        <span key={place} className={place < spent ? "budget-spent" : ""} />
      ))}
    </span>
  );
}
