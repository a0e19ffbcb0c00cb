"""The verdict on a canary: harm is stopped early, doubt waits, and how often equal challengers are thrown out."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.domain.deployment import CanaryPlan, Verdict
from noria.errors import InputInvalid
from noria.serving.verdict import judge_rollout

START = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = CanaryPlan()


def losses(rng: np.random.Generator, n: int, *, worse: float = 0.0) -> np.ndarray:
    return rng.exponential(0.4, n) + worse


def a_verdict(
    champion: np.ndarray, challenger: np.ndarray, *, days: float = 2.0, plan: CanaryPlan = PLAN, **more: object
) -> Verdict:
    return judge_rollout(
        plan,
        champion_losses=champion,
        challenger_losses=challenger,
        started_at=START,
        now=START + timedelta(days=days),
        **more,  # type: ignore[arg-type]
    )


def test_few_labels_wait_and_at_the_end_the_champion_stays() -> None:
    rng = np.random.default_rng(1)

    assert a_verdict(np.array([]), np.array([])).outcome == "wait"
    early = a_verdict(losses(rng, 900), losses(rng, 100))
    late = a_verdict(losses(rng, 900), losses(rng, 100), days=7)

    assert (early.outcome, late.outcome) == ("wait", "roll_back")
    assert "100 of 500 labels" in early.reason
    assert "nothing was shown" in late.reason
    assert early.looks == 1


def test_a_clearly_worse_challenger_is_rolled_back_before_the_end() -> None:
    rng = np.random.default_rng(2)

    found = a_verdict(losses(rng, 4000), losses(rng, 1000, worse=0.15))

    assert found.outcome == "roll_back"
    assert "surely worse" in found.reason
    assert found.difference is not None
    assert found.difference.low > PLAN.tolerance


def test_a_clearly_better_challenger_is_promoted_before_the_end() -> None:
    rng = np.random.default_rng(3)

    found = a_verdict(losses(rng, 4000, worse=0.15), losses(rng, 1000))

    assert found.outcome == "promote"
    assert "surely not worse" in found.reason


def test_doubt_waits_and_at_the_end_the_estimate_decides_and_says_so() -> None:
    rng = np.random.default_rng(4)
    champion, challenger = losses(rng, 4000), losses(rng, 1000)
    shifted = challenger - challenger.mean() + champion.mean()

    assert a_verdict(champion, shifted).outcome == "wait"
    late = a_verdict(champion, shifted, days=7)
    beyond = a_verdict(champion, shifted + 0.02, days=7)

    assert late.outcome == "promote"
    assert "by estimate, not beyond doubt" in late.reason
    assert beyond.outcome == "roll_back"
    assert "undecided" in beyond.reason


def test_daily_looks_at_equal_arms_are_wrong_no_more_often_than_the_plan_allows() -> None:
    rng = np.random.default_rng(5)
    plan = CanaryPlan(tolerance=0.0, maximum_days=100.0)
    wrong = 0
    for _ in range(200):
        champion, challenger = losses(rng, 8000), losses(rng, 2000)
        outcomes = [
            a_verdict(champion[: 800 * d], challenger[: 200 * d], days=d, plan=plan).outcome for d in range(3, 11)
        ]
        wrong += any(o != "wait" for o in outcomes)

    assert wrong / 200 <= plan.error_rate


def test_rows_that_both_versions_scored_decide_far_sooner() -> None:
    rng = np.random.default_rng(6)
    shared = losses(rng, 3000)
    difference = rng.normal(-0.01, 0.08, 3000)

    apart = a_verdict(shared[:2400], shared[2400:] + difference[2400:])
    paired = a_verdict(shared[:2400], shared[2400:] + difference[2400:], paired_losses=difference)

    assert apart.outcome == "wait"
    assert paired.outcome == "promote"


def test_failing_requests_roll_back_unless_the_champion_fails_as_well() -> None:
    rng = np.random.default_rng(7)
    champion, challenger = losses(rng, 400), losses(rng, 100)

    failing = a_verdict(champion, challenger, challenger_errors=20, challenger_requests=300)
    shared = a_verdict(champion, challenger, challenger_errors=7, champion_errors=28, challenger_requests=107)

    assert failing.outcome == "roll_back"
    assert "20 of 300 requests failed" in failing.reason
    assert shared.outcome == "wait"


def test_a_plan_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputInvalid):
        a_verdict(np.array([]), np.array([]), plan=CanaryPlan(error_rate=0.0))
