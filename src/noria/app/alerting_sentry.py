"""When nothing looks any more: the loop's own silence becomes an alert, raised by whoever serves the pages. Called by alerting_run.py.

The other half of the dead man's switch is the pulse (app/alerting): it stops with the loop, and somebody outside misses it even if this process
has died too.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from noria.domain.alert import Alert
from noria.domain.events import AlertOpened
from noria.domain.ids import AlertId, EventId, derive
from noria.domain.ledger import Draft
from noria.domain.look import Look
from noria.errors import NotFound
from noria.monitoring.alert_drafts import unlooked_alert
from noria.ports.clock import Clock
from noria.ports.ledger import Ledger
from noria.ports.metadata import Metadata

ACTOR = "noria"
WHEEL = "wheel"
"""The loop's name as a reader of the ledger (loop/reactor)."""
SHORTEST = timedelta(seconds=30)
LONG = ("RetrainRequested", "RunFinished", "BundleBuilt")
"""Events whose stages train, convert and judge."""
BUSY = timedelta(hours=6)
"""While a challenger is trained no look is taken; after so long that is silence as well."""


class Sentry:
    """Watches the watching. since: when this process began, before which nothing was missed by it. looks: the newest look at each deployment."""

    def __init__(
        self,
        metadata: Callable[[], Metadata],
        looks: Callable[[], Sequence[Look]],
        *,
        clock: Clock,
        tick_s: float,
        strokes: int = 3,
    ) -> None:
        self._metadata = metadata
        self._looks = looks
        self._clock = clock
        self._allowed = max(timedelta(seconds=tick_s * strokes), SHORTEST)
        self._since = clock.now()

    def is_lively(self) -> bool:
        """Whether every deployment that is watched was looked at lately."""
        return not self.missed()

    def missed(self) -> dict[str, datetime]:
        """Deployments that were not looked at for too long, with their last look (or when this process began, if that was later)."""
        now = self._clock.now()
        metadata = self._metadata()
        allowed = max(self._allowed, BUSY) if self._is_training(metadata) else self._allowed
        looked = {look.deployment: look.at for look in self._looks()}
        names = list(looked) or [d.name for d in metadata.deployments.all()]
        last = {name: max(looked.get(name, self._since), self._since) for name in names}
        return {name: at for name, at in last.items() if now - at > allowed}

    def _is_training(self, metadata: Metadata) -> bool:
        """Whether the wheel stands before an entry that takes long. Any other that waits is a sign that nothing turns."""
        ledger = metadata.ledger
        return bool(ledger.read(after=ledger.cursor(WHEEL).seq, limit=1, kinds=LONG))

    def round(self) -> list[Alert]:
        """Open an alert for each deployment that nothing looks at, all in one group; gives those that are new. The next look resolves them."""
        missed = self.missed()
        if not missed:
            return []
        now, metadata = self._clock.now(), self._metadata()
        opened: list[Alert] = []
        drafts: list[Draft] = []
        for name, last in sorted(missed.items()):
            deployment = next((d for d in metadata.deployments.all() if d.name == name), None)
            champion = deployment.variant("champion") if deployment else None
            if champion is None:
                continue
            identity = AlertId(derive("alert", name, "no_look", last.isoformat()))
            alert = replace(
                unlooked_alert(last=last, quiet=now - last, allowed=self._allowed),
                id=identity,
                deployment=name,
                number=champion.number,
                opened_at=now,
                group=opened[0].id if opened else identity,
            )
            opened.append(alert)
            event = AlertOpened(deployment=name, alert=alert)
            drafts.append(Draft(id=EventId(derive("sentry", identity)), at=now, actor=ACTOR, event=event))
        new = [i for i, draft in enumerate(drafts) if not _stands(metadata.ledger, draft.id)]
        if new:
            metadata.ledger.append([drafts[i] for i in new])
        return [opened[i] for i in new]


def _stands(ledger: Ledger, event_id: EventId) -> bool:
    try:
        ledger.get(event_id)
    except NotFound:
        return False
    return True
