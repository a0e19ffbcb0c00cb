"""Changes: what happened to runs and registered models, for webhooks and event streams. Decisions of the loop are events, in the ledger."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import WebhookId

ChangeKind = Literal[
    "experiment.created",
    "experiment.trashed",
    "experiment.restored",
    "run.created",
    "run.finished",
    "run.trashed",
    "run.restored",
    "model.created",
    "model.renamed",
    "model.deleted",
    "version.created",
    "version.deleted",
    "version.tag_set",
    "version.tag_deleted",
    "alias.set",
    "alias.deleted",
]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change, numbered in the order in which it became durable. subject: id of the run or experiment, name of the model, or `model/number`.

    detail: what else a receiver needs (status, alias, tag, value ...). No metric points: those are many, and no decision.
    """

    seq: int
    at: datetime
    kind: ChangeKind
    subject: str
    detail: dict[str, str] = {}


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who wants to be told of changes by HTTP. secret: signs each message; never shown, logged or exported.

    kinds: which changes; empty: all. since: the seq that the feed had when it was made; earlier changes are not its business.
    failing_since: when deliveries began to fail, None while they succeed. note: why it was switched off, if Noria did that. form: in which form it
    is told, Noria's own or one that a face brings along, by its name.
    """

    id: WebhookId
    name: str
    url: str
    kinds: tuple[ChangeKind, ...] = ()
    description: str = ""
    active: bool = True
    secret: str = ""
    created_at: datetime
    updated_at: datetime
    since: int = 0
    failing_since: datetime | None = None
    note: str = ""
    form: str = "noria"
