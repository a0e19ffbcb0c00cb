"""Intervals: closed forms against SciPy, and how often they hold in simulation."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid
from noria.stats.intervals import (
    auc_difference_interval,
    auc_interval,
    calibration_interval,
    mean_interval,
    paired_interval,
    quantile_interval,
    wilson_interval,
)
from noria.stats.quantiles import chi_square_quantile, incomplete_beta, student_quantile

scipy_stats = pytest.importorskip("scipy.stats")
scipy_special = pytest.importorskip("scipy.special")


def test_quantiles_equal_scipy() -> None:
    for degrees in (1, 2, 5.5, 30, 1000):
        assert student_quantile(0.975, degrees) == pytest.approx(scipy_stats.t.ppf(0.975, degrees), rel=1e-8)
    for a, b, x in ((0.5, 0.5, 0.3), (15, 0.5, 0.9), (2, 40, 0.02), (500, 300, 0.6)):
        assert incomplete_beta(a, b, x) == pytest.approx(scipy_special.betainc(a, b, x), abs=1e-11)
    assert chi_square_quantile(0.2, 14) == pytest.approx(scipy_stats.chi2.ppf(0.2, 14), rel=0.01)


def test_without_blocks_the_mean_has_its_students_t_interval() -> None:
    values = np.random.default_rng(2).normal(size=40)

    found = mean_interval(values)

    low, high = scipy_stats.t.interval(0.95, 39, loc=values.mean(), scale=scipy_stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_day_blocks_cover_a_mean_that_days_share_where_rows_alone_do_not() -> None:
    rng = np.random.default_rng(3)
    by_day = by_row = 0
    for _ in range(300):
        days = np.repeat(np.arange(20), rng.integers(20, 60, 20))
        values = rng.normal(size=20)[days] + rng.normal(size=days.size)
        day, row = mean_interval(values, days), mean_interval(values)
        by_day += day.low <= 0 <= day.high
        by_row += row.low <= 0 <= row.high

    assert 0.92 <= by_day / 300 <= 0.985
    assert by_row / 300 < 0.6


def test_a_pair_is_judged_on_its_differences_not_on_two_means() -> None:
    rng = np.random.default_rng(4)
    hard = rng.exponential(size=400)

    found = paired_interval(hard + 0.05 + rng.normal(0, 0.02, 400), hard, np.repeat(np.arange(20), 20))

    assert 0.04 < found.low < 0.05 < found.high < 0.06


def test_wilson_equals_scipy() -> None:
    for successes, n in ((0, 20), (3, 20), (500, 1000)):
        found = wilson_interval(successes, n)
        expected = scipy_stats.binomtest(successes, n).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_auc_interval_covers_the_true_auc() -> None:
    rng = np.random.default_rng(5)
    truth = scipy_stats.norm.cdf(1 / np.sqrt(2))
    held = 0
    for _ in range(300):
        y = (rng.uniform(size=400) < 0.3).astype(float)
        p = scipy_stats.norm.cdf(rng.normal(size=400) + y)
        found = auc_interval(y, p)
        held += found.low <= truth <= found.high

    assert 0.92 <= held / 300 <= 0.98


def test_a_better_ranking_shows_in_the_auc_difference() -> None:
    rng = np.random.default_rng(6)
    y = (rng.uniform(size=3000) < 0.3).astype(float)
    good, poor = rng.uniform(size=3000) * 0.5 + y * 0.3, rng.uniform(size=3000) * 0.5 + y * 0.1

    assert auc_difference_interval(y, good, poor).low > 0
    assert auc_difference_interval(y, good, good).value == 0


def test_the_upper_limit_of_calibration_error_is_above_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(7)
    for slip in (0.0, 0.06):
        held = 0
        for i in range(60):
            said = rng.uniform(0.1, 0.8, 4000)
            y = (rng.uniform(size=4000) < said + slip).astype(float)
            found = calibration_interval(y, said, np.repeat(np.arange(20), 200), repeats=200, seed=i)
            assert found.low <= found.value <= found.high
            held += slip <= found.high
        assert held / 60 >= 0.9


def test_quantile_limits_are_values_of_the_sample_and_cover() -> None:
    rng = np.random.default_rng(8)
    truth = -np.log(0.01)
    found = [quantile_interval(rng.exponential(size=1500), 0.99) for _ in range(300)]

    assert np.mean([i.low <= truth <= i.high for i in found]) >= 0.93
    with pytest.raises(EmptySample, match="too few"):
        quantile_interval(np.arange(367.0), 0.99)


def test_one_block_has_no_interval_and_a_wrong_length_is_named() -> None:
    with pytest.raises(EmptySample, match="two blocks"):
        mean_interval([1.0, 2.0], [0, 0])
    with pytest.raises(InputInvalid, match="3 rows"):
        mean_interval([1.0, 2.0, 3.0], [0, 1])
    with pytest.raises(InputInvalid, match="paired"):
        paired_interval([1.0], [1.0, 2.0])
