import { change } from "../api/client";
import type { DeploymentStanding, VersionRow, Waiting } from "../api/types";
import { useModel } from "../api/queries";
import { AskOnce, type Said } from "./AskOnce";

/** What a person can do to a deployment; each asks once, with the reason that stands in the ledger. */
export function Acts({ of }: { of: DeploymentStanding }) {
  const { deployment, running } = of;
  const model = useModel(deployment.model);
  const path = { name: deployment.name };
  const told = ({ reason, by }: Said) => ({ reason, by });
  if (deployment.stopped !== null)
    return (
      <div className="acts">
        <AskOnce
          primary
          label="Let it go on"
          title={`Let ${deployment.name} go on`}
          warning="It answers as it stood before it was stopped, without what was being tried then, and the loop looks after it again."
          act={(said) => change("POST", "/api/v1/deployments/{name}/resume", { path, body: told(said) })}
        />
      </div>
    );
  const champion = deployment.variants.find((each) => each.name === "champion");
  return (
    <div className="acts">
      <AskOnce
        label="Roll back"
        title={`Roll ${deployment.name} back`}
        warning={running === null ? "The version that you choose answers alone, at once." : "The version that you choose answers alone, at once; the rollout under way is over."}
        choose={{ label: "To which version", of: earlier(model.data?.versions ?? [], running === null ? champion?.number : undefined) }}
        act={(said) => change("POST", "/api/v1/deployments/{name}/rollback", { path, body: { ...told(said), to: said.choice } })}
      />
      {running === null ? null : (
        <>
          <AskOnce
            label="Promote now"
            title={`Promote version ${running.number} now`}
            warning={`It becomes the champion at once, whatever the evidence says so far: ${running.reason}.`}
            act={(said) => change("POST", "/api/v1/deployments/{name}/override", { path, body: { ...told(said), outcome: "promote" } })}
          />
          <AskOnce
            label="End the rollout"
            title={`End the rollout of version ${running.number}`}
            warning={`Version ${running.previous} answers alone at once, whatever the evidence says so far: ${running.reason}.`}
            act={(said) => change("POST", "/api/v1/deployments/{name}/override", { path, body: { ...told(said), outcome: "roll_back" } })}
          />
        </>
      )}
      <AskOnce
        label="Stop"
        title={`Stop ${deployment.name}`}
        warning="A safe version answers alone until somebody lets it go on; nothing is trained or rolled out meanwhile."
        choose={{ label: "Who answers meanwhile", of: fallbacks(deployment.fallback) }}
        act={(said) => change("POST", "/api/v1/deployments/{name}/stop", { path, body: { ...told(said), fallback: said.choice } })}
      />
    </div>
  );
}

const ANSWERS: Record<string, string> = { stable: "the latest stable version", champion: "the champion as it is", none: "nobody: callers get 503 with the reason" };

function fallbacks(declared: string): { value: string; label: string }[] {
  const rest = Object.keys(ANSWERS).filter((each) => each !== declared);
  return [declared, ...rest].map((each) => ({ value: each, label: `${ANSWERS[each] ?? `version ${each}`}${each === declared ? " (as declared)" : ""}` }));
}

/** Versions that could answer instead, the usual choice first. */
function earlier(versions: VersionRow[], champion: number | undefined): { value: string; label: string }[] {
  const named = versions.filter((each) => each.packaged && each.number !== champion).map((each) => ({ value: String(each.number), label: `version ${each.number} (${each.version})` }));
  return [{ value: "", label: "the one before, by the record" }, ...named];
}

/** A person's word on a version that waits for one. */
export function Approve({ of }: { of: Waiting }) {
  return (
    <AskOnce
      primary
      label="Approve"
      title={`Approve version ${of.number} of ${of.model}`}
      warning={`The loop rolls it out in ${of.deployment} on its next stroke, as its plan says. ${of.gates}.`}
      act={({ reason, by }) => change("POST", "/api/v1/models/{name}/versions/{number}/approve", { path: { name: of.model, number: of.number }, body: { reason, by } })}
    />
  );
}
