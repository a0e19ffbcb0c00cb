"""Since when a version is champion, and has answered; on which of its counted windows drift is judged: the same for a look and whoever tells of it.

Counting is stages/watch_counts, judging monitoring/drift. Called by loop/stages and app/watched.
"""

from datetime import UTC, datetime

from noria.domain.deployment import Deployment
from noria.domain.events import (
    AnyEvent,
    DeploymentChanged,
    DeploymentResumed,
    DeploymentRolledBack,
    DeploymentStopped,
    RolloutPromoted,
)
from noria.domain.ledger import Entry
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitoring.tiers import base_step
from noria.ports.counts import CountStore
from noria.ports.deployments import DeploymentStore
from noria.ports.ledger import Ledger

PROMOTIONS = 10_000
"""So many of the newest of these are looked through."""
CHAMPIONS = ("RolloutPromoted", "DeploymentChanged", "DeploymentRolledBack", "DeploymentStopped", "DeploymentResumed")


def champion_since(ledger: Ledger, deployment: Deployment, number: int) -> datetime:
    """When this version last became champion, by a verdict or by hand; the beginning of the generation where the ledger does not say."""
    began = _began(ledger, deployment, number)
    return began.at if began is not None else deployment.updated_at


def answering_since(ledger: Ledger, deployments: DeploymentStore, deployment: Deployment, number: int) -> datetime:
    """When this champion gave its first answer of this reign: with the rollout that made it champion, for its answers as challenger are its own too.

    A world that turns while a canary runs would else be the only one that its new champion knows.
    """
    began = _began(ledger, deployment, number)
    if began is None:
        return deployment.updated_at
    if isinstance(began.event, RolloutPromoted) and began.event.rollout_id is not None:
        for rollout in deployments.rollouts(deployment.name):
            if rollout.id == began.event.rollout_id:
                return min(began.at, rollout.started_at)
    return began.at


def _began(ledger: Ledger, deployment: Deployment, number: int) -> Entry | None:
    """The entry with which this version last became champion."""
    found = None
    for entry in ledger.latest(limit=PROMOTIONS, kinds=CHAMPIONS):
        if getattr(entry.event, "deployment", None) != deployment.name:
            continue
        named = _champion_of(entry.event)
        if named != number and found is not None:
            break
        if named == number:
            found = entry
    return found


def _champion_of(event: AnyEvent) -> int | None:
    """Which version answers as champion after an event."""
    if isinstance(event, DeploymentChanged):
        return next((v.number for v in event.variants if v.name == "champion"), None)
    if isinstance(event, RolloutPromoted | DeploymentRolledBack | DeploymentStopped | DeploymentResumed):
        return event.number
    return None


def judged_windows(
    counts: CountStore, deployment: str, number: int, profile: ReferenceProfile, *, since: datetime
) -> list[WindowCounts]:
    """The windows of a version that drift is judged on; those of a Noria of before, which stood in no tier, among them."""
    base = base_step(profile)
    first = datetime.fromtimestamp(int(since.timestamp()) // base * base, UTC)
    return [
        *counts.windows(deployment, number, since=since, step=0),
        *counts.windows(deployment, number, since=first, step=base),
    ]
