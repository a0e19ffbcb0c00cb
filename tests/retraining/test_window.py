"""The training window: evidence first, simplicity within noise."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.domain.policy import Policy, WindowEvidence
from noria.errors import EmptySample, InputInvalid
from noria.retraining.window import choose, evidence, weights

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def found(window: str, loss: float, *, candidate: str = "boosting", error: float | None = None) -> WindowEvidence:
    return WindowEvidence(window=window, candidate=candidate, log_loss=loss, rows=9000, error=error)  # type: ignore[arg-type]


def test_the_simplest_window_within_one_standard_error_wins() -> None:
    near = choose(
        [found("recent", 0.400, error=0.0), found("all", 0.402, error=0.003)], Policy(), until=NOW, known_by=NOW
    )
    far = choose(
        [found("recent", 0.400, error=0.0), found("all", 0.410, error=0.003)], Policy(), until=NOW, known_by=NOW
    )

    assert near.choice == "all"
    assert "simplest window within one standard error" in near.reason
    assert far.choice == "recent"
    assert far.since == NOW - timedelta(days=60)


def test_without_errors_the_lowest_loss_wins_and_a_tie_goes_to_the_simplest() -> None:
    assert choose([found("all", 0.41), found("weighted", 0.40)], Policy(), until=NOW, known_by=NOW).choice == "weighted"
    assert (
        choose(
            [found("recent", 0.4), found("weighted", 0.4), found("all", 0.4)], Policy(), until=NOW, known_by=NOW
        ).choice
        == "all"
    )
    assert (
        choose([found("all", 0.41), found("weighted", 0.40)], Policy(), until=NOW, known_by=NOW).half_life_days == 90.0
    )


def test_windows_outside_the_policy_do_not_count_and_none_is_an_error() -> None:
    assert (
        choose([found("all", 0.41), found("recent", 0.40)], Policy(windows=("all",)), until=NOW, known_by=NOW).choice
        == "all"
    )
    with pytest.raises(EmptySample):
        choose([found("recent", 0.4)], Policy(windows=("all",)), until=NOW, known_by=NOW)


def test_evidence_has_the_error_of_the_paired_difference_over_days() -> None:
    rng = np.random.default_rng(1)
    hard = np.repeat(rng.exponential(size=14), 100)
    losses = {("all", "boosting"): hard, ("recent", "boosting"): hard + 0.01 + np.repeat(rng.normal(0, 0.004, 14), 100)}

    table = evidence(losses, np.repeat(np.arange(14), 100))  # type: ignore[arg-type]

    by_window = {e.window: e for e in table}
    assert by_window["all"].error == 0.0
    assert 0.0005 < (by_window["recent"].error or 0) < 0.003
    with pytest.raises(InputInvalid):
        evidence({("all", "a"): [1.0], ("recent", "a"): [1.0, 2.0]}, [0])


def test_weights_halve_with_the_half_life_and_average_to_one() -> None:
    times = [NOW - timedelta(days=d) for d in (0, 30, 60)]

    found = weights(times, until=NOW, half_life_days=30)
    same = weights(
        np.array([t.replace(tzinfo=None) for t in times], dtype="datetime64[us]"), until=NOW, half_life_days=30
    )

    assert found[0] / found[1] == pytest.approx(2)
    assert found[1] / found[2] == pytest.approx(2)
    assert found.mean() == pytest.approx(1)
    assert same == pytest.approx(found)
    with pytest.raises(InputInvalid):
        weights(times, until=NOW, half_life_days=0)
