"""A clock that ran away and came back neither closes a deployment for years nor opens it early; no limit is ever found below zero."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from noria.domain.policy import Policy, RetrainHistory
from noria.retraining.bounds import believed
from noria.retraining.decide import decide

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy(cooldown_days=21, minimum_labels=0)
DAYS = st.floats(-2000, 2000).map(lambda days: NOW + timedelta(days=days))


def asked(*days: float) -> tuple[datetime, ...]:
    return believed([NOW + timedelta(days=day) for day in days], POLICY, now=NOW)


def test_a_request_of_a_clock_that_ran_away_is_not_waited_for() -> None:
    assert asked(-30, 1500) == (NOW - timedelta(days=30),)
    assert decide("growth", None, POLICY, history(asked(-30, 1500)), now=NOW).retrain


def test_a_clock_set_back_a_little_still_cools_down() -> None:
    decision = decide("growth", None, POLICY, history(asked(0.5)), now=NOW)

    assert decision.reason.startswith("cooling down until")
    assert decision.evidence["days_since_last"] == 0


def history(requested: tuple[datetime, ...]) -> RetrainHistory:
    return RetrainHistory(requested_at=requested, labels_since_last=5000, rows_of_last=1000)


@given(st.lists(DAYS, max_size=20))
def test_nothing_is_found_below_zero_and_no_wait_is_longer_than_two_cool_downs(moments: list[datetime]) -> None:
    known = believed(moments, POLICY, now=NOW)
    decision = decide("growth", None, POLICY, history(known), now=NOW)
    assert all(bound.found >= 0 for bound in decision.bounds)
    assert all(at <= NOW for at in known)

    later = NOW + timedelta(days=2 * POLICY.cooldown_days)
    assert all(
        at <= NOW + timedelta(days=POLICY.cooldown_days)
        for at in believed(
            [at for at in moments if at <= NOW + timedelta(days=POLICY.cooldown_days)], POLICY, now=later
        )
    )
