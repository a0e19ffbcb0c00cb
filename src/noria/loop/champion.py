"""Since when a version is champion, and on which of its counted windows drift is judged: the same for a look and for whoever tells of it.

Counting is stages/watch_counts, judging monitoring/drift. Called by loop/stages and app/watched.
"""

from datetime import UTC, datetime

from noria.domain.deployment import Deployment
from noria.domain.events import RolloutPromoted
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitoring.tiers import base_step
from noria.ports.counts import CountStore
from noria.ports.ledger import Ledger

PROMOTIONS = 10_000
"""So many of the newest promotions are looked through."""


def champion_since(ledger: Ledger, deployment: Deployment, number: int) -> datetime:
    """When this version last became champion; the beginning of the deployment's generation where the ledger does not say."""
    for entry in ledger.latest(limit=PROMOTIONS, kinds=("RolloutPromoted",)):
        event = entry.event
        if isinstance(event, RolloutPromoted) and event.deployment == deployment.name and event.number == number:
            return entry.at
    return deployment.updated_at


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
