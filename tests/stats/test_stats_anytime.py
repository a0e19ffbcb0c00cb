"""Limits that hold at every look: how often they exclude the truth, that they close, and that two arms are compared without bias."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid
from noria.stats.anytime import boundary, mean_limits, share_limits, standard_error
from noria.stats.arms import difference_scores, mixed_mean

LOOKS = range(300, 3001, 150)


def test_looking_often_at_equal_arms_errs_no_more_often_than_promised_on_either_side() -> None:
    rng = np.random.default_rng(7)
    high = low = 0
    for _ in range(300):
        hard = np.repeat(rng.exponential(size=20), 150)
        loss = hard + rng.exponential(size=3000)
        ours = rng.uniform(size=3000) < 0.3
        scores = difference_scores(loss, ours, chance=np.where(ours, 0.3, 0.7), units=np.arange(3000))
        looks = [mean_limits(scores[:n], below=0.05, above=0.1, tightest_at=1500) for n in LOOKS]
        low += any(i.low > 0 for i in looks)
        high += any(i.high < 0 for i in looks)

    assert low / 300 <= 0.05
    assert high / 300 <= 0.1


def test_a_confidence_sequence_is_wider_than_one_look_and_closes_with_rows() -> None:
    values = np.random.default_rng(8).normal(size=4000)

    few, many = (mean_limits(values[:n], below=0.05, above=0.05, tightest_at=1000) for n in (500, 4000))

    assert many.high - many.low < few.high - few.low
    assert boundary(1000, error_rate=0.05, tightest_at=1000) > 1.645


def test_a_share_is_never_excluded_more_often_than_promised() -> None:
    rng = np.random.default_rng(9)
    low = high = 0
    for _ in range(200):
        hits = np.cumsum(rng.uniform(size=2000) < 0.01)
        looks = [share_limits(int(hits[n - 1]), n, below=0.05, above=0.05, usual=0.01) for n in range(1, 2001, 250)]
        low += any(i.low > 0.01 for i in looks)
        high += any(i.high < 0.01 for i in looks)

    assert max(low, high) / 200 <= 0.05
    assert share_limits(20, 400, below=0.05, above=0.05, usual=0.01).low > 0.01
    assert share_limits(0, 0, below=0.05, above=0.05, usual=0.01).high == 1.0


def test_a_split_that_follows_a_schedule_or_the_evidence_does_not_bias_the_difference() -> None:
    """The challenger gets more traffic just when days are hard: plain means would call it worse."""
    rng = np.random.default_rng(10)
    share = np.repeat([0.1, 0.5, 0.9], 4000)
    loss = np.repeat([0.2, 0.6, 1.4], 4000) + rng.exponential(0.3, 12_000)
    ours = rng.random(12_000) < share
    chance = np.where(ours, share, 1 - share)

    naive = loss[ours].mean() - loss[~ours].mean()
    found = mean_limits(
        difference_scores(loss, ours, chance=chance, units=np.arange(12_000)), below=0.05, above=0.05, tightest_at=6000
    )
    theirs, our = (mixed_mean(loss[arm], chance=chance[arm]) for arm in (~ours, ours))

    assert naive > 0.5
    assert found.low < 0 < found.high
    assert abs(our[0] - theirs[0]) < 3 * np.hypot(our[1], theirs[1])


def test_rows_of_one_request_count_as_one() -> None:
    rng = np.random.default_rng(11)
    ours = np.repeat(rng.random(300) < 0.5, 10)
    loss = np.repeat(rng.exponential(size=300), 10)

    single = difference_scores(loss, ours, chance=np.full(3000, 0.5), units=np.arange(3000))
    whole = difference_scores(loss, ours, chance=np.full(3000, 0.5), units=np.repeat(np.arange(300), 10))

    assert whole.size == 300
    assert whole.mean() == pytest.approx(single.mean(), abs=0.05)
    assert standard_error(whole) > 2 * standard_error(single)


def test_rows_that_resemble_their_neighbours_widen_the_limits() -> None:
    rng = np.random.default_rng(12)
    days = np.repeat(rng.normal(size=40), 100) + rng.normal(size=4000)

    assert standard_error(days, remembers=True) > 3 * standard_error(days)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(EmptySample):
        mean_limits([1.0], below=0.05, above=0.05, tightest_at=10)
    with pytest.raises(InputInvalid):
        share_limits(3, 2, below=0.05, above=0.05, usual=0.01)
    with pytest.raises(InputInvalid):
        difference_scores([1.0], [True], chance=[0.0], units=[1])
