"""What is learnt from a reference's windows: season, memory and spread, and none of them where there is none."""

import numpy as np
import pytest

from noria.errors import BinMismatch
from noria.stats.wobble import learn_wobble, normal_scores, watched

HOUR, DAY = 3600, 86_400


def windows_of(rng: np.random.Generator, shift: np.ndarray, rows: int = 500) -> np.ndarray:
    """Counts in eight bins of a normal that moves by `shift` from window to window; none is missing."""
    cuts = np.array([-1.15, -0.67, -0.32, 0.0, 0.32, 0.67, 1.15])
    return np.stack(
        [
            np.append(np.bincount(np.searchsorted(cuts, rng.standard_normal(rows) + move), minlength=8), 0)
            for move in shift
        ]
    )


def remembering(rng: np.random.Generator, windows: int, *, keeps: float, size: float) -> np.ndarray:
    chain = rng.standard_normal(windows) * size
    for i in range(1, windows):
        chain[i] = keeps * chain[i - 1] + np.sqrt(1 - keeps**2) * chain[i]
    return chain


def test_the_hour_of_the_day_is_learnt_and_taken_out_of_the_spread() -> None:
    rng = np.random.default_rng(1)
    hours = np.arange(24 * 10)
    table = windows_of(rng, 0.5 * np.sin(2 * np.pi * hours / 24))

    found = learn_wobble(table, text=False, starts=hours * float(HOUR), window_seconds=HOUR)
    blind = learn_wobble(table, text=False)

    assert (found.period_s, len(found.season)) == (DAY, 24)
    assert found.season[6][-1] > 0.3 > -0.3 > found.season[18][-1]
    assert found.spread[-1] < 0.2 * blind.spread[-1]
    assert blind.persistence > 10


def test_the_day_of_the_week_is_learnt_from_six_weeks_and_not_from_two() -> None:
    rng = np.random.default_rng(2)
    days = np.arange(42)
    table = windows_of(rng, np.where(days % 7 >= 5, 0.4, 0.0))
    starts = days * float(DAY)

    assert len(learn_wobble(table, text=False, starts=starts).season) == 7
    assert learn_wobble(table[:14], text=False, starts=starts[:14]).season == ()


def test_where_every_hour_of_the_week_is_different_the_week_is_learnt() -> None:
    rng = np.random.default_rng(3)
    hours = np.arange(168 * 4)
    usual = rng.normal(0, 0.5, 168)

    found = learn_wobble(
        windows_of(rng, usual[hours % 168], 200), text=False, starts=hours * 3600.0, window_seconds=HOUR
    )

    assert (found.period_s, len(found.season)) == (7 * DAY, 168)


def test_noise_has_hardly_ever_a_season_and_little_memory() -> None:
    seasons, memories = 0, []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        table = windows_of(rng, rng.normal(0, 0.05, 42), 300)
        found = learn_wobble(table, text=False, starts=np.arange(42) * float(DAY))
        seasons += bool(found.season)
        memories.append(found.persistence)

    assert seasons <= 1
    assert np.median(memories) < 1.5


def test_windows_that_remember_are_seen_to_do_so_and_their_spread_is_not_thought_smaller_than_it_is() -> None:
    found = []
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        found.append(learn_wobble(windows_of(rng, remembering(rng, 60, keeps=0.9, size=0.2)), text=False))

    assert np.quantile([w.persistence for w in found], 0.2) > 5
    assert np.quantile([w.spread[-1] for w in found], 0.2) > 0.2 * 0.7


def test_normal_scores_do_not_know_the_unit_and_few_bins_have_none() -> None:
    scores = normal_scores([10, 20, 40, 20, 10, 0, 0])
    weights = np.array([10, 20, 40, 20, 10, 0]) / 100

    assert weights @ scores[:-1] == pytest.approx(0, abs=1e-12)
    assert weights @ scores[:-1] ** 2 == pytest.approx(1)
    assert (np.diff(scores[:5]) > 0).all()
    assert not normal_scores([50, 50, 10]).any()


def test_a_texts_bins_and_a_numbers_cuts_are_watched_and_windows_without_rows_are_left_out() -> None:
    table = np.array([[6, 3, 1], [0, 0, 0]])

    assert watched(table, np.zeros(3), text=True)[0].tolist() == [[0.6, 0.3, 0.1], [0, 0, 0]]
    assert np.allclose(watched(table, np.zeros(3), text=False)[0][0], [0.6, 0.9, 0.0])
    assert learn_wobble(table, text=True).windows == 1
    with pytest.raises(BinMismatch):
        learn_wobble(table, text=True, starts=[0.0])
