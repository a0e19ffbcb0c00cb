"""One page for one cause; what stands besides; and the silence of a deployment."""

from datetime import UTC, datetime, timedelta

import pytest

from noria.domain.alert import Alert, AlertKind
from noria.domain.ids import AlertId, digest_of
from noria.domain.profile import WindowCounts
from noria.monitoring.alert import Report, look, silence
from noria.monitoring.alert_drafts import draft
from noria.monitoring.alert_group import grouped

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an(kind: AlertKind, *causes: str, name: str = "", deployment: str = "d", number: int = 1, days: float = 0) -> Alert:
    return Alert(
        id=AlertId(name or kind),
        kind=kind,
        deployment=deployment,
        number=number,
        opened_at=NOW + timedelta(days=days),
        severity="page" if kind == "decay" else "warn",
        summary=kind,
        causes=causes,
    )


def groups(opened: list[Alert], standing: list[Alert] | None = None) -> dict[str, str]:
    return {alert.id: alert.group for alert in grouped(opened, standing or [])}


def test_a_broken_input_and_all_that_comes_of_it_is_one_cause() -> None:
    opened = [an("decay"), an("prediction_drift"), an("input_drift", "age", "fare"), an("data_quality", "age")]

    assert grouped(opened, [])[0].kind == "data_quality"
    assert set(groups(opened).values()) == {"data_quality"}


def test_two_inputs_are_two_causes_and_silence_stands_alone() -> None:
    assert groups([an("data_quality", "age"), an("input_drift", "fare"), an("no_predictions")]) == {
        "data_quality": "data_quality",
        "input_drift": "input_drift",
        "no_predictions": "no_predictions",
    }


def test_too_few_rows_and_then_none_is_one_cause() -> None:
    assert groups([an("no_predictions")], [an("data_quality", name="few")]) == {"no_predictions": "few"}
    assert groups([an("data_quality")], [an("no_predictions")]) == {"data_quality": "no_predictions"}
    assert groups([an("no_predictions")], [an("decay")]) == {"no_predictions": "no_predictions"}


def test_a_cause_that_is_found_after_its_effect_joins_it() -> None:
    assert groups([an("input_drift", "age")], [an("decay")]) == {"input_drift": "decay"}
    assert groups([an("decay", number=2)], [an("input_drift", "age")]) == {"decay": "decay"}, "another version"


def test_one_broken_input_of_many_deployments_is_one_page() -> None:
    opened = [an("data_quality", "age", name=f"q{n}", deployment=f"d{n}") for n in range(50)]
    assert set(groups(opened).values()) == {"q0"}
    late = an("data_quality", "age", name="late", deployment="d99", days=3)
    assert groups([late], opened) == {"late": "late"}, "days later it is another story"
    assert groups([an("decay", deployment="d1")], [an("decay", name="other", deployment="d2")]) == {"decay": "decay"}


def test_a_look_takes_reports_of_any_kind_and_resolves_them() -> None:
    alert = draft("skew", "warn", "'age' is not what training saw", evidence={}, budget="", causes=["age"])

    opened = look([], deployment="d", number=1, now=NOW, reports={"skew": Report(alert=alert)}).opened
    silent = look(opened, deployment="d", number=1, now=NOW, reports={"skew": Report()})
    over = look(opened, deployment="d", number=1, now=NOW, reports={"skew": Report(over="it is again")})
    unsaid = look(opened, deployment="d", number=1, now=NOW)

    assert [(a.kind, a.causes, a.group == a.id) for a in opened] == [("skew", ("age",), True)]
    assert silent.resolved == unsaid.resolved == ()
    assert [each.reason for each in over.resolved] == ["it is again"]


def windows(*hours: float) -> list[WindowCounts]:
    """Windows of a quarter of an hour that end at these hours before now."""
    return [
        WindowCounts(
            deployment="d",
            number=1,
            profile=digest_of(b"p"),
            since=NOW - timedelta(hours=hour + 0.25),
            until=NOW - timedelta(hours=hour),
            rows=5,
            counts={},
        )
        for hour in hours
    ]


@pytest.mark.parametrize(
    ("quiet_h", "is_silent"),
    [(0.25, False), (2.9, False), (3.1, True), (40, True)],
)
def test_a_silence_is_three_times_as_long_as_any_before(quiet_h: float, is_silent: bool) -> None:
    asked = windows(*[quiet_h + hour for hour in range(40, -1, -1)])

    report = silence(asked, last=asked[-1].until, now=NOW)

    assert (report.alert is not None) == is_silent
    assert bool(report.over) != is_silent


def test_nights_are_no_silence_and_little_history_says_nothing() -> None:
    days = windows(*[16 + 24 * day + hour for day in range(10, -1, -1) for hour in range(8, -1, -1)])
    assert silence(days, last=days[-1].until, now=NOW).alert is None, "sixteen hours, as every night"
    assert silence(windows(9, 8), last=NOW - timedelta(hours=8), now=NOW).alert is None
    assert silence([], last=None, now=NOW) == Report()
