"""The feed port: changes in order, and who is told of them."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from noria.domain.change import Change, ChangeKind, Webhook
from noria.domain.ids import WebhookId


class Feed(Protocol):
    """What happened to runs and registered models, written by their stores in the transaction that made it so. Numbers rise; gaps are possible.

    A change is seen only when every one with a smaller number can be seen, so that a reader that goes on from its last number misses nothing.
    """

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[ChangeKind] | None = None) -> list[Change]:
        """Changes with seq > after, ascending."""
        ...

    def newest(self) -> int:
        """The highest number that was given so far, forgotten ones included; 0 if there was none."""
        ...

    def forget(self, *, until: int) -> int:
        """Drop changes up to a number; gives how many."""
        ...

    def put_webhook(self, webhook: Webhook) -> Webhook:
        """Write a webhook under its id, new or changed; a new one begins at the newest change."""
        ...

    def webhook(self, webhook_id: WebhookId) -> Webhook:
        """One webhook with its secret. Raises NotFound."""
        ...

    def webhooks(self) -> list[Webhook]:
        """All webhooks, newest first, with their secrets."""
        ...

    def drop_webhook(self, webhook_id: WebhookId) -> None:
        """Forget one. Raises NotFound."""
        ...

    def mark_webhook(self, webhook_id: WebhookId, *, failing_since: datetime | None, switched_off: str = "") -> Webhook:
        """Say since when its deliveries fail (None: they succeed); with a reason, switch it off and keep the reason as its note.

        Nothing else changes, whoever changes it meanwhile. Raises NotFound.
        """
        ...

    def delivered(self, webhook_id: WebhookId) -> int:
        """How far a webhook was told; at first its `since`."""
        ...

    def advance(self, webhook_id: WebhookId, *, seq: int) -> None:
        """Say how far it was told; never moves back."""
        ...
