"""Triggers over REST: a signed call fires once, whatever is sent again; nothing unsigned does; the list says what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from noria.app.triggers import TOLERANCE_S
from noria.app.webhook_form import headers
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.ids import EventId
from noria.domain.ledger import Draft, caused
from noria.domain.trigger import TriggerRule
from noria.loop.firing import STAGE
from noria.loop.stages.triggers import after_trigger
from noria.server.control.app import create_app
from noria.testing.clock import FakeClock

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECRET = "whsec_c2VjcmV0IG9mIGEgcGlwZWxpbmU="
PATH = "/api/v1/deployments/churn/triggers"
RULES = (
    TriggerRule(name="nightly", kind="cron", cron="0 3 * * *", zone="Europe/Berlin"),
    TriggerRule(name="upstream", kind="webhook", secret="env:UPSTREAM_SECRET"),
    TriggerRule(name="lost", kind="webhook", secret="env:NOBODY_SET_THIS"),
)


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("UPSTREAM_SECRET", SECRET)
    with Workspace.ephemeral("p", clock=FakeClock(NOON)) as workspace:
        declared = e.TriggersDeclared(deployment="churn", rules=RULES)
        workspace.ledger.append([Draft(id=EventId("declared"), at=NOON, actor="noria", event=declared)])
        yield workspace


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    """Of a server that asks for a key, which these callers do not have."""
    app = create_app(workspace, key="correct-horse-battery", loopback=False)
    with TestClient(app, base_url="http://noria.example") as client:
        yield client


def fired(workspace: Workspace) -> list[e.TriggerFired]:
    return [x.event for x in workspace.ledger.read() if isinstance(x.event, e.TriggerFired)]


def call(
    client: TestClient, *, body: bytes = b"{}", name: str = "upstream", id: str = "d1", at: datetime = NOON
) -> int:
    answer = client.post(f"{PATH}/{name}", content=body, headers=headers(body, SECRET, delivery=id, at=at))
    return int(answer.status_code)


def test_a_signed_call_fires_once_however_often_it_is_sent(client: TestClient, workspace: Workspace) -> None:
    body = b'{"rows": 4}'
    first = client.post(f"{PATH}/upstream", content=body, headers=headers(body, SECRET, delivery="d1", at=NOON))
    again = client.post(f"{PATH}/upstream", content=body, headers=headers(body, SECRET, delivery="d1", at=NOON))
    later = NOON + timedelta(seconds=30)
    retry = client.post(f"{PATH}/upstream", content=body, headers=headers(body, SECRET, delivery="d1", at=later))

    assert [x.status_code for x in (first, again, retry)] == [202, 202, 202]
    assert [x.json()["is_new"] for x in (first, again, retry)] == [True, False, False]
    assert len({x.json()["event_id"] for x in (first, again, retry)}) == 1
    (event,) = fired(workspace)
    assert (event.deployment, event.kind_of_trigger, event.firing.trigger) == ("churn", "webhook", "upstream")
    assert call(client, id="d2") == 202
    assert len(fired(workspace)) == 2


def test_nothing_fires_without_the_right_signature(client: TestClient, workspace: Workspace) -> None:
    good = headers(b"{}", SECRET, delivery="d1", at=NOON)
    wrong = [
        {},
        {**good, "webhook-signature": ""},
        {**good, "webhook-signature": "v1,AAAA"},
        {**good, "webhook-id": "d2"},
        {**good, "webhook-id": ""},
        {**good, "webhook-timestamp": "99999999999999999999"},
        {**good, "webhook-timestamp": "x"},
        headers(b"{}", "another", delivery="d1", at=NOON),
        headers(b"{ }", SECRET, delivery="d1", at=NOON),
        {"authorization": "Bearer correct-horse-battery"},
    ]
    for sent in wrong:
        answer = client.post(f"{PATH}/upstream", content=b"{}", headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (401, "noria-9001"), sent
        assert SECRET not in answer.text
    for off in (TOLERANCE_S + 1, -TOLERANCE_S - 1):
        assert call(client, at=NOON + timedelta(seconds=off)) == 401
    assert fired(workspace) == []
    assert call(client, at=NOON - timedelta(seconds=TOLERANCE_S)) == 202


def test_one_of_several_signatures_is_enough_so_that_secrets_can_be_changed(client: TestClient) -> None:
    sent = headers(b"{}", SECRET, delivery="d1", at=NOON)
    sent["webhook-signature"] = f"v1,b2xk {sent['webhook-signature']}"

    assert client.post(f"{PATH}/upstream", content=b"{}", headers=sent).status_code == 202


def test_what_cannot_be_called_says_so(client: TestClient) -> None:
    assert call(client, name="nightly") == 400
    assert call(client, name="upstraem") == 404
    assert call(client, name="lost") == 500
    near = client.post(f"{PATH}/upstraem", content=b"{}")
    assert "'upstream'" in near.json()["cause"]


def test_the_list_needs_the_key_and_says_when_what_is_due_and_what_came_of_it(
    client: TestClient, workspace: Workspace
) -> None:
    assert client.get(PATH).status_code == 401
    call(client)
    entry = workspace.ledger.latest(kinds=("TriggerFired",))[0]
    refused = e.RetrainSuppressed(deployment="churn", model="churn", reason="cooling down", trigger="webhook")
    workspace.ledger.append([Draft(id=caused(entry, STAGE), at=NOON, actor="noria", event=refused, cause=entry.id)])

    key = {"authorization": "Bearer correct-horse-battery"}
    nightly, upstream, _ = client.get(PATH, headers=key).json()

    assert nightly["next_due"] == "2026-05-05T01:00:00Z"
    assert (nightly["last"], nightly["says"]) == (None, "by the calendar: 0 3 * * * (Europe/Berlin)")
    assert upstream["last"]["outcome"] == "no retraining (webhook): cooling down"
    assert upstream["next_due"] is None
    assert client.get("/api/v1/deployments/unheard/triggers", headers=key).status_code == 404


def test_the_stage_is_called_as_the_readers_of_its_decisions_believe() -> None:
    assert after_trigger.__name__ == STAGE


def test_the_rules_that_went_into_the_ledger_come_out_as_they_were(workspace: Workspace) -> None:
    event = workspace.ledger.read()[0].event
    assert isinstance(event, e.TriggersDeclared)
    assert msgspec.json.decode(msgspec.json.encode(event.rules), type=tuple[TriggerRule, ...]) == RULES


def test_the_ledger_never_holds_the_secret(client: TestClient, workspace: Workspace, tmp_path: Path) -> None:
    call(client)
    assert all(SECRET.encode() not in row.body for row in workspace.ledger.stored())
