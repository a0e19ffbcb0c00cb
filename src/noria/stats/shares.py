"""Intervals of shares of rows that come in blocks (days), sound at 0 and at 1, and of the difference of two shares. Pure arrays in, `Interval` out.

Means of anything else are stats/intervals. Called by monitoring/errors and monitoring/fairness.
"""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import block_codes, vector
from noria.stats.quantiles import normal_quantile, student_quantile


def design_effect(hits: ArrayLike, blocks: ArrayLike | None) -> float:
    """How many dependent rows weigh as much as one independent one, at least 1. hits: zeros and ones, shape (n,). One block or one value only: 1.

    >>> design_effect([1, 1, 0, 0], [0, 0, 1, 1]), design_effect([1, 0, 1, 0], [0, 0, 1, 1])
    (4.0, 1.0)
    """
    values = vector(hits, "hits")
    codes, groups = block_codes(blocks, values.size)
    share = float(values.mean())
    spread = share * (1 - share)
    if groups < 2 or groups == values.size or spread == 0:
        return 1.0
    sums = np.bincount(codes, values - share, minlength=groups)
    clustered = groups / (groups - 1) * float((sums**2).sum()) / values.size
    return max(1.0, clustered / spread)


def share_interval(
    hits: ArrayLike, blocks: ArrayLike | None = None, *, level: float = 0.95, least_effect: float = 1.0
) -> Interval:
    """Wilson's interval of a share, of as many rows as the dependent ones are worth.

    hits: zeros and ones, shape (n,). blocks: day of each row. least_effect: the design effect is taken to be at least this, for groups that are too
    small to show one. Raises EmptySample for no rows, InputInvalid. Source: Wilson 1927; effective size: Korn and Graubard 1998.

    >>> print(share_interval([0] * 50))
    0 [0, 0.07135] (n=50)
    """
    values = vector(hits, "hits")
    if not ((values == 0) | (values == 1)).all():
        raise InputInvalid("a share is of zeros and ones")
    _, groups = block_codes(blocks, values.size)
    effect = max(design_effect(values, blocks), least_effect)
    reach = normal_quantile((1 + level) / 2)
    if blocks is not None and groups >= 2:
        effect *= (student_quantile((1 + level) / 2, groups - 1) / reach) ** 2
    n = values.size / effect
    share = float(values.mean())
    centre = (share + reach**2 / (2 * n)) / (1 + reach**2 / n)
    half = reach / (1 + reach**2 / n) * sqrt(share * (1 - share) / n + reach**2 / (4 * n * n))
    return Interval(
        value=share,
        low=0.0 if share == 0 else max(0.0, centre - half),
        high=1.0 if share == 1 else min(1.0, centre + half),
        n=values.size,
        level=level,
        method="Wilson" if effect == 1 else f"Wilson; {values.size} rows worth {n:.0f}",
    )


def share_difference(first: Interval, second: Interval) -> Interval:
    """Interval of first - second for the shares of two different groups of rows. Raises EmptySample if either is empty.

    Days that move both groups alike make it wider than it need be, never too narrow. Source: Newcombe 1998, method 10.

    >>> print(share_difference(share_interval([1] * 15 + [0] * 15), share_interval([1] * 5 + [0] * 25)))
    0.3333 [0.09473, 0.5259] (n=60)
    """
    if first.n == 0 or second.n == 0:
        raise EmptySample("a difference needs rows on both sides")
    value = first.value - second.value
    return Interval(
        value=value,
        low=value - sqrt((first.value - first.low) ** 2 + (second.high - second.value) ** 2),
        high=value + sqrt((first.high - first.value) ** 2 + (second.value - second.low) ** 2),
        n=first.n + second.n,
        level=first.level,
        method="Newcombe",
    )


def share_ratio(first: Interval, second: Interval) -> Interval:
    """Interval of first / second for the shares of two different groups of rows; its upper limit is infinite when the second may be 0.

    Raises EmptySample when the second is 0. Source: Donner and Zou 2012 (MOVER for ratios), on Wilson's limits.

    >>> print(share_ratio(share_interval([1] * 30 + [0] * 70), share_interval([1] * 50 + [0] * 50)))
    0.6 [0.419, 0.8522] (n=200)
    """
    a, b = first.value, second.value
    if b == 0:
        raise EmptySample("a ratio to a share of 0 has no value")
    low = _mover(a, b, first.low, second.high, side=-1.0)
    high = _mover(a, b, first.high, second.low, side=1.0) if second.low > 0 else float("inf")
    return Interval(value=a / b, low=max(0.0, low), high=high, n=first.n + second.n, level=first.level, method="MOVER")


def _mover(a: float, b: float, of_first: float, of_second: float, *, side: float) -> float:
    inner = max(0.0, (a * b) ** 2 - of_first * of_second * (2 * a - of_first) * (2 * b - of_second))
    return (a * b + side * sqrt(inner)) / (of_second * (2 * b - of_second))
