"""Rehearsals are judged together: one fortnight does not turn a choice that all the others support."""

import pytest

from noria.domain.policy import Policy, WindowChoice, WindowEvidence
from noria.errors import EmptySample
from noria.retraining.pool import choose_pooled

POLICY = Policy(candidates=("small", "large"), windows=("all", "weighted", "recent"))


def tried(window: WindowChoice, candidate: str, loss: float, *, rows: int = 1000) -> WindowEvidence:
    return WindowEvidence(window=window, candidate=candidate, log_loss=loss, rows=rows)


def rehearsal(
    *, base: float = 0.5, weighted: float = 0.0, large: float = 0.0, rows: int = 1000
) -> list[WindowEvidence]:
    """Losses as differences to ('all', 'small')."""
    return [
        tried("all", "small", base, rows=rows),
        tried("weighted", "small", base + weighted, rows=rows),
        tried("all", "large", base + large, rows=rows),
    ]


def test_one_rehearsal_keeps_the_simplest_window_and_takes_the_better_candidate() -> None:
    choice = choose_pooled([rehearsal(weighted=-0.05, large=-0.001)], POLICY)

    assert choice[:2] == ("all", "large")


def test_a_window_that_keeps_winning_is_taken() -> None:
    nights = [rehearsal(weighted=w) for w in (-0.010, -0.012, -0.009)]

    choice = choose_pooled(nights, POLICY)

    assert choice.window == "weighted"
    assert "over 3 back-tests" in choice.reason


def test_a_window_that_won_before_and_loses_now_is_not_taken() -> None:
    nights = [rehearsal(weighted=w) for w in (-0.030, -0.032, +0.001)]

    assert choose_pooled(nights, POLICY).window == "all"


def test_one_odd_fortnight_does_not_flip_the_candidate() -> None:
    nights = [rehearsal(large=d) for d in (-0.004, -0.003, +0.002)]

    assert choose_pooled(nights, POLICY).candidate == "large"


def test_a_rehearsal_counts_by_its_rows() -> None:
    nights = [rehearsal(large=-0.004, rows=100), rehearsal(large=+0.002, rows=10_000)]

    assert choose_pooled(nights, POLICY).candidate == "small"


def test_a_hard_fortnight_changes_nothing_for_all_alike() -> None:
    easy, hard = rehearsal(base=0.3, large=-0.002), rehearsal(base=0.9, large=-0.002)

    assert choose_pooled([easy, hard], POLICY).candidate == "large"


def test_nothing_to_choose_by_is_said() -> None:
    with pytest.raises(EmptySample):
        choose_pooled([], POLICY)
