"""Alerts in a loop that turns: told by it, awake again when a snooze is over, resolved by the next look, and never learnt from without reason."""

from datetime import timedelta
from pathlib import Path

import msgspec

from noria.app.alerting_acts import book_of, snooze
from noria.domain import events as e
from noria.domain.alert import Alert, AlertKind, Notice
from noria.domain.ids import AlertId, EventId
from noria.domain.ledger import Draft
from noria.monitoring.alert_drafts import draft
from tests.loop.small import DEPLOYMENT, Life, open_life


def open_alert(life: Life, kind: AlertKind) -> Alert:
    worded = draft(kind, "warn", f"a {kind} of the test", evidence={}, budget="")
    alert = msgspec.structs.replace(
        worded, id=AlertId(kind), deployment=DEPLOYMENT, number=1, opened_at=life.workspace.clock.now(), group=kind
    )
    event = e.AlertOpened(deployment=DEPLOYMENT, alert=alert)
    life.workspace.ledger.append(
        [Draft(id=EventId(f"open-{kind}"), at=life.workspace.clock.now(), actor="test", event=event)]
    )
    return alert


def test_the_loop_wakes_resolves_and_tells_and_trains_only_for_what_a_training_can_answer(tmp_path: Path) -> None:
    with open_life(tmp_path) as life:
        life.declare()
        life.loop.tick()
        ledger, clock = life.workspace.ledger, life.clock
        before = ledger.head().seq
        for kind in ("skew", "no_look", "no_predictions", "slice", "fairness"):
            open_alert(life, kind)
        snooze(ledger, "skew", until=clock.now() + timedelta(hours=8), clock=clock, actor="ann")

        clock.advance(hours=7)
        life.loop.tick()
        asleep = book_of(ledger).find("skew")
        clock.advance(hours=1)
        life.loop.tick()
        life.loop.tick()

        states = {alert.kind: alert.state for alert in book_of(ledger).alerts()}
        assert asleep is not None
        assert asleep.state == "snoozed"
        assert states == dict.fromkeys(states, "open") | {"no_look": "resolved"}
        assert [event.reason for event in life.all(e.AlertReopened)] == ["the snooze has run out and it still stands"]
        assert life.kinds(after=before).count("RetrainSuppressed") == 1, "that of the skew"
        assert "StageFailed" not in life.kinds(after=before)

    lines = (tmp_path / "alerts.jsonl").read_bytes().splitlines()
    told = [msgspec.json.decode(line, type=Notice) for line in lines]
    assert [(n.alert.id, n.change) for n in told if n.alert.id in ("skew", "no_look")] == [
        ("skew", "opened"),
        ("no_look", "opened"),
        ("skew", "snoozed"),
        ("no_look", "resolved"),
        ("skew", "reopened"),
    ]
