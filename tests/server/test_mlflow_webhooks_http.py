"""Webhooks of MLflow's protocol: kept without their secrets, told in MLflow's form, at once, signed as its receivers check it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from hashlib import sha256
from threading import Event
from time import monotonic

import pytest

from tests.app.receiver import Message, Receiver
from tests.peers.noria_server import Server, noria_server

EVENTS = {
    "registered_model.created": ("REGISTERED_MODEL", "CREATED"),
    "model_version.created": ("MODEL_VERSION", "CREATED"),
    "model_version_tag.set": ("MODEL_VERSION_TAG", "SET"),
    "model_version_tag.deleted": ("MODEL_VERSION_TAG", "DELETED"),
    "model_version_alias.created": ("MODEL_VERSION_ALIAS", "CREATED"),
    "model_version_alias.deleted": ("MODEL_VERSION_ALIAS", "DELETED"),
}
SECRET = "shared by both"


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    with noria_server(NORIA_WEBHOOKS_ALLOW="http,private") as server:
        yield server


@pytest.fixture
def server(process: Server) -> Server:
    process.reset()
    return process


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def an_event(name: str) -> dict[str, str]:
    entity, action = EVENTS[name]
    return {"entity": entity, "action": action}


def a_webhook(server: Server, url: str, *events: str, **more: str) -> dict[str, object]:
    given = {"name": "hook", "url": url, "events": [an_event(event) for event in events or EVENTS], **more}
    made: dict[str, object] = server.ok("POST", "webhooks", given)["webhook"]
    return made


def test_a_webhook_is_kept_and_its_secret_never_shown(server: Server) -> None:
    made = a_webhook(
        server,
        "https://example.com/x",
        "model_version.created",
        "registered_model.created",
        secret=SECRET,
        description="d",
    )

    assert set(made) == {
        "webhook_id",
        "name",
        "url",
        "events",
        "description",
        "status",
        "creation_timestamp",
        "last_updated_timestamp",
    }
    assert made["events"] == [an_event("model_version.created"), an_event("registered_model.created")]
    assert made["status"] == "ACTIVE"
    one = f"webhooks/{made['webhook_id']}"
    assert server.ok("GET", one)["webhook"] == made
    assert server.ok("GET", "webhooks")["webhooks"] == [made]

    changed = server.ok("PATCH", one, {"name": "other", "status": "DISABLED"})["webhook"]
    assert {k: v for k, v in changed.items() if k != "last_updated_timestamp"} == {
        **{k: v for k, v in made.items() if k != "last_updated_timestamp"},
        "name": "other",
        "status": "DISABLED",
    }
    assert server.ok("DELETE", one) == {}
    gone = (404, "RESOURCE_DOES_NOT_EXIST", f"Webhook with ID {made['webhook_id']} not found.")
    assert [server.refusal(method, one) for method in ("GET", "PATCH", "DELETE")] == [gone] * 3


def test_webhooks_are_listed_page_by_page_newest_first(server: Server) -> None:
    made = [a_webhook(server, f"https://example.com/{number}")["url"] for number in range(5)]

    found, token = [], ""
    while True:
        page = server.ok("GET", "webhooks", {"max_results": 2, **({"page_token": token} if token else {})})
        found += [webhook["url"] for webhook in page["webhooks"]]
        token = page.get("next_page_token", "")
        if not token:
            break

    assert found == made[::-1]
    assert server.refusal("GET", "webhooks", {"max_results": 1001})[2] == "max_results must be between 1 and 1000."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"name": "-x"},
            "Webhook name '-x' is invalid. It must start and end with a letter or digit, be less than 63 characters long, "
            "and contain only letters, digits, dots (.), underscores (_), and hyphens (-).",
        ),
        ({"url": " "}, "Webhook URL cannot be empty or just whitespace: ' '"),
        ({"url": "ftp://x"}, "Invalid webhook URL scheme: 'ftp'. Allowed schemes are: https, http."),
        (
            {"events": []},
            "Webhook events must be a non-empty list of WebhookEvent objects: [].",
        ),
        (
            {"events": [{"entity": "MODEL_VERSION", "action": "DELETED"}]},
            "Invalid action 'deleted' for entity 'model_version'. Valid actions are: ['created']",
        ),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_in_mlflows_words(
    server: Server, given: dict[str, object], message: str
) -> None:
    whole = {"name": "hook", "url": "https://x", "events": [an_event("model_version.created")], **given}

    assert server.refusal("POST", "webhooks", whole)[1:] == ("INVALID_PARAMETER_VALUE", message)


def test_events_of_prompts_are_not_supported(server: Server) -> None:
    given = {"name": "hook", "url": "https://x", "events": [{"entity": "PROMPT", "action": "CREATED"}]}

    assert server.refusal("POST", "webhooks", given)[:2] == (501, "NOT_IMPLEMENTED")


def test_https_alone_is_allowed_by_default() -> None:
    with noria_server() as server:
        given = {"name": "hook", "url": "http://x", "events": [an_event("model_version.created")]}
        assert server.refusal("POST", "webhooks", given)[2] == (
            "Invalid webhook URL scheme: 'http'. Allowed schemes are: https."
        )


def test_every_event_is_told_in_mlflows_form(server: Server, receiver: Receiver) -> None:
    a_webhook(server, receiver.url)

    tags = [{"key": "k", "value": "v"}]
    server.ok("POST", "registered-models/create", {"name": "m", "tags": tags, "description": "d"})
    given = {"name": "m", "source": "s3://b/m", "run_id": "r", "tags": tags, "description": "first"}
    server.ok("POST", "model-versions/create", given)
    messages = arrived(receiver, 2)
    named = {"name": "m", "version": "1"}
    server.ok("POST", "model-versions/set-tag", {**named, "key": "a", "value": "b"})
    server.ok("DELETE", "model-versions/delete-tag", {**named, "key": "a"})
    server.ok("POST", "model-versions/transition-stage", {**named, "stage": "Production"})
    server.ok("POST", "registered-models/alias", {**named, "alias": "champion"})
    server.ok("DELETE", "registered-models/alias", {"name": "m", "alias": "champion"})
    messages = arrived(receiver, 6)

    assert [(f"{m.body['entity']}.{m.body['action']}", m.body["data"]) for m in messages] == [
        ("registered_model.created", {"name": "m", "tags": {"k": "v"}, "description": "d"}),
        ("model_version.created", {**given, "version": "1", "tags": {"k": "v"}}),
        ("model_version_tag.set", {**named, "key": "a", "value": "b"}),
        ("model_version_tag.deleted", {**named, "key": "a"}),
        ("model_version_alias.created", {**named, "alias": "champion"}),
        ("model_version_alias.deleted", {"name": "m", "alias": "champion"}),
    ]
    assert all("timestamp" in message.body for message in messages)


def test_only_the_events_asked_for_are_told_and_none_while_disabled(server: Server, receiver: Receiver) -> None:
    made = a_webhook(server, receiver.url, "model_version.created")
    server.ok("POST", "registered-models/create", {"name": "m"})
    server.ok("POST", "model-versions/create", {"name": "m", "source": "s3://b/1"})

    assert [m.body["data"]["version"] for m in arrived(receiver, 1)] == ["1"]
    server.ok("DELETE", f"webhooks/{made['webhook_id']}")
    server.ok("POST", "model-versions/create", {"name": "m", "source": "s3://b/2"})
    other = a_webhook(server, receiver.url, "registered_model.created")
    server.ok("POST", f"webhooks/{other['webhook_id']}/test")
    assert len(arrived(receiver, 2)) == 2


def arrived(receiver: Receiver, number: int) -> list[Message]:
    """So many messages, once they are there."""
    end = monotonic() + 10
    while len(receiver.messages) < number and monotonic() < end:
        Event().wait(0.005)  # the server tells in its own time
    assert len(receiver.messages) == number
    return list(receiver.messages)


def is_signed(message: Message, secret: str) -> bool:
    headers = message.headers
    signed = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.".encode() + message.content
    digest = hmac.new(secret.encode(), signed, sha256).digest()
    return headers.get("x-mlflow-signature") == f"v1,{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("event", list(EVENTS))
def test_a_test_sends_an_example_signed_and_gives_what_was_answered(
    server: Server, receiver: Receiver, event: str
) -> None:
    made = a_webhook(server, receiver.url, secret=SECRET)

    result = server.ok("POST", f"webhooks/{made['webhook_id']}/test", {"event": an_event(event)})["result"]

    [message] = arrived(receiver, 1)
    assert result["success"] is True
    assert result["response_status"] == 200
    assert f"{message.body['entity']}.{message.body['action']}" == event
    assert message.body["data"]["name"] == "example_model"
    assert is_signed(message, SECRET)
    assert not is_signed(message, "another")


def test_a_test_that_fails_says_why(server: Server, receiver: Receiver) -> None:
    receiver.answer = lambda _: 500
    made = a_webhook(server, receiver.url, "registered_model.created")
    away = a_webhook(server, "http://127.0.0.1:9", "registered_model.created")

    refused = server.ok("POST", f"webhooks/{made['webhook_id']}/test")["result"]
    nobody = server.ok("POST", f"webhooks/{away['webhook_id']}/test")["result"]

    assert (refused["success"], refused["response_status"]) == (False, 500)
    assert nobody["success"] is False
    assert nobody["error_message"].startswith("Failed to test webhook: ")
