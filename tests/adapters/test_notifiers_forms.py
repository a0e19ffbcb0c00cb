"""What chats and pagers are sent, over real HTTP: in the form of each, one incident for one cause, ended with its last alert."""

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest

from noria.adapters.notifiers import heartbeat, opgenie, pagerduty, slack, victorops
from noria.domain.alert import AlertChange, Notice
from noria.errors import NoriaError, SettingInvalid
from noria.ports.notifier import Heart
from tests.adapters.test_notifiers_delivery import NOON, a_notice, an_alert
from tests.app.receiver import Receiver as Web

GROUPED = an_alert("b", group="a", severity="warn")
LIFE: tuple[Notice, ...] = (
    a_notice("n1"),
    a_notice("n2", change="joined", alert=GROUPED, others=(an_alert(),)),
    a_notice("n3", change="acknowledged", alert=an_alert(state="acknowledged"), by="ann", reason="on it"),
    a_notice("n4", change="snoozed", alert=an_alert(state="snoozed", snoozed_until=NOON), by="ann"),
    a_notice("n5", change="resolved", alert=an_alert(state="resolved"), others=(GROUPED,), by="noria"),
    a_notice("n6", change="resolved", alert=an_alert("b", group="a", state="resolved"), by="noria", reason="calm"),
)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as receiver:
        yield receiver


def sent(web: Web, adapter: ModuleType, notices: tuple[Notice, ...] = LIFE) -> list[dict[str, Any]]:
    notifier = adapter.open_notifier(web.url, secret="K3Y")
    for notice in notices:
        notifier.notify(notice)
    return [message.body for message in web.messages]


def test_pagerduty_has_one_incident_for_a_cause_until_its_last_alert_is_over(web: Web) -> None:
    events = sent(web, pagerduty)

    assert [(event["event_action"], event["dedup_key"]) for event in events] == [
        ("trigger", "a-page"),
        ("acknowledge", "a-page"),
        ("resolve", "a-page"),
        *[("resolve", f"a-{severity}") for severity in ("info", "warn", "page")],
    ]
    assert {event["routing_key"] for event in events} == {"K3Y"}
    payload = events[0]["payload"]
    assert {"summary", "source", "severity"} <= payload.keys(), "what the protocol demands"
    assert (payload["severity"], payload["class"], payload["timestamp"]) == ("critical", "decay", NOON.isoformat())
    (long,) = pagerduty.events(a_notice(alert=an_alert(summary="x" * 5000)))
    assert len(long["payload"]["summary"]) == 1024
    assert payload["custom_details"]["loss"] == "0.61"


def test_what_gets_worse_pages_although_the_milder_incident_was_acknowledged_and_what_joins_does_not() -> None:
    worse = a_notice(change="raised", alert=an_alert("c", group="a"), others=(GROUPED,))
    milder = a_notice(change="resolved", alert=an_alert("b", group="a", severity="warn", state="resolved"))

    (event,) = pagerduty.events(worse)
    assert (event["event_action"], event["dedup_key"]) == ("trigger", "a-page")
    assert pagerduty.events(a_notice(change="joined", alert=GROUPED, others=(an_alert(),))) == []
    assert pagerduty.events(msgspec.structs.replace(milder, others=(an_alert(),))) == [], "the worse one stands"


def test_opgenie_counts_by_alias_and_is_told_of_snoozes(web: Web) -> None:
    bodies = sent(web, opgenie)

    hook = "/hook/v2/alerts"
    assert [message.path.replace("?token=t0ken", "") for message in web.messages] == [
        hook,
        f"{hook}/a-page/acknowledge&identifierType=alias",
        f"{hook}/a-page/snooze&identifierType=alias",
        f"{hook}/a-page/close&identifierType=alias",
        *[f"{hook}/a-{severity}/close&identifierType=alias" for severity in ("info", "warn", "page")],
    ]
    assert {message.headers["authorization"] for message in web.messages} == {"GenieKey K3Y"}
    assert (bodies[0]["alias"], bodies[0]["priority"]) == ("a-page", "P1")
    assert bodies[2]["endTime"] == NOON.isoformat()
    ((_, _, long),) = opgenie.requests(a_notice(alert=an_alert(summary="x" * 900)))
    assert len(long["message"]) == 130


def test_victorops_has_one_entity_for_a_cause(web: Web) -> None:
    bodies = sent(web, victorops)

    assert [(body["message_type"], body["entity_id"]) for body in bodies] == [
        ("CRITICAL", "a-page"),
        ("ACKNOWLEDGEMENT", "a-page"),
        ("RECOVERY", "a-page"),
        *[("RECOVERY", f"a-{severity}") for severity in ("info", "warn", "page")],
    ]
    assert bodies[0]["state_start_time"] == int(NOON.timestamp())


def test_a_chat_is_told_of_a_cause_once_and_nothing_in_it_can_address_people(web: Web) -> None:
    evil = an_alert(summary="'<!channel>' & <http://evil|x> drifted")

    bodies = sent(web, slack, (*LIFE, a_notice(alert=evil, link="https://noria.example.org/deployments/flights")))

    assert len(bodies) == 6, "what joins a cause is not said again"
    text = json.dumps(bodies[-1])
    assert "<!channel>" not in text
    assert "<http://evil" not in text
    assert "<https://noria.example.org/deployments/flights|" in text
    assert bodies[0]["text"].startswith(":rotating_light: page: flights/3: log loss rose")
    assert "`noria alerts ack a`" in json.dumps(bodies[0])
    assert bodies[4]["text"].startswith(":white_check_mark: [resolved]")
    long = slack.message(a_notice(alert=an_alert(summary="x" * 9000, budget="y" * 9000)))
    assert all(len(block["text"]["text"]) <= 3000 for block in long["attachments"][0]["blocks"])


@pytest.mark.parametrize("adapter", [pagerduty, opgenie, victorops, slack])
@pytest.mark.parametrize("change", ["opened", "joined", "raised", "reopened", "reminded", "tested"])
def test_every_change_has_a_form(web: Web, adapter: ModuleType, change: AlertChange) -> None:
    sent(web, adapter, (a_notice(change=change),))

    assert all(isinstance(message.body, dict) for message in web.messages)
    if change != "joined":
        assert web.messages


@pytest.mark.parametrize("adapter", [pagerduty, opgenie, victorops, slack])
@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_refusal_shows_neither_key_nor_address(web: Web, adapter: ModuleType, status: int) -> None:
    web.answer = lambda _: status

    with pytest.raises(NoriaError) as raised:
        adapter.open_notifier(web.url, secret="K3Y").notify(a_notice())

    assert str(status) in str(raised.value)
    assert "K3Y" not in str(raised.value)
    assert "t0ken" not in str(raised.value)


@pytest.mark.parametrize("adapter", [pagerduty, opgenie])
def test_who_needs_a_key_says_so_when_it_is_set(adapter: ModuleType) -> None:
    with pytest.raises(SettingInvalid):
        adapter.open_notifier("https://example.org")
    assert adapter.open_notifier("", secret="k")


def test_a_sign_of_life_is_one_request(web: Web) -> None:
    for heart in (heartbeat.open_notifier(web.url), opgenie.open_notifier(f"{web.url}#noria-prod", secret="K3Y")):
        assert isinstance(heart, Heart)
        heart.beat(at=NOON, every_s=60)

    assert [message.path for message in web.messages] == [
        "/hook?token=t0ken",
        "/hook/v2/heartbeats/noria-prod/ping?token=t0ken",
    ]
    assert web.messages[0].content == b""
