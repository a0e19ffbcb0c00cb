"""Alerts: severity by harm, one per kind, nothing twice, and an end."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from noria.domain.alert import DriftReport, FeatureDrift
from noria.domain.ids import digest_of
from noria.domain.interval import Interval
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.monitoring.alert import look
from noria.monitoring.data_alert import report_of
from noria.monitoring.data_quality import check_window
from noria.monitoring.drift import Drift
from noria.monitoring.quality import Decay

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_report(*, evidence: float = 0.0) -> DriftReport:
    features = (
        FeatureDrift(feature="temp", evidence=5.0, psi=0.4, margin=0.05, shift=0.3, psi_noise=0.01, blamed=True),
    )
    return DriftReport(
        deployment="d",
        number=1,
        at=NOW,
        rows=900,
        alarm=evidence > 4,
        evidence=evidence,
        threshold=4.0,
        features=features,
    )


def a_drift(*, inputs: float = 0.0, prediction: float = 0.0) -> Drift:
    return Drift(
        inputs=a_report(evidence=inputs),
        prediction=a_report(evidence=prediction),
        windows=30,
        budget="at most one in ten years",
    )


def a_decay(*, evidence: float = 0.0, recent: float = 0.0) -> Decay:
    interval = Interval(value=recent, low=recent - 0.01, high=recent + 0.01, n=14)
    return Decay(
        alarm=evidence > 3,
        evidence=evidence,
        threshold=3.0,
        statistic="loss above what the scores expect",
        days=40,
        rows=9000,
        recent=interval,
        recent_bias=0.01,
        budget="at most one false decay alarm in 1095 days",
    )


def test_drift_that_does_not_hurt_is_information_and_drift_that_does_is_a_warning() -> None:
    harmless = look([], deployment="d", number=1, now=NOW, drift=a_drift(inputs=6), decay=a_decay()).opened
    harmful = look([], deployment="d", number=1, now=NOW, drift=a_drift(inputs=6), decay=a_decay(recent=0.04)).opened

    assert [(a.kind, a.severity) for a in harmless] == [("input_drift", "info")]
    assert [(a.kind, a.severity) for a in harmful] == [("input_drift", "warn")]
    assert "'temp' by 30.0% (allowed 5.0%)" in harmless[0].summary
    assert harmless[0].budget == "at most one in ten years"
    assert harmless[0].next_command == f"noria why {harmless[0].id}"


def test_decay_pages() -> None:
    (alert,) = look([], deployment="d", number=1, now=NOW, decay=a_decay(evidence=3.5, recent=0.05)).opened

    assert alert.severity == "page"
    assert alert.kind == "decay"
    assert alert.evidence["recent_excess_loss"] == 0.05


def test_a_repeated_look_opens_nothing_twice() -> None:
    first = look([], deployment="d", number=1, now=NOW, drift=a_drift(inputs=6, prediction=6))
    again = look(
        first.opened, deployment="d", number=1, now=NOW + timedelta(days=3), drift=a_drift(inputs=6, prediction=6)
    )
    same_day = look([], deployment="d", number=1, now=NOW, drift=a_drift(inputs=6), known=[a.id for a in first.opened])

    assert len(first.opened) == 2
    assert len({a.id for a in first.opened}) == 2
    assert again.opened == again.resolved == ()
    assert same_day.opened == ()


def test_an_alert_ends_when_the_evidence_is_far_below_its_threshold_and_not_at_the_line() -> None:
    opened = look([], deployment="d", number=1, now=NOW, drift=a_drift(inputs=6)).opened

    at_the_line = look(opened, deployment="d", number=1, now=NOW, drift=a_drift(inputs=3.5))
    calm = look(opened, deployment="d", number=1, now=NOW, drift=a_drift(inputs=1.0))

    assert at_the_line.resolved == ()
    assert [r.alert.id for r in calm.resolved] == [opened[0].id]
    assert "within their margins" in calm.resolved[0].reason


def test_alerts_of_a_version_that_no_longer_answers_are_over() -> None:
    opened = look([], deployment="d", number=1, now=NOW, drift=a_drift(inputs=6)).opened

    changes = look(opened, deployment="d", number=2, now=NOW, drift=a_drift(inputs=6))

    assert "version 1 no longer answers" in changes.resolved[0].reason
    assert changes.opened[0].number == 2


def test_no_report_says_nothing() -> None:
    opened = look([], deployment="d", number=1, now=NOW, drift=a_drift(inputs=6)).opened

    assert look(opened, deployment="d", number=1, now=NOW) == look([], deployment="d", number=1, now=NOW)


@pytest.mark.parametrize(("missing", "broken"), [(5, False), (60, True)])
def test_an_input_that_goes_missing_is_a_data_quality_alert(missing: int, broken: bool) -> None:
    feature = FeatureBins(name="tail", kind="number", cuts=(0.0,), counts=(500, 480, 20), wobble=(0.0, 0.0, 0.0))
    profile = ReferenceProfile(
        features=(feature,), rows=1000, since=NOW, until=NOW, expected_loss=0.5, expected_loss_sd=0.1, windows=30
    )
    counts = WindowCounts(
        deployment="d",
        number=1,
        profile=digest_of(b"p"),
        since=NOW,
        until=NOW,
        rows=200,
        counts={"tail": (100, 100 - missing, missing)},
    )

    found = check_window(profile, counts)
    changes = look([], deployment="d", number=1, now=NOW, reports={"data_quality": report_of(found)})

    assert bool(found) is broken
    assert [a.kind for a in changes.opened] == (["data_quality"] if broken else [])
    if broken:
        assert "30.0%" in changes.opened[0].summary
        calm = {"data_quality": report_of(())}
        assert look(changes.opened, deployment="d", number=1, now=NOW, reports=calm).resolved
        assert (
            msgspec.json.decode(msgspec.json.encode(changes.opened[0]), type=type(changes.opened[0]))
            == changes.opened[0]
        )
