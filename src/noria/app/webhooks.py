"""Tell webhooks what the feed says: in order, at least once, signed, again and again until taken or given up. One thread; started by the server.

How far a webhook was told stands in the store and moves only after its answer: a process that dies in between sends the same message once more, with
the same id. Of several servers on one store, one delivers (a lease in the step journal). Wording is webhook_form and the faces';
sending is outgoing.
"""

import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Protocol

import msgspec

from noria.app import webhook_form
from noria.app.outgoing import Allowance, Answer, post
from noria.domain.change import Change, ChangeKind, Webhook
from noria.domain.ids import WebhookId, digest_of, fresh
from noria.domain.pipeline import JournalEntry, StepTask
from noria.errors import Conflict, LeaseLost, NoriaError, NotFound, SettingInvalid, StoreUnavailable
from noria.ports.clock import Clock
from noria.ports.feed import Feed
from noria.ports.metadata import Metadata
from noria.ports.telemetry import Telemetry

POLL_S = 0.5
PORTION = 50
"""Messages to one webhook before the next one has its turn."""
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 3600.0
GONE = 410
LEAVING_S = 2.0
FEWEST_TRIES = 5
"""A server that was away for days itself tries so often before it gives up."""
FEWEST_KEPT = 10_000
"""Changes that are kept however old they are."""
TASK = StepTask(step="deliver webhooks", cache_key=digest_of(b"noria: deliver webhooks"), key_parts={})
log = logging.getLogger(__name__)


class Form(Protocol):
    """How a message is worded and signed: a module with these functions, such as webhook_form."""

    def body(self, change: Change, metadata: Metadata, /) -> bytes | None:
        """The message about a change; None if it is nothing to this form."""
        ...

    def example(self, kind: ChangeKind, at: datetime, /) -> bytes:
        """The message of a test."""
        ...

    def headers(self, content: bytes, secret: str, /, *, delivery: str, at: datetime) -> dict[str, str]:
        """What goes with it, the signature among them. delivery: the same for every repetition."""
        ...


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How deliveries are made. give_up_days: a webhook whose deliveries have failed for so long is switched off.

    keep_days: how long changes are kept that every webhook was told of. lease_s: after which another server takes over from one that has died.
    """

    allowed: Allowance = Allowance()
    give_up_days: float = 5.0
    keep_days: float = 30.0
    lease_s: float = 15.0


@dataclass
class _Trouble:
    """A webhook whose last delivery failed. until: when to try again, in seconds of the machine's own clock."""

    tries: int
    until: float


class Deliverer:
    """Tells every active webhook of what is new. `round` does what is due now; `start` repeats it in a thread until `stop`.

    metadata: gives the stores of the moment. forms: how webhooks are told, by the name in Webhook.form; Noria's own is always there.
    """

    def __init__(
        self,
        metadata: Callable[[], Metadata],
        *,
        clock: Clock,
        rules: Rules | None = None,
        forms: Mapping[str, Form] | None = None,
        elapsed: Callable[[], float] = monotonic,
        seed: int | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._metadata = metadata
        self._clock = clock
        self._rules = rules or Rules()
        self._forms: dict[str, Form] = {"noria": webhook_form, **(forms or {})}
        self._elapsed = elapsed
        self._random = random.Random(seed)
        self._telemetry = telemetry
        self._troubles: dict[WebhookId, _Trouble] = {}
        self._holder = fresh()
        self._lease: JournalEntry | None = None
        self._renew_at = 0.0
        self._stop = threading.Event()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to deliver in the background."""
        self._thread = threading.Thread(target=self._repeat, name="noria-webhooks", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be news: look now and not at the next regular time. Costs nothing; may be called from any thread."""
        self._news.set()

    def stop(self) -> None:
        """Finish the message under way, if it is soon done, and let another server take over."""
        self._stop.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(timeout=LEAVING_S)
            if self._thread.is_alive():
                return  # the message is sent again by whoever delivers next
        if self._lease is not None:
            lease, self._lease = self._lease, None
            self._metadata().journal.release(lease)

    def round(self) -> int:
        """Send what is due; gives how many messages were taken. Nothing if another server delivers."""
        metadata = self._metadata()
        feed = metadata.feed
        newest = feed.newest()
        waiting = [webhook for webhook in feed.webhooks() if webhook.active and self._is_behind(webhook, feed, newest)]
        self._troubles = {webhook.id: known for webhook in waiting if (known := self._troubles.get(webhook.id))}
        due = [webhook for webhook in waiting if self._is_due(webhook)]
        if not due or not self._has_lease(metadata):
            return 0
        return sum(self._tell(webhook, metadata, newest) for webhook in due)

    def deliver_test(self, webhook: Webhook, kind: ChangeKind) -> Answer:
        """Send one example now, whatever the webhook's state. Raises SettingInvalid, StoreUnavailable (see outgoing.post)."""
        form, now = self._form(webhook), self._clock.now()
        return self._send(webhook, form, form.example(kind, now), delivery=f"{webhook.id}-test-{fresh()[:8]}")

    def forget(self) -> int:
        """Drop changes that are older than the rules keep and that every active webhook was told of; gives how many."""
        feed, before = self._metadata().feed, self._clock.now() - timedelta(days=self._rules.keep_days)
        bounds = [feed.delivered(webhook.id) for webhook in feed.webhooks() if webhook.active]
        bounds.append(feed.newest() - FEWEST_KEPT)
        until = 0
        while changes := feed.read(after=until, limit=1000):
            old = [change.seq for change in changes if change.at < before]
            until = old[-1] if old else until
            if len(old) < len(changes):
                break
        until = min([until, *bounds])
        return feed.forget(until=until) if until > 0 else 0

    def _repeat(self) -> None:
        clean_at = self._elapsed()
        while not self._stop.is_set():
            self._news.wait(POLL_S)
            self._news.clear()
            if self._stop.is_set():
                return
            try:
                self.round()
                if self._elapsed() >= clean_at:
                    clean_at = self._elapsed() + 3600.0
                    self.forget()
            except NoriaError as error:
                log.warning("webhooks: %s", error.headline())

    def _is_behind(self, webhook: Webhook, feed: Feed, newest: int) -> bool:
        try:
            return feed.delivered(webhook.id) < newest
        except NotFound:  # dropped since they were listed
            return False

    def _is_due(self, webhook: Webhook) -> bool:
        trouble = self._troubles.get(webhook.id)
        return trouble is None or self._elapsed() >= trouble.until

    def _has_lease(self, metadata: Metadata) -> bool:
        """Whether this process is the one that delivers now."""
        if self._lease is not None and self._elapsed() < self._renew_at:
            return True
        now, seconds = datetime.now(UTC), self._rules.lease_s
        try:
            if self._lease is None:
                self._lease = metadata.journal.lease(TASK, holder=self._holder, now=now, seconds=seconds)
            else:
                self._lease = metadata.journal.heartbeat(self._lease, now=now, seconds=seconds)
        except (Conflict, LeaseLost):
            self._lease = None
            return False
        self._renew_at = self._elapsed() + seconds / 3
        return True

    def _tell(self, webhook: Webhook, metadata: Metadata, newest: int) -> int:
        """Send a portion of what a webhook was not told yet; gives how many messages were taken."""
        feed = metadata.feed
        try:
            changes = feed.read(after=feed.delivered(webhook.id), limit=PORTION, kinds=webhook.kinds or None)
            taken = 0
            for change in changes:
                if self._stop.is_set() or not self._has_lease(metadata):
                    return taken
                if not self._deliver(webhook, change, metadata):
                    return taken
                feed.advance(webhook.id, seq=change.seq)
                taken += 1
            if len(changes) < PORTION:
                feed.advance(webhook.id, seq=newest)
        except NotFound:  # it was dropped meanwhile
            self._troubles.pop(webhook.id, None)
            return 0
        return taken

    def _deliver(self, webhook: Webhook, change: Change, metadata: Metadata) -> bool:
        """Send one message, or find that there is nothing to send. False: it was not taken, and the webhook has to wait."""
        wait = None
        try:
            form = self._form(webhook)
            body = form.body(change, metadata)
            if body is None:
                return True
            answer = self._send(webhook, form, body, delivery=f"{webhook.id}-{change.seq}")
            if answer.is_taken:
                self._well(webhook, metadata)
                self._count("taken")
                return True
            said, gone, wait = f"it answers {answer.status}", answer.status == GONE, answer.retry_after_s
        except (SettingInvalid, StoreUnavailable) as error:
            said, gone = f"{error.problem} ({error.cause})" if error.cause else error.problem, False
        self._ill(webhook, metadata, said=said, gone=gone, wait=wait)
        self._count("failed")
        return False

    def _count(self, outcome: str) -> None:
        if self._telemetry is not None:
            self._telemetry.count("noria_webhook_deliveries_total", outcome=outcome)

    def _send(self, webhook: Webhook, form: Form, body: bytes, *, delivery: str) -> Answer:
        headers = form.headers(body, webhook.secret, delivery=delivery, at=self._clock.now())
        return post(webhook.url, body, {"User-Agent": "noria", **headers}, allowed=self._rules.allowed)

    def _form(self, webhook: Webhook) -> Form:
        form = self._forms.get(webhook.form)
        if form is None:
            raise SettingInvalid(
                f"webhook '{webhook.name}' is told in form '{webhook.form}', which this server does not know",
                remedy="start the server that it was made with",
            )
        return form

    def _well(self, webhook: Webhook, metadata: Metadata) -> None:
        troubled = self._troubles.pop(webhook.id, None)
        if troubled is not None or webhook.failing_since is not None:
            metadata.feed.mark_webhook(webhook.id, failing_since=None)

    def _ill(self, webhook: Webhook, metadata: Metadata, *, said: str, gone: bool, wait: float | None) -> None:
        """Wait longer with each failure in a row, and give up in the end."""
        now = self._clock.now()
        since = metadata.feed.webhook(webhook.id).failing_since
        trouble = self._troubles.get(webhook.id)
        tries = trouble.tries + 1 if trouble else 1
        backoff = min(FIRST_WAIT_S * 2.0 ** min(tries - 1, 20), LONGEST_WAIT_S) * self._random.uniform(0.5, 1.0)
        pause = min(max(backoff, wait or 0.0), LONGEST_WAIT_S)
        self._troubles[webhook.id] = _Trouble(tries=tries, until=self._elapsed() + pause)
        lasts = since is not None and now - since > timedelta(days=self._rules.give_up_days)
        if gone or (lasts and tries >= FEWEST_TRIES):
            failed = f"every delivery has failed since {since or now:%Y-%m-%d %H:%M} UTC; at last: {said}"
            note = "the receiver says that it is gone" if gone else failed
            metadata.feed.mark_webhook(webhook.id, failing_since=since or now, switched_off=note)
            self._troubles.pop(webhook.id, None)
            log.warning("webhook '%s' was switched off: %s", webhook.name, note)
        elif since is None:
            metadata.feed.mark_webhook(webhook.id, failing_since=now)
            log.warning("webhook '%s' does not take messages: %s", webhook.name, said)
