"""Webhooks in MLflow's form: which of its events are which changes, what a message says, and how it is signed.

Who is told is the feed's business, sending app/webhooks'. Called by webhooks, and by the deliverer for webhooks of this form.
"""

import base64
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from noria.domain.change import Change, ChangeKind
from noria.errors import NotFound
from noria.ports.metadata import Metadata
from noria.server.mlflow.registry_checks import PROMPT_TAG, RESERVED

FORM = "mlflow"
EVENTS: dict[tuple[str, str], ChangeKind] = {
    ("registered_model", "created"): "model.created",
    ("model_version", "created"): "version.created",
    ("model_version_tag", "set"): "version.tag_set",
    ("model_version_tag", "deleted"): "version.tag_deleted",
    ("model_version_alias", "created"): "alias.set",
    ("model_version_alias", "deleted"): "alias.deleted",
}
NAMES = {kind: event for event, kind in EVENTS.items()}
EXAMPLES: dict[ChangeKind, dict[str, Any]] = {
    "model.created": {
        "name": "example_model",
        "tags": {"example_key": "example_value"},
        "description": "An example registered model",
    },
    "version.created": {
        "name": "example_model",
        "version": "1",
        "source": "models:/123",
        "run_id": "abcd1234abcd5678",
        "tags": {"example_key": "example_value"},
        "description": "An example model version",
    },
    "version.tag_set": {"name": "example_model", "version": "1", "key": "example_key", "value": "example_value"},
    "version.tag_deleted": {"name": "example_model", "version": "1", "key": "example_key"},
    "alias.set": {"name": "example_model", "alias": "example_alias", "version": "1"},
    "alias.deleted": {"name": "example_model", "alias": "example_alias"},
}
"""What a test of a webhook sends; receivers' own tests expect these words."""


def body(change: Change, metadata: Metadata) -> bytes | None:
    """The message about a change; None for one that is nothing to this form, or about something that is gone by now."""
    data = _data(change, metadata)
    return None if data is None else _message(change.kind, data, change.at)


def example(kind: ChangeKind, at: datetime) -> bytes:
    """The message of a test."""
    return _message(kind, EXAMPLES[kind], at)


def headers(content: bytes, secret: str, *, delivery: str, at: datetime) -> dict[str, str]:
    """What goes with a message: an id that repetitions share, the time, and if there is a secret the signature over all three.

    >>> found = headers(b"{}", "s", delivery="7", at=datetime(2026, 1, 1, tzinfo=UTC))
    >>> found["X-MLflow-Delivery-Id"], found["X-MLflow-Signature"][:3]
    ('7', 'v1,')
    """
    seconds = str(int(at.timestamp()))
    found = {"content-type": "application/json", "X-MLflow-Delivery-Id": delivery, "X-MLflow-Timestamp": seconds}
    if secret:
        signed = f"{delivery}.{seconds}.".encode() + content
        digest = hmac.new(secret.encode(), signed, sha256).digest()
        found["X-MLflow-Signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return found


def _message(kind: ChangeKind, data: Mapping[str, Any], at: datetime) -> bytes:
    entity, action = NAMES[kind]
    moment = at.astimezone(UTC).isoformat()
    return msgspec.json.encode({"entity": entity, "action": action, "timestamp": moment, "data": data})


def _data(change: Change, metadata: Metadata) -> dict[str, Any] | None:
    detail = change.detail
    name, _, version = change.subject.partition("/")
    match change.kind:
        case "model.created":
            return _model(name, metadata)
        case "version.created":
            return _version(name, version, metadata)
        case "version.tag_set" | "version.tag_deleted" if not detail.get("key", "").startswith(RESERVED):
            value = {"value": detail.get("value", "")} if change.kind == "version.tag_set" else {}
            return {"name": name, "version": version, "key": detail.get("key", ""), **value}
        case "alias.set" | "alias.deleted":
            target = {"version": detail.get("version", "")} if change.kind == "alias.set" else {}
            return {"name": name, "alias": detail.get("alias", ""), **target}
        case _:
            return None


def _model(name: str, metadata: Metadata) -> dict[str, Any] | None:
    try:
        model = metadata.catalog.get(name)
    except NotFound:
        return None
    if PROMPT_TAG in model.tags:
        return None
    return {"name": name, "tags": _shown(model.tags), "description": model.description}


def _version(name: str, number: str, metadata: Metadata) -> dict[str, Any] | None:
    try:
        version = metadata.models.get(name, int(number))
    except NotFound:
        return None
    if PROMPT_TAG in version.tags:
        return None
    return {
        "name": name,
        "version": number,
        "source": version.source,
        "run_id": version.run_id,
        "tags": _shown(version.tags),
        "description": version.description or None,
    }


def _shown(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith(RESERVED)}
