"""Alerts over REST: what stands, what people do about it, and receivers that are tried; addresses and secrets stay inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from noria.app.settings import Notify, Receiver, Settings, Stores
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.ids import EventId
from noria.domain.ledger import Draft
from noria.server.control.app import create_app
from noria.testing.clock import FakeClock
from tests.app.alerting_world import NOON, an_alert
from tests.app.receiver import Receiver as Web

ALERTS = "/api/v1/alerts"


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as receiver:
        yield receiver


@pytest.fixture
def client(tmp_path: Path, web: Web) -> Iterator[TestClient]:
    memory = Stores(metadata="memory", blobs="memory", tables="memory", predictions="memory")
    wish = Receiver(adapter="pagerduty", location=web.url, secret="R0UTING", severity="page")
    settings = Settings(stores=memory, notify=Notify(receivers={"oncall": wish}))
    with Workspace(settings, tmp_path, clock=FakeClock(NOON)) as workspace:
        for alert in (
            an_alert("a1"),
            an_alert("a2", kind="decay", severity="page", group="a1"),
            an_alert("a3", deployment="flights", causes=("fare",)),
        ):
            opened = e.AlertOpened(deployment=alert.deployment, alert=alert)
            workspace.ledger.append([Draft(id=EventId(f"open-{alert.id}"), at=NOON, actor="noria", event=opened)])
        with TestClient(create_app(workspace), base_url="http://127.0.0.1") as client:
            yield client


def ids(client: TestClient, **asked: str) -> list[str]:
    return [alert["id"] for alert in client.get(ALERTS, params=asked).json()]


def test_alerts_are_listed_by_state_severity_and_deployment(client: TestClient) -> None:
    assert ids(client) == ["a3", "a2", "a1"]
    assert ids(client, severity="page") == ["a2"]
    assert ids(client, deployment="flights") == ["a3"]
    client.post(f"{ALERTS}/a3/resolve", json={"reason": "repaired"})
    assert ids(client) == ["a2", "a1"]
    assert ids(client, state="resolved") == ["a3"]
    assert ids(client, state="all") == ["a3", "a2", "a1"]
    assert client.get(ALERTS, params={"state": "lost"}).status_code == 400


def test_an_alert_has_a_page_with_its_cause_and_its_history(client: TestClient) -> None:
    client.post(f"{ALERTS}/a1/acknowledge", json={"reason": "on it", "by": "ann"})

    page = client.get(f"{ALERTS}/a1").json()

    assert (page["alert"]["state"], page["alert"]["changed_by"]) == ("acknowledged", "ann")
    assert [other["id"] for other in page["others"]] == ["a2"]
    assert [entry["kind"] for entry in page["history"]] == ["AlertOpened", "AlertAcknowledged"]
    assert page["history"][1]["sentence"] == "alert acknowledged: on it"
    assert client.get(f"{ALERTS}/zzzz").status_code == 404


def test_acts_change_what_has_the_same_cause_and_are_undone(client: TestClient) -> None:
    snoozed = client.post(f"{ALERTS}/a2/snooze", json={"hours": 8})
    assert [alert["snoozed_until"] for alert in snoozed.json()] == ["2026-03-01T20:00:00Z"] * 2
    assert ids(client, state="snoozed") == ["a2", "a1"]
    assert {alert["state"] for alert in client.post(f"{ALERTS}/a2/reopen", json={}).json()} == {"open"}
    assert ids(client, state="open") == ["a3", "a2", "a1"]


@pytest.mark.parametrize(
    ("act", "body", "status"),
    [
        ("snooze", {}, 400),
        ("snooze", {"hours": 0}, 400),
        ("snooze", {"hours": 1, "until": "2026-03-02T00:00:00Z"}, 400),
        ("snooze", {"until": "2026-03-01T00:00:00Z"}, 400),
        ("resolve", {}, 400),
        ("acknowledge", {"by": "x" * 300}, 400),
        ("acknowledge", {"surplus": 1}, 400),
    ],
)
def test_acts_that_cannot_be_are_refused(client: TestClient, act: str, body: dict[str, object], status: int) -> None:
    answer = client.post(f"{ALERTS}/a1/{act}", json=body)

    assert answer.status_code == status
    assert answer.json()["remedy"]
    assert ids(client, state="open") == ["a3", "a2", "a1"]


def test_receivers_are_shown_without_address_and_secret_and_can_be_tried(client: TestClient, web: Web) -> None:
    listed = client.get("/api/v1/alert-receivers")
    assert [(r["name"], r["adapter"], r["severity"], r["waiting"]) for r in listed.json()] == [
        ("default", "log", "info", 3),
        ("oncall", "pagerduty", "page", 1),
    ]
    assert "R0UTING" not in listed.text
    assert "t0ken" not in listed.text

    assert client.post("/api/v1/alert-receivers/oncall/test").json() == {"taken": True, "problem": ""}
    assert [message.body["event_action"] for message in web.messages] == ["trigger", "resolve"]
    assert web.messages[0].body["payload"]["severity"] == "info"

    web.answer = lambda _: 400
    tried = client.post("/api/v1/alert-receivers/oncall/test").json()
    assert tried["taken"] is False
    assert "it answers 400" in tried["problem"]
    assert "R0UTING" not in tried["problem"]
    assert client.post("/api/v1/alert-receivers/nobody/test").status_code == 404
