"""Webhooks of MLflow's protocol: made, read, changed, deleted, tried. What a message says is webhook_events; delivering is app/webhooks.

Only webhooks that were made over this protocol are shown here; their secrets never.
"""

import os
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from noria.domain.change import ChangeKind, Webhook
from noria.domain.ids import WebhookId, fresh
from noria.errors import NotFound, SettingInvalid, StoreUnavailable
from noria.server.mlflow import wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.registered_models import TEXT
from noria.server.mlflow.registry_views import now
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.webhook_events import EVENTS, FORM, NAMES

SCHEMES = "MLFLOW_WEBHOOK_ALLOWED_SCHEMES"
"""A variable of MLflow's own: which schemes an address may have, with commas between; by default what the server's settings allow."""
PAGE = 100
LARGEST_PAGE = 1000
NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)
ENTITIES = (
    "ENTITY_UNSPECIFIED",
    "REGISTERED_MODEL",
    "MODEL_VERSION",
    "MODEL_VERSION_TAG",
    "MODEL_VERSION_ALIAS",
    "PROMPT",
    "PROMPT_VERSION",
    "PROMPT_TAG",
    "PROMPT_VERSION_TAG",
    "PROMPT_ALIAS",
)
"""By their numbers in the protocol."""
ACTIONS = ("ACTION_UNSPECIFIED", "CREATED", "UPDATED", "DELETED", "SET")


class Event(msgspec.Struct):
    """An event: what of, and what became of it."""

    entity: str | int = ""
    action: str | int = ""


class Given(msgspec.Struct):
    """What create and update take."""

    name: str | None = None
    url: str | None = None
    events: list[Event] | None = None
    description: str | None = None
    secret: str | None = None
    status: str | int | None = None


class Listed(msgspec.Struct):
    """What the list takes."""

    max_results: wire.Int64 | None = None
    page_token: str | None = None


class Test(msgspec.Struct):
    """What test takes."""

    event: Event | None = None


class TestResult(msgspec.Struct, omit_defaults=True):
    """What came of a test."""

    success: bool
    response_status: int | None = None
    response_body: str | None = None
    error_message: str | None = None


class TestAnswer(msgspec.Struct):
    """The answer to a test."""

    result: TestResult


class WebhookView(msgspec.Struct, omit_defaults=True):
    """A webhook as it is answered."""

    webhook_id: str
    name: str
    url: str
    events: list[Event]
    status: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str = ""


class WebhookAnswer(msgspec.Struct):
    """One webhook."""

    webhook: WebhookView


class WebhooksAnswer(msgspec.Struct, omit_defaults=True):
    """A page of webhooks."""

    webhooks: list[WebhookView] = []
    next_page_token: str = ""


CREATE = wire.Form(
    Given,
    name=TEXT,
    url=TEXT,
    events=(wire.array, wire.required),
    description=(wire.string,),
    secret=(wire.string,),
    status=(wire.string,),
)
UPDATE = wire.Form(
    Given,
    name=(wire.string,),
    description=(wire.string,),
    url=(wire.string,),
    events=(wire.array,),
    secret=(wire.string,),
    status=(wire.string,),
)
TEST = wire.Form(Test)
LIST = wire.Form(Listed, max_results=(wire.intlike,), page_token=(wire.string,))


def create(request: Request, context: Context) -> WebhookAnswer:
    """Make a webhook; it is told of what happens from now on."""
    given = CREATE.read(request)
    kinds = _kinds(given.events or [])
    at = now(context)
    made = Webhook(
        id=WebhookId(fresh()),
        name=_name(given.name or ""),
        url=_url(given.url or "", context.schemes),
        kinds=kinds,
        description=given.description or "",
        active=_active(given.status, default=True),
        secret=given.secret or "",
        created_at=at,
        updated_at=at,
        form=FORM,
    )
    return WebhookAnswer(_view(context.metadata.feed.put_webhook(made)))


def list_webhooks(request: Request, context: Context) -> WebhooksAnswer:
    """A page of webhooks, newest first."""
    given = LIST.read(request)
    limit = given.max_results or PAGE
    if not 1 <= limit <= LARGEST_PAGE:
        raise Refused("max_results must be between 1 and 1000.")
    token = given.page_token or "0"
    if not token.isdecimal() or len(token) > 9:
        raise Refused(f"Invalid page token: {token}")
    mine = [webhook for webhook in context.metadata.feed.webhooks() if webhook.form == FORM]
    start = int(token)
    more = len(mine) > start + limit
    return WebhooksAnswer([_view(each) for each in mine[start : start + limit]], str(start + limit) if more else "")


def get(request: Request, context: Context) -> WebhookAnswer:
    """Read a webhook."""
    return WebhookAnswer(_view(_find(request, context)))


def update(request: Request, context: Context) -> WebhookAnswer:
    """Change what is given of a webhook."""
    given = UPDATE.read(request)
    found = _find(request, context)
    active = _active(given.status, default=found.active)
    changed = replace(
        found,
        name=_name(given.name) if given.name else found.name,
        url=_url(given.url, context.schemes) if given.url else found.url,
        kinds=_kinds(given.events) if given.events else found.kinds,
        description=given.description or found.description,
        secret=given.secret or found.secret,
        active=active,
        note="" if active else found.note,
        failing_since=None if active and not found.active else found.failing_since,
        updated_at=now(context),
    )
    return WebhookAnswer(_view(context.metadata.feed.put_webhook(changed)))


def delete(request: Request, context: Context) -> None:
    """Forget a webhook."""
    context.metadata.feed.drop_webhook(_find(request, context).id)


def try_webhook(request: Request, context: Context) -> TestAnswer:
    """Send an example of an event, by default of the webhook's first; what came of it is the answer."""
    given = TEST.read(request)
    found = _find(request, context)
    kind = kind_of(given.event) if given.event is not None else found.kinds[0]
    if context.hooks is None:
        raise Refused("This server tells no webhooks.", "NOT_IMPLEMENTED")
    try:
        answer = context.hooks.deliver_test(found, kind)
    except (SettingInvalid, StoreUnavailable) as error:
        why = f"{error.problem}: {error.cause}" if error.cause else error.problem
        return TestAnswer(TestResult(success=False, error_message=f"Failed to test webhook: {why}"))
    return TestAnswer(TestResult(success=answer.status < 400, response_status=answer.status, response_body=answer.body))


def _find(request: Request, context: Context) -> Webhook:
    webhook_id = request.args["webhook_id"]
    try:
        found = context.metadata.feed.webhook(WebhookId(webhook_id))
    except NotFound:
        found = None
    if found is None or found.form != FORM:
        raise missing(f"Webhook with ID {webhook_id} not found.")
    return found


def _view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        webhook_id=webhook.id,
        name=webhook.name,
        url=webhook.url,
        events=[Event(entity.upper(), action.upper()) for entity, action in (NAMES[kind] for kind in webhook.kinds)],
        status="ACTIVE" if webhook.active else "DISABLED",
        creation_timestamp=wire.to_ms(webhook.created_at),
        last_updated_timestamp=wire.to_ms(webhook.updated_at),
        description=webhook.description,
    )


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Refused(
            f"Webhook name {name!r} is invalid. It must start and end with a letter or digit, "
            "be less than 63 characters long, and contain only letters, digits, dots (.), "
            "underscores (_), and hyphens (-)."
        )
    return name


def _url(url: str, schemes: Sequence[str]) -> str:
    if not url.strip():
        raise Refused(f"Webhook URL cannot be empty or just whitespace: {url!r}")
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise Refused(f"Invalid webhook URL {url!r}: {error!r}") from None
    named = os.environ.get(SCHEMES)
    allowed = [each.strip() for each in named.split(",")] if named else schemes
    if scheme not in allowed:
        raise Refused(f"Invalid webhook URL scheme: {scheme!r}. Allowed schemes are: {', '.join(allowed)}.")
    return url


def _kinds(events: list[Event]) -> tuple[ChangeKind, ...]:
    if not events:
        raise Refused(f"Webhook events must be a non-empty list of WebhookEvent objects: {events}.")
    return tuple(dict.fromkeys(kind_of(event) for event in events))


def kind_of(event: Event) -> ChangeKind:
    """The change that an event is. Raises Refused for one that MLflow does not know, and for those of prompts, which Noria does not have."""
    entity, action = _word(event.entity, ENTITIES), _word(event.action, ACTIONS)
    known = EVENTS.get((entity, action))
    if known is None and entity.startswith("prompt"):
        raise Refused(f"Events of prompts ({entity}.{action}) are not supported by Noria.", "NOT_IMPLEMENTED")
    if known is None:
        valid = sorted(each for of, each in EVENTS if of == entity)
        raise Refused(f"Invalid action '{action}' for entity '{entity}'. Valid actions are: {valid}")
    return known


def _word(given: str | int, names: tuple[str, ...]) -> str:
    """An enumeration's value by its name or number."""
    if isinstance(given, int):
        given = names[given] if 0 <= given < len(names) else ""
    return given.lower()


def _active(status: str | int | None, *, default: bool) -> bool:
    if status in (None, "", 0):
        return default
    if status not in ("ACTIVE", "DISABLED", 1, 2):
        raise Refused(f"Unknown status: {status}")
    return status in ("ACTIVE", 1)


WEBHOOKS = "/mlflow/webhooks"
ONE = WEBHOOKS + "/{webhook_id}"
ROUTES = [
    Route("POST", WEBHOOKS, create),
    Route("GET", WEBHOOKS, list_webhooks),
    Route("GET", ONE, get),
    Route("PATCH", ONE, update),
    Route("DELETE", ONE, delete),
    Route("POST", ONE + "/test", try_webhook),
]
