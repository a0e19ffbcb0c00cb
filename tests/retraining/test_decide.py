"""The decision to retrain: one test a rule, in the order in which the rules speak."""

from datetime import UTC, datetime, timedelta

import pytest

from noria.domain.alert import Alert
from noria.domain.ids import AlertId
from noria.domain.interval import Interval
from noria.domain.policy import Policy, RetrainHistory
from noria.errors import InputInvalid
from noria.retraining.decide import decide
from noria.retraining.review import evidence_for_review

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def an_alert(kind: str = "decay", severity: str = "page") -> Alert:
    return Alert(
        id=AlertId("a" * 32),
        kind=kind,  # type: ignore[arg-type]
        deployment="d",
        number=1,
        opened_at=NOW,
        severity=severity,  # type: ignore[arg-type]
        summary="the model has decayed",
        evidence={"log10_evidence": 3.4, "log10_threshold": 3.0},
    )


def a_history(
    *, days_ago: float = 60, times: int = 1, labels: int = 10_000, rows: int = 50_000, busy: bool = False
) -> RetrainHistory:
    asked = tuple(NOW - timedelta(days=days_ago + 10 * i) for i in range(times))
    return RetrainHistory(requested_at=asked, in_progress=busy, labels_since_last=labels, rows_of_last=rows)


def test_a_decay_with_labels_and_room_in_the_budget_is_a_reason() -> None:
    found = decide("decay", an_alert(), Policy(), a_history(), now=NOW)

    assert found.retrain
    assert "the model has decayed" in found.reason
    assert found.evidence["log10_evidence"] == 3.4
    assert found.evidence["alert_kind"] == "decay"


@pytest.mark.parametrize(
    ("history", "policy", "words"),
    [
        (a_history(busy=True), Policy(), "already under way"),
        (a_history(days_ago=5), Policy(), "cooling down until 2026-06-17"),
        (a_history(times=8), Policy(), "the budget of 8 retrainings in 365 days is spent; the next is free on"),
        (a_history(labels=10), Policy(), "too few new labels: 10"),
        (a_history(), Policy(on=("schedule",)), "does not retrain on 'decay'"),
    ],
)
def test_each_bound_speaks_in_words(history: RetrainHistory, policy: Policy, words: str) -> None:
    found = decide("decay", an_alert(), policy, history, now=NOW)

    assert not found.retrain
    assert words in found.reason


def test_drift_leads_to_a_retraining_only_when_it_hurts_and_a_broken_input_never() -> None:
    harmless = decide("input_drift", an_alert("input_drift", "info"), Policy(), a_history(), now=NOW)
    harmful = decide("input_drift", an_alert("input_drift", "warn"), Policy(), a_history(), now=NOW)
    broken = decide("input_drift", an_alert("data_quality", "warn"), Policy(), a_history(), now=NOW)

    assert "does not hurt" in harmless.reason
    assert (harmless.retrain, harmful.retrain, broken.retrain) == (False, True, False)
    assert "repair it first" in broken.reason


def test_growth_waits_for_its_share_of_the_last_training() -> None:
    little = decide("growth", None, Policy(), a_history(labels=10_000, rows=50_000), now=NOW)
    enough = decide("growth", None, Policy(), a_history(labels=20_000, rows=50_000), now=NOW)

    assert "grew by 20%" in little.reason
    assert (little.retrain, enough.retrain) == (False, True)
    assert not decide("growth", None, Policy(growth=0.0), a_history(), now=NOW).retrain
    assert not decide("growth", None, Policy(), a_history(rows=0), now=NOW).retrain


def test_a_person_is_held_back_only_by_a_training_under_way() -> None:
    assert decide("hand", None, Policy(on=()), a_history(days_ago=0, labels=0), now=NOW).retrain
    assert not decide("hand", None, Policy(), a_history(busy=True), now=NOW).retrain
    with pytest.raises(InputInvalid, match="unknown trigger"):
        decide("whim", None, Policy(), a_history(), now=NOW)


def test_a_scheduled_review_follows_its_evidence_if_it_has_some() -> None:
    better = Interval(value=-0.008, low=-0.015, high=-0.001, n=9000)
    unsure = Interval(value=-0.008, low=-0.03, high=0.014, n=9000)
    same = Interval(value=-0.0005, low=-0.001, high=0.0, n=9000)

    assert decide("schedule", None, Policy(), a_history(), now=NOW, gain=better).retrain
    assert decide("schedule", None, Policy(), a_history(), now=NOW).retrain
    assert "no gain" in decide("schedule", None, Policy(), a_history(), now=NOW, gain=same).reason
    assert "may as well be worse" in evidence_for_review(unsure).reason
    assert not evidence_for_review(None).retrain
