"""Tell receivers of alerts: the ledger is the outbox, each receiver reads it at its own pace, at least once, again and again until it has taken.

How far a receiver was told is its cursor in the ledger, moved only after its answer: a kill -9 in between sends the same notice once more, under the
same id; one between a look and its alert loses neither, because the look is repeated. Of several processes on one store one tells a receiver
(a lease in the step journal). Who there is: alerting_receivers.py; what people answer: alerting_acts.py; when nothing looks: alerting_sentry.py.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from urllib.parse import quote

from msgspec.structs import replace

from noria.app.alerting_receivers import Pulse, Receiver
from noria.domain.alert import Alert, Notice
from noria.domain.events import AlertOpened, AlertUndelivered
from noria.domain.ids import AlertId, EventId, derive, digest_of, fresh
from noria.domain.ledger import Cursor, Draft
from noria.domain.pipeline import JournalEntry, StepTask
from noria.errors import Conflict, LeaseLost, NoriaError, RequestInvalid, StoreUnavailable
from noria.monitoring.alert_book import ALERT_KINDS, Book
from noria.ports.clock import Clock
from noria.ports.metadata import Metadata
from noria.ports.notifier import Standing
from noria.ports.telemetry import Telemetry

ACTOR = "noria"
POLL_S = 1.0
PORTION = 200
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 300.0
"""A page shall not wait an hour after its receiver is back."""
FEWEST_REFUSALS = 5
"""So often a receiver may refuse the same notice before it is set aside."""
LEASE_S = 15.0
LEAVING_S = 2.0
FAR_BEHIND = 5_000
"""Entries without alerts after which a cursor is moved although nothing was told."""
log = logging.getLogger(__name__)


def cursor_of(receiver: str) -> str:
    """The receiver's name as a reader of the ledger."""
    return f"alerts:{receiver}"


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a receiver takes what it is told, as far as this process knows. waiting: notices that it has not taken. problem: of the last failure."""

    receiver: str
    waiting: int
    waiting_since: datetime | None = None
    tries: int = 0
    problem: str = ""


@dataclass
class _Told:
    """Where a receiver stands in this process."""

    book: Book
    position: int = 0
    noted: int = 0
    opened: bool = False
    over_before: frozenset[AlertId] = frozenset()
    pending: Notice | None = None
    tries: int = 0
    refusals: int = 0
    until: float = 0.0
    problem: str = ""
    refreshed: float = -1e18
    reminders: dict[AlertId, int] = field(default_factory=dict)
    lease: JournalEntry | None = None
    renew_at: float = 0.0


class Courier:
    """Tells every receiver of what is new. `round` does what is due now; `start` repeats it, a thread for each receiver, until `stop`.

    metadata: gives the stores of the moment. link: the page of an alert, '' if there is none. lively: whether Noria does its work, for the pulse.
    """

    def __init__(
        self,
        metadata: Callable[[], Metadata],
        receivers: Sequence[Receiver],
        *,
        clock: Clock,
        pulse: Pulse | None = None,
        base_url: str = "",
        lively: Callable[[], bool] = lambda: True,
        elapsed: Callable[[], float] = monotonic,
        seed: int | None = None,
        telemetry: Telemetry | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self.receivers = tuple(receivers)
        self._metadata = metadata
        self._clock = clock
        self._pulse = pulse
        self._base_url = base_url.rstrip("/")
        self._lively = lively
        self._elapsed = elapsed
        self._random = random.Random(seed)
        self._telemetry = telemetry
        self._lease_s = lease_s
        self._told = {each.name: _Told(book=Book(each.wants)) for each in self.receivers}
        self._beat_at = float("-inf")
        self._holder = fresh()
        self._stop = threading.Event()
        self._news: list[threading.Event] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to tell in the background."""
        for each in self.receivers:
            self._run(partial(self.serve, each), name=f"noria-alerts-{each.name}")
        if self._pulse is not None:
            self._run(self.beat, name="noria-pulse")

    def wake(self) -> None:
        """There may be news: look now and not at the next regular time. May be called from any thread."""
        for news in self._news:
            news.set()

    def stop(self) -> None:
        """Finish what is under way, if it is soon done, and let another process take over."""
        self._stop.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout=LEAVING_S)
        if not any(thread.is_alive() for thread in self._threads):
            self.release()

    def release(self) -> None:
        """Give the leases back."""
        for told in self._told.values():
            if told.lease is not None:
                lease, told.lease = told.lease, None
                self._metadata().journal.release(lease)

    def round(self) -> int:
        """Tell every receiver what is due, one after the other; gives how many notices were taken."""
        taken = sum(self.serve(each) for each in self.receivers)
        self.beat()
        return taken

    def beat(self) -> bool:
        """Give the sign of life if it is time and the work goes on; whether it was given."""
        pulse = self._pulse
        if pulse is None or self._elapsed() - self._beat_at < pulse.every_s:
            return False
        self._metadata().ledger.head()
        if not self._lively():
            return False
        error = _said(lambda: pulse.heart.beat(at=self._clock.now(), every_s=pulse.every_s))
        if error is not None:
            log.warning("no sign of life could be given: %s", error.headline())
            self._count("pulse", "failed")
            return False
        self._beat_at = self._elapsed()
        self._count("pulse", "taken")
        return True

    def serve(self, receiver: Receiver) -> int:
        """Tell one receiver what is due; gives how many notices it took. Nothing while it has to wait, or if another process tells it."""
        told = self._told[receiver.name]
        if self._elapsed() < told.until:
            return 0
        told = self._open(receiver, told)
        taken = 0
        while not self._stop.is_set():
            news = self._news_for(receiver, told)
            if news is None:
                break
            is_new = told.lease is None
            if not self._has_lease(receiver, told):
                return taken
            if is_new:
                self._open(receiver, told)  # whoever had the lease before may have told it meanwhile
            if told.pending is None:
                continue
            if not self._deliver(receiver, told, *news):
                return taken
            taken += 1
        self._remind(receiver, told)
        self._refresh(receiver, told)
        return taken

    def health(self) -> list[Health]:
        """How each receiver takes what it is told."""
        return [
            changed(waiting(self._metadata(), each), tries=told.tries, problem=told.problem)
            for each in self.receivers
            for told in (self._told[each.name],)
        ]

    def test(self, receiver: Receiver) -> None:
        """Send one example now. Raises what the notifier raises."""
        now = self._clock.now()
        receiver.notifier.notify(example(now, link=self._base_url))

    def _run(self, work: Callable[[], object], *, name: str) -> None:
        news = threading.Event()

        def repeat() -> None:
            while not self._stop.is_set():
                try:
                    work()
                except NoriaError as error:
                    log.warning("alerts: %s", error.headline())
                news.wait(POLL_S)
                news.clear()

        thread = threading.Thread(target=repeat, name=name, daemon=True)
        self._news.append(news)
        self._threads.append(thread)
        thread.start()

    def _open(self, receiver: Receiver, told: _Told) -> _Told:
        """Take in what the receiver was told of before this process, or by another one; gives where it stands."""
        ledger = self._metadata().ledger
        if ledger.head().seq < told.position:  # another ledger: an ephemeral project was emptied
            self._told[receiver.name] = told = _Told(book=Book(receiver.wants))
        cursor = ledger.cursor(cursor_of(receiver.name)).seq
        if not told.opened and cursor == 0:
            cursor = self._meet(receiver, told)
        told.opened, told.noted = True, cursor
        if cursor >= told.position:
            told.pending = None
        while told.position < cursor:
            entries = ledger.read(after=told.position, limit=PORTION, kinds=ALERT_KINDS)
            for entry in entries:
                if entry.seq > cursor:
                    break
                told.book.take(entry)
                told.position = entry.seq
            else:
                if len(entries) == PORTION:
                    continue
            told.position = cursor
        return told

    def _meet(self, receiver: Receiver, told: _Told) -> int:
        """A new receiver begins before the oldest alert that stands, and that is noted: from here on it misses nothing. Gives its cursor."""
        ledger = self._metadata().ledger
        newest = ledger.head().seq
        entries = ledger.read(limit=1_000_000, kinds=ALERT_KINDS)
        book = Book.of(entries)
        told.over_before = frozenset(alert.id for alert in book.alerts() if alert.is_over)
        opened = (
            x.seq for x in entries if isinstance(x.event, AlertOpened) and x.event.alert.id not in told.over_before
        )
        begin = next(opened, newest + 1) - 1
        if begin > 0:
            ledger.append([], advance=Cursor(name=cursor_of(receiver.name), seq=begin))
        return begin

    def _news_for(self, receiver: Receiver, told: _Told) -> tuple[Notice, int] | None:
        """The next notice that the receiver has to hear, with its place in the ledger; None if there is none."""
        ledger = self._metadata().ledger
        if told.pending is not None:
            return told.pending, told.position
        newest = ledger.head().seq
        while told.position < newest:
            entries = ledger.read(after=told.position, limit=PORTION, kinds=ALERT_KINDS)
            for entry in entries:
                notice = told.book.take(entry)
                told.position = entry.seq
                if notice is not None and receiver.hears(notice) and notice.alert.id not in told.over_before:
                    told.pending = replace(notice, link=self._link(notice.alert))
                    return told.pending, entry.seq
            if len(entries) < PORTION:
                told.position = max(told.position, newest)
        if told.position - told.noted > FAR_BEHIND or told.over_before:
            told.over_before = frozenset()
            ledger.append([], advance=Cursor(name=cursor_of(receiver.name), seq=told.position))
            told.noted = told.position
        return None

    def _deliver(self, receiver: Receiver, told: _Told, notice: Notice, seq: int) -> bool:
        """Send one notice and note that it was taken, or set aside. False: the receiver has to wait."""
        drafts = []
        error = _said(lambda: receiver.notifier.notify(notice))
        if error is not None:
            told.refusals += isinstance(error, RequestInvalid)
            if told.refusals < FEWEST_REFUSALS:
                return self._ill(receiver, told, error)
            drafts = [self._undelivered(receiver, notice, error)]
        self._metadata().ledger.append(drafts, advance=Cursor(name=cursor_of(receiver.name), seq=seq))
        told.pending, told.noted, told.tries, told.refusals, told.problem = None, seq, 0, 0, ""
        self._count(receiver.name, "set_aside" if drafts else "taken", in_a_row=0)
        return True

    def _ill(self, receiver: Receiver, told: _Told, error: NoriaError) -> bool:
        """Wait longer with each failure in a row."""
        if not told.problem:
            log.warning("receiver %r takes no alerts: %s (%s)", receiver.name, error.problem, error.cause)
        told.tries += 1
        told.problem = f"{error.problem} ({error.cause})" if error.cause else error.problem
        pause = min(FIRST_WAIT_S * 2.0 ** min(told.tries - 1, 20), LONGEST_WAIT_S) * self._random.uniform(0.5, 1.0)
        told.until = self._elapsed() + pause
        self._count(receiver.name, "failed", in_a_row=told.tries)
        return False

    def _undelivered(self, receiver: Receiver, notice: Notice, error: NoriaError) -> Draft:
        log.error("receiver %r refuses notice %s for good: %s", receiver.name, notice.id, error.problem)
        event = AlertUndelivered(
            deployment=notice.alert.deployment,
            alert_id=notice.alert.id,
            receiver=receiver.name,
            notice=notice.id,
            error=f"{error.problem}; {error.cause}",
        )
        event_id = EventId(derive("undelivered", receiver.name, notice.id))
        return Draft(id=event_id, at=self._clock.now(), actor=ACTOR, event=event, cause=EventId(notice.id))

    def _remind(self, receiver: Receiver, told: _Told) -> None:
        """Tell again of open alerts, one for each cause. What a process finds open when it begins waits for its next turn."""
        every = receiver.wish.repeat_minutes * 60
        if not every or told.pending is not None:
            return
        now = self._clock.now()
        seen: set[str] = set()
        for alert in told.book.standing():
            if alert.state != "open" or alert.cause in seen:
                continue
            seen.add(alert.cause)
            turn = int((now - (alert.changed_at or alert.opened_at)).total_seconds() // every)
            if turn <= told.reminders.setdefault(alert.id, turn) or not self._has_lease(receiver, told):
                continue
            notice = self._again(told, alert, now, identity=derive(alert.id, "reminded", receiver.name, str(turn)))
            error = _said(partial(receiver.notifier.notify, notice))
            if error is not None:
                self._ill(receiver, told, error)
                return
            told.reminders[alert.id] = turn
            self._count(receiver.name, "reminded")

    def _refresh(self, receiver: Receiver, told: _Told) -> None:
        """Tell receivers that forget of everything that stands."""
        notifier = receiver.notifier
        if not isinstance(notifier, Standing) or self._elapsed() - told.refreshed < notifier.refresh_s:
            return
        standing, now = told.book.standing(), self._clock.now()
        if standing and not self._has_lease(receiver, told):
            return
        notices = [self._again(told, alert, now, identity=alert.id) for alert in standing]
        error = _said(lambda: notifier.refresh(notices, at=now))
        if error is not None:
            self._ill(receiver, told, error)
            return
        told.refreshed = self._elapsed()

    def _again(self, told: _Told, alert: Alert, now: datetime, *, identity: str) -> Notice:
        others = tuple(told.book.others(alert))
        return Notice(id=identity, change="reminded", at=now, alert=alert, others=others, link=self._link(alert))

    def _link(self, alert: Alert) -> str:
        return f"{self._base_url}/deployments/{quote(alert.deployment, safe='')}" if self._base_url else ""

    def _has_lease(self, receiver: Receiver, told: _Told) -> bool:
        """Take, or keep, the right to tell this receiver. Lost when another process took over from one that seemed dead."""
        if told.lease is not None and self._elapsed() < told.renew_at:
            return True
        journal, now = self._metadata().journal, datetime.now(UTC)
        try:
            if told.lease is None:
                told.lease = journal.lease(task_of(receiver.name), holder=self._holder, now=now, seconds=self._lease_s)
            else:
                told.lease = journal.heartbeat(told.lease, now=now, seconds=self._lease_s)
        except (Conflict, LeaseLost):
            told.lease = None
            return False
        told.renew_at = self._elapsed() + self._lease_s / 3
        return True

    def _count(self, receiver: str, outcome: str, *, in_a_row: int | None = None) -> None:
        if self._telemetry is None:
            return
        self._telemetry.count("noria_alert_deliveries_total", receiver=receiver, outcome=outcome)
        if in_a_row is not None:
            self._telemetry.set("noria_alert_receiver_failures", in_a_row, receiver=receiver)


def _said(saying: Callable[[], None]) -> NoriaError | None:
    """Let a notifier say something; what went wrong, if anything did."""
    try:
        saying()
    except NoriaError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a notifier may be somebody else's; whatever it raises, alerts go on
        return StoreUnavailable("the notifier failed", cause=f"{type(error).__name__}: {error}")
    return None


def task_of(receiver: str) -> StepTask:
    """What the lease of a receiver is for."""
    name = f"noria: tell {receiver} of alerts"
    return StepTask(step=f"tell {receiver} of alerts", cache_key=digest_of(name.encode()), key_parts={})


def waiting(metadata: Metadata, receiver: Receiver) -> Health:
    """What a receiver has not taken yet, from the ledger alone."""
    cursor = metadata.ledger.cursor(cursor_of(receiver.name)).seq
    book = Book(receiver.wants)
    count, since = 0, None
    for entry in metadata.ledger.read(limit=1_000_000, kinds=ALERT_KINDS):
        notice = book.take(entry)
        if entry.seq > cursor and notice is not None and receiver.hears(notice):
            count += 1
            since = since or entry.at
    return Health(receiver=receiver.name, waiting=count, waiting_since=since)


def example(now: datetime, *, link: str = "") -> Notice:
    """The notice of a test: no alert, and it says so."""
    alert = Alert(
        id=AlertId(f"test-{fresh()[:12]}"),
        kind="data_quality",
        deployment="noria",
        number=0,
        opened_at=now,
        severity="info",
        summary="this is a test: nothing is wrong, alerts reach you",
        budget="sent by hand: noria alerts test",
        next_command="noria alerts",
    )
    return Notice(id=alert.id, change="tested", at=now, alert=alert, link=link)
