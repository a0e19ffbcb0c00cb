"""The feed in memory: changes in order, and who is told of them. Stores write to it while they hold the one lock. Made by MemoryMetadata."""

from bisect import bisect_right
from collections.abc import Collection
from datetime import datetime
from threading import RLock

from msgspec.structs import replace

from noria.adapters.metadata import rules_registry as rules
from noria.domain.change import Change, ChangeKind, Webhook
from noria.domain.ids import WebhookId


class MemoryFeed:
    """ports.feed.Feed."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self._changes: list[Change] = []
        self._newest = 0
        self._webhooks: dict[str, Webhook] = {}
        self._told: dict[str, int] = {}

    def tell(self, change: Change) -> None:
        """Keep a change under the next number. The caller holds the lock."""
        self._newest += 1
        self._changes.append(replace(change, seq=self._newest))

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[ChangeKind] | None = None) -> list[Change]:
        with self._lock:
            found: list[Change] = []
            for change in self._changes[self._place(after) :]:
                if len(found) >= limit:
                    break
                if kinds is None or change.kind in kinds:
                    found.append(change)
            return found

    def newest(self) -> int:
        with self._lock:
            return self._newest

    def forget(self, *, until: int) -> int:
        with self._lock:
            gone = self._place(until)
            del self._changes[:gone]
            return gone

    def put_webhook(self, webhook: Webhook) -> Webhook:
        rules.check_webhook(webhook)
        with self._lock:
            stored = self._webhooks.get(webhook.id)
            kept = rules.kept_webhook(stored, webhook, newest=self._newest)
            self._webhooks[kept.id] = kept
            self._told.setdefault(kept.id, kept.since)
            return kept

    def webhook(self, webhook_id: WebhookId) -> Webhook:
        with self._lock:
            return self._find(webhook_id)

    def webhooks(self) -> list[Webhook]:
        with self._lock:
            return rules.newest_first(list(reversed(self._webhooks.values())))

    def drop_webhook(self, webhook_id: WebhookId) -> None:
        with self._lock:
            del self._webhooks[self._find(webhook_id).id]
            del self._told[webhook_id]

    def mark_webhook(self, webhook_id: WebhookId, *, failing_since: datetime | None, switched_off: str = "") -> Webhook:
        with self._lock:
            stored = self._find(webhook_id)
            kept = rules.marked_webhook(stored, failing_since=failing_since, switched_off=switched_off)
            self._webhooks[kept.id] = kept
            return kept

    def delivered(self, webhook_id: WebhookId) -> int:
        with self._lock:
            return self._told[self._find(webhook_id).id]

    def advance(self, webhook_id: WebhookId, *, seq: int) -> None:
        with self._lock:
            self._told[webhook_id] = max(seq, self._told[self._find(webhook_id).id])

    def _find(self, webhook_id: WebhookId) -> Webhook:
        if webhook_id not in self._webhooks:
            raise rules.missing_webhook(webhook_id)
        return self._webhooks[webhook_id]

    def _place(self, seq: int) -> int:
        """How many changes have a number up to `seq`."""
        return bisect_right(self._changes, seq, key=lambda change: change.seq)
