"""Webhooks over HTTP: who is told of changes. Secrets go in and never come out. Delivering is app/webhooks, begun by run.py. Called by app.py."""

import base64
import secrets
from collections.abc import Sequence
from importlib import import_module
from typing import cast, get_args

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from noria.app.outgoing import Allowance, checked_url
from noria.app.settings import Settings
from noria.app.webhook_form import PREFIX
from noria.app.webhooks import Deliverer, Form, Rules
from noria.app.workspace import Workspace
from noria.domain.change import ChangeKind, Webhook
from noria.domain.ids import WebhookId, fresh
from noria.errors import RequestInvalid, SettingInvalid, StoreUnavailable
from noria.server.control.webhook_views import WebhookIn, WebhookMade, WebhookPatch, WebhookTried, WebhookView

FORMS = {"mlflow": "noria.server.mlflow.webhook_events"}
"""Forms that other faces bring along, loaded by name because faces do not know each other."""


def deliverer_of(workspace: Workspace) -> Deliverer:
    """Who tells the workspace's webhooks, by its settings, in every form that this server speaks; not started."""
    forms = {name: cast(Form, import_module(module)) for name, module in FORMS.items()}
    return Deliverer(
        lambda: workspace.metadata,
        clock=workspace.clock,
        rules=rules_of(workspace.settings),
        forms=forms,
        telemetry=workspace.telemetry,
    )


@get("/api/v1/webhooks", sync_to_thread=True, tags=["changes"])
def list_webhooks(workspace: NamedDependency[Workspace]) -> list[WebhookView]:
    """Every webhook, newest first, with how far it was told and since when it fails."""
    return [_view(workspace, webhook) for webhook in workspace.feed.webhooks()]


@post("/api/v1/webhooks", sync_to_thread=True, tags=["changes"], status_code=201)
def make_webhook(workspace: NamedDependency[Workspace], data: JSONBody[WebhookIn]) -> WebhookMade:
    """Make a webhook; it is told of what happens from now on. Without a secret one is made; the answer is the only place that shows it."""
    _check(workspace, data.url, data.kinds)
    now = workspace.clock.now()
    secret = data.secret or PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()
    made = workspace.feed.put_webhook(
        Webhook(
            id=WebhookId(fresh()),
            name=data.name,
            url=data.url,
            kinds=_kinds(data.kinds),
            description=data.description,
            secret=secret,
            created_at=now,
            updated_at=now,
        )
    )
    return WebhookMade(webhook=_view(workspace, made), secret=secret)


@patch("/api/v1/webhooks/{webhook_id:str}", sync_to_thread=True, tags=["changes"])
def change_webhook(
    workspace: NamedDependency[Workspace], webhook_id: FromPath[str], data: JSONBody[WebhookPatch]
) -> WebhookView:
    """Change what is given. One that is switched on again goes on where it was."""
    known = workspace.feed.webhook(WebhookId(webhook_id))
    url = known.url if data.url is None else data.url
    kinds: Sequence[str] = known.kinds if data.kinds is None else data.kinds
    _check(workspace, url, kinds)
    changed = msgspec.structs.replace(
        known,
        url=url,
        kinds=_kinds(kinds),
        name=known.name if data.name is None else data.name,
        description=known.description if data.description is None else data.description,
        active=known.active if data.active is None else data.active,
        secret=known.secret if data.secret is None else data.secret,
        updated_at=workspace.clock.now(),
    )
    return _view(workspace, workspace.feed.put_webhook(changed))


@delete("/api/v1/webhooks/{webhook_id:str}", sync_to_thread=True, tags=["changes"])
def drop_webhook(workspace: NamedDependency[Workspace], webhook_id: FromPath[str]) -> None:
    """Forget a webhook."""
    workspace.feed.drop_webhook(WebhookId(webhook_id))


@post("/api/v1/webhooks/{webhook_id:str}/test", sync_to_thread=True, tags=["changes"], status_code=200)
def try_webhook(
    workspace: NamedDependency[Workspace], hooks: NamedDependency[Deliverer], webhook_id: FromPath[str]
) -> WebhookTried:
    """Send one example now, and say what came back."""
    webhook = workspace.feed.webhook(WebhookId(webhook_id))
    kind: ChangeKind = webhook.kinds[0] if webhook.kinds else "version.created"
    try:
        answer = hooks.deliver_test(webhook, kind)
    except (SettingInvalid, StoreUnavailable) as error:
        return WebhookTried(taken=False, status=None, body="", problem=str(error))
    return WebhookTried(taken=answer.is_taken, status=answer.status, body=answer.body, problem="")


def rules_of(settings: Settings) -> Rules:
    """How a project's webhooks are told."""
    said = settings.webhooks
    return Rules(
        allowed=Allowance(http=said.allow_http, private=said.allow_private),
        give_up_days=said.give_up_days,
        keep_days=said.keep_days,
    )


def _check(workspace: Workspace, url: str, kinds: Sequence[str]) -> None:
    """Refuse now what could never be delivered. Where a host leads to is looked at with each delivery."""
    try:
        checked_url(url, allowed=rules_of(workspace.settings).allowed)
    except SettingInvalid as error:
        raise RequestInvalid(error.problem, cause=error.cause, remedy=error.remedy) from error
    known = get_args(ChangeKind)
    for kind in kinds:
        if kind not in known:
            raise RequestInvalid(
                f"{kind!r} is no kind of change", cause=f"known: {', '.join(known)}", remedy="leave kinds out for all"
            )


def _kinds(asked: Sequence[str]) -> tuple[ChangeKind, ...]:
    kinds: tuple[ChangeKind, ...] = get_args(ChangeKind)
    return tuple(kind for kind in kinds if kind in asked)


def _view(workspace: Workspace, webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        name=webhook.name,
        url=webhook.url,
        kinds=list(webhook.kinds),
        description=webhook.description,
        active=webhook.active,
        signed=bool(webhook.secret),
        form=webhook.form,
        created_at=webhook.created_at,
        updated_at=webhook.updated_at,
        told=workspace.feed.delivered(webhook.id),
        failing_since=webhook.failing_since,
        note=webhook.note,
    )
