"""How a deployment stands: what is being tried, what its policy still allows, what waits for a person, what may fire. Reads only.

What was done to it is deliveries.py. Called by `noria status`, the REST API and the pages.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from noria.app.alerting_acts import book_of
from noria.app.deliveries import Delivery, deliveries
from noria.app.deploying_record import in_force
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.deployment import Deployment
from noria.domain.ids import EventId
from noria.domain.ledger import Entry
from noria.domain.policy import Bound, Policy
from noria.errors import NotFound
from noria.serving.trouble import Trouble, troubles_of

YEAR = timedelta(days=365)
REPLAYED = timedelta(days=60)
"""A record whose newest entry is older than this is taken for a replayed one, and looked at from its own last moment."""
MOST = 2000


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy still allows. at, trigger, retrained, reason, bounds: of the last decision; its limits are the ones that are counted on.

    spent: retrainings in the 365 days before `as_of`, of `budget`. cooling_until: nothing but a person may ask before. free_at: when the oldest one
    leaves the year, where the budget is spent. declared: the policy of `noria.toml`, whose limits count first; None: it stands in the recipe.
    A limit that is None has been told by no decision yet.
    """

    as_of: datetime
    declared: Policy | None = None
    at: datetime | None = None
    trigger: str = ""
    retrained: bool = False
    reason: str = ""
    bounds: tuple[Bound, ...] = ()
    spent: int = 0
    budget: int | None = None
    cooling_until: datetime | None = None
    free_at: datetime | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A version that passed its gates, and waits for a person's word."""

    deployment: str
    model: str
    number: int
    version: str
    since: datetime
    gates: str
    event: EventId


class DeploymentStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment now. running: the rollout under way; last: the newest thing that was done. open_alerts: how many stand.

    troubles: what workers say they cannot serve of this generation; the champion answers for it meanwhile.
    """

    deployment: Deployment
    champion_since: datetime | None
    running: Delivery | None
    last: Delivery | None
    policy: PolicyState
    waiting: tuple[Waiting, ...]
    open_alerts: int
    troubles: tuple[Trouble, ...] = ()


def deployed(workspace: Workspace, name: str) -> DeploymentStanding:
    """How a deployment stands now. Raises NotFound."""
    deployment = workspace.deployments.get(name)
    told = deliveries(workspace, name)
    champion = deployment.variant("champion")
    brought = (
        d.ended or d.began
        for d in told
        if champion is not None and d.number == champion.number and d.outcome in ("promoted", "done")
    )
    return DeploymentStanding(
        deployment=deployment,
        champion_since=next(brought, None),
        running=next((d for d in told if d.outcome == "running"), None),
        last=told[0] if told else None,
        policy=policy_state(workspace, name),
        waiting=tuple(w for w in waiting(workspace) if w.deployment == name),
        open_alerts=sum(a.deployment == name for a in book_of(workspace.ledger).standing()),
        troubles=troubles_of(workspace.blobs, name, generation=deployment.generation),
    )


def policy_state(workspace: Workspace, name: str) -> PolicyState:
    """What the policy of a deployment still allows, from what its decisions have told."""
    as_of = moment(workspace)
    asked: list[datetime] = []
    last: Entry | None = None
    in_the_file = in_force(workspace).get(name)
    declared = in_the_file.declaration.policy if in_the_file is not None else None
    limits: dict[str, float] = {}
    if declared is not None:
        limits = {"budget_per_year": declared.budget_per_year, "cooldown_days": declared.cooldown_days}
    for entry in workspace.ledger.latest(limit=MOST, kinds=("RetrainRequested", "RetrainSuppressed")):
        event = entry.event
        if not isinstance(event, e.RetrainRequested | e.RetrainSuppressed) or event.deployment != name:
            continue
        last = last or entry
        if isinstance(event, e.RetrainRequested):
            asked.append(entry.at)
        for bound in event.bounds:
            limits.setdefault(bound.name, bound.limit)
    if last is None or not isinstance(last.event, e.RetrainRequested | e.RetrainSuppressed):
        return PolicyState(as_of=as_of, declared=declared)
    spent = [at for at in asked if as_of - YEAR < at]
    budget = int(limits["budget_per_year"]) if "budget_per_year" in limits else None
    cooling = asked[0] + timedelta(days=limits["cooldown_days"]) if asked and "cooldown_days" in limits else None
    return PolicyState(
        as_of=as_of,
        declared=declared,
        at=last.at,
        trigger=last.event.trigger,
        retrained=isinstance(last.event, e.RetrainRequested),
        reason=last.event.reason,
        bounds=last.event.bounds,
        spent=len(spent),
        budget=budget,
        cooling_until=cooling if cooling is not None and cooling > as_of else None,
        free_at=min(spent) + YEAR if budget is not None and spent and len(spent) >= budget else None,
    )


def moment(workspace: Workspace) -> datetime:
    """Now; for a replayed record, the moment of its newest entry."""
    newest = workspace.ledger.latest(limit=1)
    now = workspace.clock.now()
    return newest[0].at if newest and now - newest[0].at > REPLAYED else now


def waiting(workspace: Workspace) -> list[Waiting]:
    """Versions that wait for a person: registered by the loop, not approved, not deleted, and none newer of the same deployment. Newest first."""
    return list(_waiting(workspace))


def _waiting(workspace: Workspace) -> Iterator[Waiting]:
    approved: set[EventId | None] = set()
    seen: set[str] = set()
    for entry in workspace.ledger.latest(limit=MOST, kinds=("ModelVersionRegistered", "ModelVersionApproved")):
        event = entry.event
        if isinstance(event, e.ModelVersionApproved):
            approved.add(entry.cause)
        elif isinstance(event, e.ModelVersionRegistered) and event.deployment not in seen:
            seen.add(event.deployment)
            if entry.id in approved:
                continue
            try:
                gates = workspace.models.get(event.model, event.number).gates
            except NotFound:
                continue
            passed = (
                f"{sum(r.passed for r in gates.results)} of {len(gates.results)} gates passed" if gates else "no gates"
            )
            yield Waiting(
                deployment=event.deployment,
                model=event.model,
                number=event.number,
                version=event.version,
                since=entry.at,
                gates=passed,
                event=entry.id,
            )
