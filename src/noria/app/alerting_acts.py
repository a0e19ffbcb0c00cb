"""What people do about alerts: acknowledge, snooze, resolve, open again; each an event in the ledger with who did it. Called by CLI and REST.

One page for one cause, one answer for one page: an act on an alert is one on everything of its cause that stands, unless it is to be that one only.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.ids import AlertId, EventId, derive
from noria.domain.ledger import Draft, Entry
from noria.errors import Conflict, InputInvalid, NotFound
from noria.monitoring.alert_book import ALERT_KINDS, Book
from noria.ports.clock import Clock
from noria.ports.ledger import Ledger

SHORTEST_PREFIX = 4
STRIDE = 1000


def alert_entries(ledger: Ledger) -> Iterator[Entry]:
    """Every entry about alerts, oldest first, read in strides."""
    after = 0
    while batch := ledger.read(after=after, limit=STRIDE, kinds=ALERT_KINDS):
        yield from batch
        after = batch[-1].seq
        if len(batch) < STRIDE:
            return


def book_of(ledger: Ledger) -> Book:
    """All alerts as they stand now."""
    return Book.of(alert_entries(ledger))


def find(book: Book, alert_id: str) -> Alert:
    """One alert by its id or the beginning of it. Raises NotFound, InputInvalid when several begin so."""
    found = book.find(alert_id)
    if found is not None:
        return found
    close = [alert for alert in book.alerts() if alert.id.startswith(alert_id)]
    if len(alert_id) < SHORTEST_PREFIX or not close:
        raise NotFound.of("alert", alert_id, [alert.id for alert in book.standing()], remedy="noria alerts")
    if len(close) > 1:
        raise InputInvalid(
            f"{len(close)} alerts begin with {alert_id!r}",
            cause=", ".join(alert.id for alert in close[:5]),
            remedy="give more of the id",
        )
    return close[0]


def acknowledge(
    ledger: Ledger, alert_id: str, *, clock: Clock, actor: str, reason: str = "", only: bool = False
) -> list[Alert]:
    """Say that somebody takes care. Nothing changes where that was said before. Gives the alerts of the cause as they stand now.

    Raises NotFound, Conflict for an alert that is over.
    """

    def event(alert: Alert) -> e.AnyEvent | None:
        if alert.state == "acknowledged":
            return None
        return e.AlertAcknowledged(deployment=alert.deployment, alert_id=alert.id, reason=reason)

    return _act(ledger, alert_id, event, clock=clock, actor=actor, verb="acknowledge", only=only)


def snooze(
    ledger: Ledger,
    alert_id: str,
    *,
    until: datetime,
    clock: Clock,
    actor: str,
    reason: str = "",
    only: bool = False,
) -> list[Alert]:
    """Be quiet about an alert until a moment, then open it again if it still stands.

    Raises NotFound, Conflict, InputInvalid for a moment that is past or has no time zone.
    """
    if until.tzinfo is None:
        raise InputInvalid("the moment has no time zone", remedy="write 2026-11-22T09:00:00Z")
    if until <= clock.now():
        raise InputInvalid(f"{until:%Y-%m-%d %H:%M} UTC is past", remedy="name a moment to come, or --for 8h")

    def event(alert: Alert) -> e.AnyEvent | None:
        if alert.snoozed_until == until:
            return None
        return e.AlertSnoozed(deployment=alert.deployment, alert_id=alert.id, until=until, reason=reason)

    return _act(ledger, alert_id, event, clock=clock, actor=actor, verb=f"snooze {until.isoformat()}", only=only)


def resolve(ledger: Ledger, alert_id: str, *, clock: Clock, actor: str, reason: str, only: bool = False) -> list[Alert]:
    """Say that it is over. If the evidence stays, the look of another day opens a new alert.

    Raises NotFound, Conflict, InputInvalid without a reason.
    """
    if not reason.strip():
        raise InputInvalid(
            "why the alert is over is not said",
            cause="who looks at the history later wants to know",
            remedy="add --because '...'",
        )

    def event(alert: Alert) -> e.AnyEvent | None:
        return e.AlertResolved(deployment=alert.deployment, alert_id=alert.id, reason=reason)

    return _act(ledger, alert_id, event, clock=clock, actor=actor, verb="resolve", only=only)


def reopen(
    ledger: Ledger, alert_id: str, *, clock: Clock, actor: str, reason: str = "", only: bool = False
) -> list[Alert]:
    """Take an acknowledgement or a snooze back. Raises NotFound, Conflict."""

    def event(alert: Alert) -> e.AnyEvent | None:
        if alert.state == "open":
            return None
        return e.AlertReopened(deployment=alert.deployment, alert_id=alert.id, reason=reason or "asked for by hand")

    return _act(ledger, alert_id, event, clock=clock, actor=actor, verb="reopen", only=only)


def _act(
    ledger: Ledger,
    alert_id: str,
    event: Callable[[Alert], e.AnyEvent | None],
    *,
    clock: Clock,
    actor: str,
    verb: str,
    only: bool,
) -> list[Alert]:
    entries = list(alert_entries(ledger))
    book = Book.of(entries)
    alert = find(book, alert_id)
    if alert.is_over:
        raise Conflict(
            f"alert {alert.id!r} is over",
            cause=f"{alert.changed_by or 'noria'} resolved it: {alert.reason}",
            remedy="noria alerts",
        )
    concerned = [alert] if only else [alert, *book.others(alert)]
    opened = _opened(entries)
    drafts = []
    for each in concerned:
        change = event(each)
        if change is not None:
            # By the state it is made in: the same act twice is one, and after another act it is a new one.
            event_id = EventId(derive("alert", each.id, verb, str(each.changed_at)))
            draft = Draft(id=event_id, at=clock.now(), actor=actor, event=change, cause=opened.get(each.id))
            drafts.append(draft)
    for entry in ledger.append(drafts) if drafts else []:
        book.take(entry)
    return [found for each in concerned if (found := book.find(each.id)) is not None]


def _opened(entries: list[Entry]) -> dict[AlertId, EventId]:
    """The event that opened each alert."""
    return {x.event.alert.id: x.id for x in entries if isinstance(x.event, e.AlertOpened)}
