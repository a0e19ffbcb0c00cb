"""What a look changes about alerts: opened, over, awake again, as events. People hear of them from the ledger, by app/alerting. Called by watch."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from noria.domain import events as e
from noria.domain.alert import Alert, AlertKind
from noria.domain.deployment import Variant
from noria.domain.ids import AlertId
from noria.domain.profile import WindowCounts
from noria.loop.context import Context, Recipe, Timed
from noria.monitoring.alert import BRIEF, FEWEST_WINDOWS, Changes, Report, look, silence
from noria.monitoring.alert_book import ALERT_KINDS, Book, waking
from noria.monitoring.drift import Drift
from noria.monitoring.quality import Decay
from noria.monitoring.tiers import DAY, HOUR

REMEMBERED = {HOUR: timedelta(days=14), DAY: timedelta(days=120), 0: timedelta(days=120)}
"""How far back the usual silences of a deployment are looked for, by the tier of its windows; 0 is that of a Noria of before."""


class Board:
    """All alerts while one stroke of the clock looks at one deployment after the other: a look knows what those before it opened."""

    def __init__(self, context: Context) -> None:
        self._book = Book.of(context.ledger.read(limit=1_000_000, kinds=ALERT_KINDS))
        self._standing = self._book.standing()
        self._known: dict[str, set[AlertId]] = {}
        for alert in self._book.alerts():
            self._known.setdefault(alert.deployment, set()).add(alert.id)

    def waking(self, *, now: datetime) -> list[Timed]:
        """AlertReopened for each alert whose snooze has run out."""
        return [
            Timed(
                key=f"{alert.id}-awake-{alert.changed_at}",
                event=e.AlertReopened(
                    deployment=alert.deployment, alert_id=alert.id, reason="the snooze has run out and it still stands"
                ),
            )
            for alert in waking(self._standing, now=now)
        ]

    def judge(
        self,
        recipe: Recipe,
        champion: Variant,
        *,
        now: datetime,
        drift: Drift | None,
        decay: Decay | None,
        reports: Mapping[AlertKind, Report],
    ) -> list[Timed]:
        """AlertResolved and AlertOpened for what changed at one deployment."""
        changes = look(
            self._standing,
            deployment=recipe.deployment,
            number=champion.number,
            now=now,
            drift=drift,
            decay=decay,
            reports={"no_look": Report(over="the loop looks again"), **reports},
            known=self._known.get(recipe.deployment, ()),
            false_page_days=recipe.false_page_days,
        )
        self._note(changes)
        return [*_over(changes, recipe.deployment), *_opened(changes, recipe.deployment)]

    def _note(self, changes: Changes) -> None:
        over = {each.alert.id for each in changes.resolved}
        still: list[Alert] = [alert for alert in self._standing if alert.id not in over]
        self._standing = [*still, *changes.opened]


def silence_of(context: Context, recipe: Recipe, champion: Variant, *, since: datetime, now: datetime) -> Report:
    """Whether nobody asks this deployment any more. What is usual is read only when it has been quiet: hours if there are enough, else days."""
    last = context.counts.latest(recipe.deployment)
    if last is None or now - last <= BRIEF:
        return silence((), last=last, now=now)
    windows: Sequence[WindowCounts] = ()
    for step, back in REMEMBERED.items():
        windows = context.counts.windows(recipe.deployment, champion.number, since=max(since, now - back), step=step)
        if len(windows) >= FEWEST_WINDOWS:
            break
    return silence(windows, last=last, now=now)


def _opened(changes: Changes, deployment: str) -> list[Timed]:
    return [Timed(key=alert.id, event=e.AlertOpened(deployment=deployment, alert=alert)) for alert in changes.opened]


def _over(changes: Changes, deployment: str) -> list[Timed]:
    return [
        Timed(
            key=f"{resolution.alert.id}-over",
            event=e.AlertResolved(deployment=deployment, alert_id=resolution.alert.id, reason=resolution.reason),
        )
        for resolution in changes.resolved
    ]
