"""How alerts stand: the events of the ledger folded, one entry at a time, and what each entry is to somebody who wants to hear of some of them.

Pure: entries in, alerts and notices out. Opening is monitoring/alert, sending is app/alerting. Called by loop/stages, app and the control plane.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec.structs import replace

from noria.domain import events as e
from noria.domain.alert import SEVERITIES, Alert, AlertChange, Notice
from noria.domain.ids import AlertId
from noria.domain.ledger import Entry

ALERT_KINDS = ("AlertOpened", "AlertResolved", "AlertAcknowledged", "AlertSnoozed", "AlertReopened")
"""The events that change how an alert stands."""


class Book:
    """All alerts that were ever opened, as they stand after the entries taken so far.

    wanted: which alerts the holder is told of; without it all of them.
    """

    def __init__(self, wanted: Callable[[Alert], bool] = lambda _: True) -> None:
        self._wanted = wanted
        self._alerts: dict[AlertId, Alert] = {}
        self._causes: dict[str, list[AlertId]] = {}

    @classmethod
    def of(cls, entries: Iterable[Entry], wanted: Callable[[Alert], bool] = lambda _: True) -> "Book":
        """The book after these entries."""
        book = cls(wanted)
        for entry in entries:
            book.take(entry)
        return book

    def take(self, entry: Entry) -> Notice | None:
        """Take in the next entry; what the holder has to hear of it, if anything. Entries of other kinds change nothing."""
        event = entry.event
        if isinstance(event, e.AlertOpened):
            self._alerts[event.alert.id] = event.alert
            self._causes.setdefault(event.alert.cause, []).append(event.alert.id)
            return self._told(event.alert, entry, self._first(event.alert))
        changed = self._changed(entry)
        if changed is None:
            return None
        alert, change = changed
        self._alerts[alert.id] = alert
        return self._told(alert, entry, change)

    def alerts(self) -> list[Alert]:
        """All that are wanted, newest first."""
        return [alert for alert in reversed(self._alerts.values()) if self._wanted(alert)]

    def standing(self) -> list[Alert]:
        """Those that are wanted and not over, oldest first."""
        return [alert for alert in self._alerts.values() if not alert.is_over and self._wanted(alert)]

    def find(self, alert_id: str) -> Alert | None:
        """One alert by its id, wanted or not."""
        return self._alerts.get(AlertId(alert_id))

    def others(self, alert: Alert) -> list[Alert]:
        """What stands besides an alert, is wanted, and has the same cause."""
        same = (self._alerts[each] for each in self._causes.get(alert.cause, ()) if each != alert.id)
        return [other for other in same if not other.is_over and self._wanted(other)]

    def _first(self, alert: Alert) -> AlertChange:
        """What the opening of an alert is to the holder: news, news of a cause that got worse, or no news."""
        others = self.others(alert)
        if not others:
            return "opened"
        worst = max(SEVERITIES.index(other.severity) for other in others)
        return "raised" if SEVERITIES.index(alert.severity) > worst else "joined"

    def _changed(self, entry: Entry) -> tuple[Alert, AlertChange] | None:
        event = entry.event
        if not isinstance(event, e.AlertResolved | e.AlertAcknowledged | e.AlertSnoozed | e.AlertReopened):
            return None
        known = self._alerts.get(event.alert_id)
        if known is None or known.is_over:
            return None
        known = replace(known, changed_at=entry.at, changed_by=entry.actor, reason=event.reason, snoozed_until=None)
        match event:
            case e.AlertResolved():
                return replace(known, state="resolved", resolved_at=entry.at), "resolved"
            case e.AlertAcknowledged():
                return replace(known, state="acknowledged"), "acknowledged"
            case e.AlertSnoozed():
                return replace(known, state="snoozed", snoozed_until=event.until), "snoozed"
            case e.AlertReopened():
                return replace(known, state="open"), "reopened"

    def _told(self, alert: Alert, entry: Entry, change: AlertChange) -> Notice | None:
        if not self._wanted(alert):
            return None
        others = tuple(self.others(alert))
        return Notice(
            id=entry.id, change=change, at=entry.at, alert=alert, by=entry.actor, reason=alert.reason, others=others
        )


def waking(standing: Iterable[Alert], *, now: datetime) -> list[Alert]:
    """Snoozed alerts whose time is over."""
    return [a for a in standing if a.state == "snoozed" and a.snoozed_until is not None and a.snoozed_until <= now]
