"""Confidence sequences: intervals for a difference of means that hold at every look together, so one may look as often as one likes and stop at will.

One look is stats/intervals; many features are stats/sequential. Called by serving/verdict.
"""

from math import log, sqrt

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import vector


def boundary(rows: float, *, error_rate: float, tightest_at: float) -> float:
    """How many standard errors a confidence sequence reaches after `rows` rows; always more than a plain interval's.

    It is tightest near `tightest_at` rows and grows only like sqrt(log log) on either side. Raises InputInvalid.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences"
    (Robbins' normal mixture; rho tuned to one sample size). How often it fails in simulation: tests/stats.

    >>> round(boundary(1000, error_rate=0.05, tightest_at=1000), 3)
    3.035
    """
    if not 0 < error_rate < 1 or rows <= 0 or tightest_at <= 0:
        raise InputInvalid(
            f"no boundary for {rows} rows at error rate {error_rate} and a tightest point of {tightest_at} rows"
        )
    rho_squared = (-2 * log(error_rate) + log(-2 * log(error_rate) + 1)) / tightest_at
    scale = rows * rho_squared
    return sqrt(2 * (scale + 1) / scale * log(sqrt(scale + 1) / error_rate))


def mean_sequence(values: ArrayLike, *, error_rate: float, tightest_at: float) -> Interval:
    """Confidence sequence of the mean of independent rows, of which the mean itself may move (it is then the mean over the rows seen).

    values: shape (n,), n >= 2, in the order of arrival. Asymptotic: the first look needs enough rows for a central limit (some hundreds); the
    chance of ever excluding the truth from then on is about `error_rate`. Raises EmptySample, InputInvalid.
    """
    array = vector(values, "values")
    if array.size < 2:
        raise EmptySample("a confidence sequence needs at least two rows")
    value = float(array.mean())
    reach = (
        boundary(array.size, error_rate=error_rate, tightest_at=tightest_at)
        * float(array.std(ddof=1))
        / sqrt(array.size)
    )
    return Interval(
        value=value,
        low=value - reach,
        high=value + reach,
        n=array.size,
        level=1 - error_rate,
        method="asymptotic confidence sequence",
    )


def difference_sequence(first: ArrayLike, second: ArrayLike, *, error_rate: float, tightest_at: float) -> Interval:
    """Confidence sequence of mean(first) - mean(second) for two arms to which rows were sent at random in a fixed proportion.

    first, second: shapes (n,) and (m,), n, m >= 2. tightest_at: rows of both arms together. What moves both arms alike (a bad day) cancels, because
    the draw is per row. Assumes: rows assigned independently of each other and of what happens, the split unchanged since the start, bounded
    fourth moments, enough rows at the first look. With a sticky key, rows of one key are not independent: use few rows a key. Raises as above.
    Source: as `boundary`, for the difference estimated by the arms' own means.

    >>> print(difference_sequence([0.0, 1.0] * 500, [0.0, 1.0] * 500, error_rate=0.05, tightest_at=2000))
    0 [-0.0679, 0.0679] (n=2000)
    """
    a, b = vector(first, "first"), vector(second, "second")
    if a.size < 2 or b.size < 2:
        raise EmptySample("a confidence sequence needs at least two rows in each arm")
    value = float(a.mean() - b.mean())
    error = sqrt(float(np.var(a, ddof=1)) / a.size + float(np.var(b, ddof=1)) / b.size)
    reach = boundary(a.size + b.size, error_rate=error_rate, tightest_at=tightest_at) * error
    return Interval(
        value=value,
        low=value - reach,
        high=value + reach,
        n=a.size + b.size,
        level=1 - error_rate,
        method="asymptotic confidence sequence, two arms",
    )
