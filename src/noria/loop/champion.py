"""Since when a version is champion, and on which of its counted windows drift is judged: the same for a look and for whoever tells of it.

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
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitoring.tiers import base_step
from noria.ports.counts import CountStore
from noria.ports.ledger import Ledger

PROMOTIONS = 10_000
"""So many of the newest of these are looked through."""
CHAMPIONS = ("RolloutPromoted", "DeploymentChanged", "DeploymentRolledBack", "DeploymentStopped", "DeploymentResumed")


def champion_since(ledger: Ledger, deployment: Deployment, number: int) -> datetime:
    """When this version last became champion, by a verdict or by hand; the beginning of the generation where the ledger does not say."""
    since = None
    for entry in ledger.latest(limit=PROMOTIONS, kinds=CHAMPIONS):
        if getattr(entry.event, "deployment", None) != deployment.name:
            continue
        named = _champion_of(entry.event)
        if named != number and since is not None:
            break
        if named == number:
            since = entry.at
    return since or deployment.updated_at


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
