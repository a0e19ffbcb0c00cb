"""Alerts in a loop that turns: told by it, awake again when a snooze is over, resolved by the next look, and never learnt from without reason."""

from datetime import timedelta
from pathlib import Path

import msgspec

from noria.app.alerting_acts import book_of, snooze
from noria.domain import events as e
from noria.domain.alert import Alert, AlertKind, Notice
from noria.domain.deployment import Variant
from noria.domain.ids import AlertId, EventId, digest_of
from noria.domain.ledger import Draft
from noria.domain.profile import WindowCounts
from noria.loop.stages.watch_alerts import Board, silence_of
from noria.monitoring.alert_drafts import draft
from tests.loop.small import DEPLOYMENT, Life, open_life

BUNDLE = digest_of(b"b")
CHAMPION = Variant(name="champion", model=DEPLOYMENT, number=1, version="1.0.0", bundle=BUNDLE, weight=1.0)


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


def test_a_look_resolves_what_was_said_of_no_look_and_of_other_versions() -> None:
    with open_life() as life:
        for kind in ("no_look", "skew"):
            open_alert(life, kind)
        now = life.clock.now()

        def judged(number: int) -> list[e.AnyEvent]:
            champion = msgspec.structs.replace(CHAMPION, number=number)
            board = Board(life.loop.context)
            timed = board.judge(life.recipe, champion, now=now, drift=None, decay=None, reports={})
            return [each.event for each in timed]

        assert judged(1) == [
            e.AlertResolved(deployment=DEPLOYMENT, alert_id=AlertId("no_look"), reason="the loop looks again")
        ]
        assert len(judged(2)) == 2


def test_a_silence_is_judged_by_hours_or_days_and_only_when_it_has_been_quiet() -> None:
    with open_life() as life:
        context, now = life.loop.context, life.clock.now()

        def asked(hours_ago: float, *, step: int) -> WindowCounts:
            since = now - timedelta(hours=hours_ago) - timedelta(seconds=step)
            until = since + timedelta(seconds=step)
            return WindowCounts(
                deployment=DEPLOYMENT, number=1, profile=BUNDLE, since=since, until=until, rows=9, counts={}, step=step
            )

        def said() -> tuple[bool, str]:
            report = silence_of(context, life.recipe, CHAMPION, since=now - timedelta(days=300), now=life.clock.now())
            return report.alert is not None, report.over

        assert said() == (False, ""), "it was never asked"
        context.counts.put([asked(24 * day, step=86400) for day in range(25)])
        assert said() == (False, "it is asked as usual again")
        life.clock.advance(hours=70)
        assert said() == (False, "it is asked as usual again")
        life.clock.advance(hours=3)
        assert said()[0], "three days, and it was asked on each before"

        now = life.clock.now()
        context.counts.put([asked(hour, step=3600) for hour in range(30)])
        assert said() == (False, "it is asked as usual again")
        life.clock.advance(hours=4)
        assert said()[0], "four hours, and it was asked in each before"


def test_the_loop_wakes_and_tells_and_trains_only_for_what_a_training_can_answer(tmp_path: Path) -> None:
    with open_life(tmp_path) as life:
        life.loop.tick()  # nothing answers yet
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
        assert states == dict.fromkeys(states, "open")
        assert [event.reason for event in life.all(e.AlertReopened)] == ["the snooze has run out and it still stands"]
        assert life.kinds(after=before).count("RetrainSuppressed") == 1, "that of the skew"
        assert "StageFailed" not in life.kinds(after=before)

    lines = (tmp_path / "alerts.jsonl").read_bytes().splitlines()
    told = [msgspec.json.decode(line, type=Notice) for line in lines]
    assert [(n.alert.id, n.change) for n in told if n.alert.id in ("skew", "no_look")] == [
        ("skew", "opened"),
        ("no_look", "opened"),
        ("skew", "snoozed"),
        ("skew", "reopened"),
    ]
