"""Confidence sequences: limits of a mean, or of a share, that hold at every look together, so one may look as often as one likes and stop at will.

One look is stats/intervals; many features are stats/sequential; what is put in for two arms is stats/arms. Called by serving/.
"""

from math import inf, lgamma, log

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, vector

FEWEST_BATCHES = 20
"""With fewer stretches of rows nothing can be said of how stretches differ."""


def boundary(rows: ArrayLike, *, error_rate: float, tightest_at: float) -> Floats:
    """How many standard errors one limit of a confidence sequence reaches after `rows` rows; always more than a plain interval's. Shape of `rows`.

    error_rate: chance of ever excluding the truth on this side. It is tightest near `tightest_at` rows and grows only like sqrt(log log) on either
    side. Raises InputInvalid.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences" (the
    one-sided form by half of Robbins' normal mixture; rho tuned to one sample size). How often it fails in simulation: benchmarks/delivery_proof.py.

    >>> boundary([100, 1000, 10000], error_rate=0.05, tightest_at=1000).round(3).tolist()
    [3.679, 2.779, 2.989]
    """
    counted = np.asarray(rows, dtype=np.float64)
    if not 0 < error_rate < 1 or (counted <= 0).any() or tightest_at <= 0:
        raise InputInvalid(
            f"no boundary for {counted} rows at error rate {error_rate} and a tightest point of {tightest_at} rows"
        )
    both = min(2 * error_rate, 0.5)
    rho_squared = (-2 * log(both) + log(-2 * log(both) + 1)) / tightest_at
    scale = counted * rho_squared
    return np.asarray(np.sqrt(2 * (scale + 1) / scale * np.log1p(np.sqrt(scale + 1) / (2 * error_rate))))


def mean_limits(
    values: ArrayLike, *, below: float, above: float, tightest_at: float, remembers: bool = False
) -> Interval:
    """Confidence sequence of the mean of rows, of which the mean itself may move (it is then the mean over the rows seen).

    values: shape (n,), n >= 2, in the order of time. below, above: chance that the lower, or the upper limit ever excludes the truth. remembers: rows
    resemble those before them (a bad day is bad for all of its rows), so the spread between stretches of sqrt(n) rows counts as well, where it is
    larger. Asymptotic: the first look needs enough rows for a central limit, some hundreds. Raises EmptySample, InputInvalid.

    >>> print(mean_limits([0.0, 1.0] * 500, below=0.05, above=0.05, tightest_at=1000))
    0.5 [0.456, 0.544] (n=1000)
    """
    array = vector(values, "values")
    if array.size < 2:
        raise EmptySample("a confidence sequence needs at least two rows")
    error = standard_error(array, remembers=remembers)
    value = float(array.mean())
    down = float(boundary(array.size, error_rate=below, tightest_at=tightest_at)) * error
    up = float(boundary(array.size, error_rate=above, tightest_at=tightest_at)) * error
    return Interval(
        value=value,
        low=value - down,
        high=value + up,
        n=array.size,
        level=1 - below - above,
        method="asymptotic confidence sequence",
    )


def standard_error(values: ArrayLike, *, remembers: bool = False) -> float:
    """Standard error of the mean of n >= 2 rows, by rows, or by stretches of sqrt(n) rows where those differ more (`remembers`)."""
    array = vector(values, "values")
    variance = float(np.var(array, ddof=1))
    length = int(array.size**0.5)
    if remembers and array.size // length >= FEWEST_BATCHES:
        whole = array[: array.size // length * length].reshape(-1, length).mean(axis=1)
        variance = max(variance, length * float(np.var(whole, ddof=1)))
    return float((variance / array.size) ** 0.5)


def share_limits(hits: int, rows: int, *, below: float, above: float, usual: float) -> Interval:
    """Confidence sequence of a share, exact at every number of rows; for rows that hit independently of each other.

    usual: around which share it shall be sharp, in (0, 1); it holds for all. 0 rows: 0 to 1. Raises InputInvalid for impossible counts.
    Source: Robbins 1970, "Statistical methods related to the law of the iterated logarithm", with a beta mixture of mean `usual`.

    >>> print(share_limits(30, 300, below=0.05, above=0.05, usual=0.01))
    0.1 [0.04385, 0.1854] (n=300)
    >>> share_limits(0, 450, below=0.05, above=0.05, usual=0.01).high < 0.01
    True
    """
    if not 0 <= hits <= rows or not 0 < usual < 1 or not (0 < below < 1 and 0 < above < 1):
        raise InputInvalid(f"{hits} of {rows} is no share that can be judged at {below} and {above} around {usual}")
    value = hits / rows if rows else usual
    return Interval(
        value=value,
        low=_crossing(hits, rows, usual=usual, error_rate=below, outside=0.0, inside=value) if hits else 0.0,
        high=_crossing(hits, rows, usual=usual, error_rate=above, outside=1.0, inside=value) if hits < rows else 1.0,
        n=rows,
        level=1 - below - above,
        method="beta-mixture confidence sequence",
    )


def _crossing(hits: int, rows: int, *, usual: float, error_rate: float, outside: float, inside: float) -> float:
    """The share between `outside` and `inside` at which the evidence against it is 1 / error_rate: by bisection, given back on the side of doubt."""
    a, b = 0.5, 0.5 * (1 / usual - 1)
    mixed = _log_beta(a + hits, b + rows - hits) - _log_beta(a, b)
    for _ in range(60):
        share = (outside + inside) / 2
        likely = _times_log(hits, share) + _times_log(rows - hits, 1 - share)
        if mixed - likely >= -log(error_rate):
            outside = share
        else:
            inside = share
    return outside


def _times_log(count: int, share: float) -> float:
    return 0.0 if not count else -inf if share <= 0 else count * log(share)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
