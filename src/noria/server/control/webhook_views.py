"""What the routes of webhooks take and give. Beside views.py, which holds the rest. Called by webhooks.py."""

from datetime import datetime

import msgspec


class WebhookIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook to be made. kinds: which changes; none: all. secret: signs each message; one is made if it is empty."""

    name: str
    url: str
    kinds: list[str] = []
    description: str = ""
    secret: str = ""


class WebhookPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall change of a webhook; what is not given stays."""

    name: str | None = None
    url: str | None = None
    kinds: list[str] | None = None
    description: str | None = None
    active: bool | None = None
    secret: str | None = None


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook, but for its secret. told: the number of the newest change that it was told of. note: why it was switched off by the server."""

    id: str
    name: str
    url: str
    kinds: list[str]
    description: str
    active: bool
    signed: bool
    form: str
    created_at: datetime
    updated_at: datetime
    told: int
    failing_since: datetime | None
    note: str


class WebhookMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new webhook with its secret, which is shown this once."""

    webhook: WebhookView
    secret: str


class WebhookTried(msgspec.Struct, frozen=True, kw_only=True):
    """What came back from a test. status: None if nothing did; problem says why."""

    taken: bool
    status: int | None
    body: str
    problem: str
