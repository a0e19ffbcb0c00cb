"""One sentence for each event, for people. Pure. Called by status, why, the pages and the terminal."""

from collections.abc import Callable, Sequence

from noria.domain import events as e
from noria.domain.deployment import Variant
from noria.domain.gate import GateReport


def sentence(event: e.AnyEvent) -> str:
    """Say what happened, with the one number that matters.

    >>> sentence(e.AliasMoved(model="churn", alias="champion", number=3, previous=2, reason="won"))
    "'champion' of churn moved from version 2 to 3: won"
    """
    return _TOLD[type(event)](event)


def _canary(event: e.RolloutStarted) -> str:
    rollout, mode = event.rollout, event.rollout.plan.mode
    share = next((v.weight for v in event.variants if v.name == "challenger"), rollout.plan.weight)
    if mode == "shadow":
        return f"shadow: version {rollout.challenger} gets copies of {share:.0%} of the requests, {rollout.champion} answers them all"
    how = {"canary": "canary", "ab": "A/B test", "bandit": "bandit"}[mode]
    return f"{how}: version {rollout.challenger} gets {share:.0%} of the traffic beside champion {rollout.champion}"


def _promoted(event: e.RolloutPromoted) -> str:
    return f"version {event.number} of {event.model} became champion: {event.verdict.reason if event.verdict else 'first version'}"


def _moved(event: e.AliasMoved) -> str:
    where = f"from version {event.previous} to {event.number}" if event.previous else f"to version {event.number}"
    return f"{event.alias!r} of {event.model} moved {where}: {event.reason}"


def _gates(report: GateReport) -> str:
    passed = sum(r.passed for r in report.results)
    failed = "; ".join(r.evidence or r.gate.name for r in report.failures())
    return f"{passed} of {len(report.results)} gates passed" + (f"; failed: {failed}" if failed else "")


def _dataset(event: e.DatasetVersionCreated) -> str:
    aside = f", {event.quarantined} rows put aside" if event.quarantined else ""
    return f"dataset {event.dataset} version {event.number}: {event.rows:,} rows{aside}"


def _bundle(event: e.BundleBuilt) -> str:
    parity = "" if event.parity is None else f", largest difference {event.parity:.2g}"
    return f"packaged as {event.flavor}{parity}" + (f" ({event.note})" if event.note else "")


def _split(variants: Sequence[Variant]) -> str:
    return ", ".join(
        f"{v.name} {v.number} {'in the shadow of' if v.shadow else 'gets'} {v.weight:.0%}" for v in variants
    )


def _stopped(event: e.DeploymentStopped) -> str:
    answers = "nobody answers" if event.number is None else f"version {event.number} answers alone"
    return f"deployment {event.deployment} stopped, {answers}: {event.reason}"


def _fired(event: e.TriggerFired) -> str:
    missed = f", and for {event.firing.missed} that were missed" if event.firing.missed else ""
    return f"trigger {event.firing.trigger!r} ({event.kind_of_trigger}) was due at {event.firing.due:%Y-%m-%d %H:%M} UTC{missed}"


def _triggers(event: e.TriggersDeclared) -> str:
    named = ", ".join(f"{rule.name!r} ({rule.kind})" for rule in event.rules)
    return f"triggers of {event.deployment}: {named or 'none any more'}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


_TOLD: dict[type, Callable[..., str]] = {
    e.ProjectCreated: lambda x: f"project {x.project} began",
    e.DatasetVersionCreated: _dataset,
    e.DeploymentDeclared: lambda x: f"deployment {x.deployment} of model {x.model} declared",
    e.RetrainRequested: lambda x: f"retraining asked for ({x.trigger}): {x.reason}",
    e.RetrainSuppressed: lambda x: f"no retraining ({x.trigger}): {x.reason}",
    e.RunFinished: lambda x: f"trained {x.candidate} on the {x.window.choice} window: {x.window.reason}",
    e.BundleBuilt: _bundle,
    e.GatesPassed: lambda x: _gates(x.report),
    e.GatesFailed: lambda x: f"challenger refused: {_gates(x.report)}",
    e.ModelVersionRegistered: lambda x: f"{x.model} version {x.number} ({x.version}) registered: {x.version_reason}",
    e.RolloutStarted: _canary,
    e.RolloutPromoted: _promoted,
    e.RolloutRolledBack: lambda x: f"version {x.number} rolled back, {x.champion} answers alone: {x.verdict.reason}",
    e.RolloutAdvanced: lambda x: f"rollout: {_split(x.variants)}: {x.reason}",
    e.DeploymentChanged: lambda x: f"deployment {x.deployment} changed: {_split(x.variants)}{_because(x.reason)}",
    e.DeploymentRolledBack: lambda x: f"rolled back by hand from version {x.previous} to {x.number}: {x.reason}",
    e.DeploymentStopped: _stopped,
    e.DeploymentResumed: lambda x: f"deployment {x.deployment} goes on with version {x.number}: {x.reason}",
    e.TriggersDeclared: _triggers,
    e.TriggerFired: _fired,
    e.LeaderElected: lambda x: f"{x.holder} turns the wheel since: {x.reason}",
    e.AliasMoved: _moved,
    e.AliasRemoved: lambda x: f"{x.alias!r} of {x.model} was taken away from version {x.previous}: {x.reason}",
    e.ModelVersionPackaged: lambda x: f"version {x.number} of {x.model} packaged as {x.flavor} ({x.note or x.source})",
    e.ModelVersionDeleted: lambda x: f"version {x.number} of {x.model} deleted: {x.reason}",
    e.ModelDeleted: lambda x: f"model {x.model} deleted with its {x.versions} versions: {x.reason}",
    e.AlertOpened: lambda x: x.alert.summary,
    e.AlertResolved: lambda x: f"alert resolved: {x.reason}",
    e.AlertAcknowledged: lambda x: f"alert acknowledged{_because(x.reason)}",
    e.AlertSnoozed: lambda x: f"alert snoozed until {x.until:%Y-%m-%d %H:%M} UTC{_because(x.reason)}",
    e.AlertReopened: lambda x: f"alert open again: {x.reason}",
    e.AlertUndelivered: lambda x: f"receiver {x.receiver!r} refused to be told of an alert: {x.error.splitlines()[0]}",
    e.StageFailed: lambda x: f"stage {x.stage!r} failed: {x.error.splitlines()[0]}",
    e.RunFailed: lambda x: f"training failed, the champion stays: {x.error.splitlines()[0]}",
    e.ModelVersionApproved: lambda x: f"version {x.number} approved by {x.by}: {x.reason}",
}
