"""The union of events: what happened, in past participles. Facts only; no personal data ever enters one.

Adding a field needs a default; removing or renaming one breaks the chain of old ledgers and is not done. What follows what is loop/wheel.
"""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.alert import Alert
from noria.domain.deployment import Rollout, Variant, Verdict
from noria.domain.gate import GateReport
from noria.domain.ids import AlertId, Digest, RolloutId, RunId
from noria.domain.policy import Bound, TrainingWindow, WindowEvidence
from noria.domain.trigger import Firing, TriggerKind, TriggerRule

Trigger = Literal["declared", "decay", "input_drift", "growth", "schedule", "hand", "new_data", "event", "webhook"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Root of all events; the tag is the class name."""


class ProjectCreated(Event, frozen=True, kw_only=True, tag=True):
    """A project began, and with it its ledger."""

    project: str
    noria_version: str


class DatasetVersionCreated(Event, frozen=True, kw_only=True, tag=True):
    """A source became an immutable version."""

    dataset: str
    number: int
    digest: Digest
    rows: int
    passed: bool
    quarantined: int = 0
    parents: tuple[Digest, ...] = ()


class DeploymentDeclared(Event, frozen=True, kw_only=True, tag=True):
    """Somebody declared that a model shall answer under a name, by which gates, canary and policy (digest of the declaration)."""

    deployment: str
    model: str
    declaration: Digest


class RetrainRequested(Event, frozen=True, kw_only=True, tag=True):
    """The loop decided, or a person asked, that a challenger be trained. The first training of a deployment is requested the same way."""

    deployment: str
    model: str
    reason: str
    trigger: Trigger
    data_until: datetime
    evidence: dict[str, float | str] = {}
    bounds: tuple[Bound, ...] = ()
    """Each limit of the policy beside what was found, as this request was decided."""


class RetrainSuppressed(Event, frozen=True, kw_only=True, tag=True):
    """The loop decided not to retrain, and says why."""

    deployment: str
    model: str
    reason: str
    trigger: Trigger
    evidence: dict[str, float | str] = {}
    bounds: tuple[Bound, ...] = ()


class RunFinished(Event, frozen=True, kw_only=True, tag=True):
    """A training pipeline ended with a fitted candidate. steps: how many ran and how many were found in the cache."""

    deployment: str
    model: str
    run_id: RunId
    datasets: tuple[Digest, ...]
    window: TrainingWindow
    candidate: str
    backtest: tuple[WindowEvidence, ...] = ()
    rows: int = 0
    """Rows of the window that it learnt from."""
    steps_run: int = 0
    steps_cached: int = 0
    metrics: dict[str, float] = {}


class RunFailed(Event, frozen=True, kw_only=True, tag=True):
    """A training pipeline ended without a candidate; the champion stays."""

    deployment: str
    model: str
    run_id: RunId
    error: str


class BundleBuilt(Event, frozen=True, kw_only=True, tag=True):
    """The candidate of a run was packaged; converted says in which form it will answer, and why not in another."""

    deployment: str
    model: str
    run_id: RunId
    bundle: Digest
    flavor: str
    converted: bool
    parity: float | None = None
    note: str = ""


class GatesPassed(Event, frozen=True, kw_only=True, tag=True):
    """Every gate passed."""

    deployment: str
    model: str
    run_id: RunId
    bundle: Digest
    report: GateReport


class GatesFailed(Event, frozen=True, kw_only=True, tag=True):
    """At least one gate failed: the challenger is refused and the champion stays."""

    deployment: str
    model: str
    run_id: RunId
    bundle: Digest
    report: GateReport


class ModelVersionRegistered(Event, frozen=True, kw_only=True, tag=True):
    """A candidate that passed its gates became a version."""

    deployment: str
    model: str
    number: int
    version: str
    version_reason: str
    run_id: RunId
    bundle: Digest


class ModelVersionApproved(Event, frozen=True, kw_only=True, tag=True):
    """Policy, or a person, allowed the version to meet traffic."""

    deployment: str
    model: str
    number: int
    by: str
    reason: str


class RolloutStarted(Event, frozen=True, kw_only=True, tag=True):
    """A challenger stands beside the champion."""

    deployment: str
    rollout: Rollout
    variants: tuple[Variant, ...]
    generation: int


class RolloutPromoted(Event, frozen=True, kw_only=True, tag=True):
    """The challenger became champion. For the first version there was no champion to beat."""

    deployment: str
    model: str
    number: int
    previous: int | None
    generation: int
    rollout_id: RolloutId | None = None
    verdict: Verdict | None = None


class RolloutRolledBack(Event, frozen=True, kw_only=True, tag=True):
    """The challenger was taken out again; the champion answers alone."""

    deployment: str
    model: str
    number: int
    champion: int
    generation: int
    rollout_id: RolloutId
    verdict: Verdict


class RolloutAdvanced(Event, frozen=True, kw_only=True, tag=True):
    """A rollout's split moved: the next step of its schedule, or the weights that a bandit's evidence asks for."""

    deployment: str
    rollout_id: RolloutId
    step: int
    variants: tuple[Variant, ...]
    generation: int
    reason: str


class DeploymentChanged(Event, frozen=True, kw_only=True, tag=True):
    """Somebody declared other variants, weights or routing (`noria apply`, `noria deploy`, the API), and they answer since."""

    deployment: str
    model: str
    variants: tuple[Variant, ...]
    generation: int
    differences: tuple[str, ...] = ()
    reason: str = ""


class DeploymentRolledBack(Event, frozen=True, kw_only=True, tag=True):
    """Somebody took a deployment back to an earlier version; it answers alone since, and a rollout under way is over."""

    deployment: str
    model: str
    number: int
    previous: int
    generation: int
    reason: str


class DeploymentStopped(Event, frozen=True, kw_only=True, tag=True):
    """Somebody pulled the stop switch: a safe version answers alone (None: nobody answers), and the loop leaves the deployment alone."""

    deployment: str
    number: int | None
    generation: int
    reason: str


class DeploymentResumed(Event, frozen=True, kw_only=True, tag=True):
    """Somebody let a stopped deployment go on."""

    deployment: str
    number: int
    generation: int
    reason: str


class TriggersDeclared(Event, frozen=True, kw_only=True, tag=True):
    """The triggers of a deployment are these since. data: the newest version, by now, of each dataset that one of them waits for."""

    deployment: str
    rules: tuple[TriggerRule, ...]
    data: dict[str, int] = {}


class TriggerFired(Event, frozen=True, kw_only=True, tag=True):
    """A declared trigger was due: the loop decides whether to train."""

    deployment: str
    kind_of_trigger: TriggerKind
    firing: Firing


class LeaderElected(Event, frozen=True, kw_only=True, tag=True):
    """Another control plane turns the wheel since. token: rises with each change of the leader."""

    holder: str
    token: int
    reason: str


class AliasMoved(Event, frozen=True, kw_only=True, tag=True):
    """An alias points to another version."""

    model: str
    alias: str
    number: int
    previous: int | None
    reason: str


class AliasRemoved(Event, frozen=True, kw_only=True, tag=True):
    """An alias points nowhere any more. previous: where it pointed."""

    model: str
    alias: str
    previous: int
    reason: str


class ModelVersionPackaged(Event, frozen=True, kw_only=True, tag=True):
    """A version that was registered from outside got its bundle, and can be served since. source: where its files came from."""

    model: str
    number: int
    bundle: Digest
    flavor: str
    source: str
    parity: float | None = None
    note: str = ""


class ModelVersionDeleted(Event, frozen=True, kw_only=True, tag=True):
    """Somebody deleted a version; its number is never given again."""

    model: str
    number: int
    reason: str


class ModelDeleted(Event, frozen=True, kw_only=True, tag=True):
    """Somebody deleted a model with all of its versions. versions: how many there were."""

    model: str
    versions: int
    reason: str


class AlertOpened(Event, frozen=True, kw_only=True, tag=True):
    """Monitoring found something."""

    deployment: str
    alert: Alert


class AlertResolved(Event, frozen=True, kw_only=True, tag=True):
    """What an alert told of is over."""

    deployment: str
    alert_id: AlertId
    reason: str


class AlertAcknowledged(Event, frozen=True, kw_only=True, tag=True):
    """Somebody has seen an alert and takes care of it. Who, is the entry's actor."""

    deployment: str
    alert_id: AlertId
    reason: str = ""


class AlertSnoozed(Event, frozen=True, kw_only=True, tag=True):
    """Somebody does not want to hear of an alert until a moment; it stands on."""

    deployment: str
    alert_id: AlertId
    until: datetime
    reason: str = ""


class AlertReopened(Event, frozen=True, kw_only=True, tag=True):
    """An alert that was acknowledged or snoozed asks for somebody again."""

    deployment: str
    alert_id: AlertId
    reason: str


class AlertUndelivered(Event, frozen=True, kw_only=True, tag=True):
    """A receiver refused a message about an alert for good: it was set aside, and what came after it goes on. notice: the message's id."""

    deployment: str
    alert_id: AlertId
    receiver: str
    notice: str
    error: str


class StageFailed(Event, frozen=True, kw_only=True, tag=True):
    """A stage of the loop could not do its work for an event; the loop goes on without it, and a person is told."""

    stage: str
    error_code: str
    error: str


AnyEvent = (
    ProjectCreated
    | DatasetVersionCreated
    | DeploymentDeclared
    | RetrainRequested
    | RetrainSuppressed
    | RunFinished
    | RunFailed
    | BundleBuilt
    | GatesPassed
    | GatesFailed
    | ModelVersionRegistered
    | ModelVersionApproved
    | RolloutStarted
    | RolloutPromoted
    | RolloutRolledBack
    | RolloutAdvanced
    | DeploymentChanged
    | DeploymentRolledBack
    | DeploymentStopped
    | DeploymentResumed
    | TriggersDeclared
    | TriggerFired
    | LeaderElected
    | AliasMoved
    | AliasRemoved
    | ModelVersionPackaged
    | ModelVersionDeleted
    | ModelDeleted
    | AlertOpened
    | AlertResolved
    | AlertAcknowledged
    | AlertSnoozed
    | AlertReopened
    | AlertUndelivered
    | StageFailed
)


def kind_of(event: AnyEvent) -> str:
    """The event's name in the ledger.

    >>> kind_of(ProjectCreated(project="a", noria_version="0"))
    'ProjectCreated'
    """
    return type(event).__name__
