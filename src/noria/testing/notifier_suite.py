"""The law of ports/notifier as tests, for every adapter: subclass, give a notifier, and one whose receiver is away. Needs pytest and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from noria.domain.alert import Alert, AlertChange, Notice, Severity, Silencer
from noria.domain.ids import AlertId
from noria.errors import StoreUnavailable
from noria.ports.notifier import Heart, Notifier, Standing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANGES: tuple[AlertChange, ...] = get_args(AlertChange)
SUMMARIES = {
    "empty": "",
    "long": "x" * 20_000,
    "lines": "a\r\nb: c\n.\n",
    "marks": "<!channel> & {\"json\": '\\'}",
    "letters": "Größe 😀 \x00",
}


def an_alert(name: str = "a1", *, severity: Severity = "warn", summary: str = "the inputs drifted") -> Alert:
    """An alert with everything in it that one can have."""
    return Alert(
        id=AlertId(name),
        kind="input_drift",
        deployment="churn",
        number=3,
        opened_at=NOON,
        severity=severity,
        summary=summary,
        evidence={"log10_evidence": 6.0, "shift.Größe, m²": 0.31, "harm": "labelled answers got worse with it"},
        budget="at most one false drift alarm in 10 years",
        next_command=f"noria why {name}",
        causes=("Größe, m²",),
        group="a1",
        silencers=(Silencer(setting="false_page_days", now=365.0, needed=3650.0),),
    )


def a_notice(change: AlertChange = "opened", *, alert: Alert | None = None, name: str = "n1") -> Notice:
    """A notice of that change."""
    alert = alert or an_alert()
    others = (an_alert("a2"),) if change in ("joined", "raised") else ()
    return Notice(
        id=f"{name}-{change}",
        change=change,
        at=NOON,
        alert=alert,
        by="ann",
        reason="on it",
        others=others,
        link="https://noria.example.org/deployments/churn",
    )


class NotifierSuite:
    """Give two fixtures: `notifier`, whose receiver takes what it is told, and `away`, whose receiver does not answer."""

    @pytest.mark.parametrize("change", CHANGES)
    def test_every_change_is_taken_also_the_second_time(self, notifier: Notifier, change: AlertChange) -> None:
        notifier.notify(a_notice(change))
        notifier.notify(a_notice(change))

    @pytest.mark.parametrize("kind", SUMMARIES)
    def test_whatever_a_summary_says_is_taken(self, notifier: Notifier, kind: str) -> None:
        notifier.notify(a_notice(alert=an_alert(summary=SUMMARIES[kind])))

    def test_a_receiver_that_is_away_is_said_to_be_away(self, away: Notifier) -> None:
        with pytest.raises(StoreUnavailable) as raised:
            away.notify(a_notice())

        assert raised.value.retryable

    def test_one_that_wants_to_be_told_again_is_told_of_everything_that_stands(self, notifier: Notifier) -> None:
        if isinstance(notifier, Standing):
            assert notifier.refresh_s > 0
            notifier.refresh([], at=NOON)
            notifier.refresh([a_notice(alert=an_alert(name), name=name) for name in ("a1", "a2")], at=NOON)

    def test_a_heart_beats(self, notifier: Notifier) -> None:
        if isinstance(notifier, Heart):
            for beat in range(3):
                notifier.beat(at=NOON + timedelta(minutes=beat), every_s=60)
