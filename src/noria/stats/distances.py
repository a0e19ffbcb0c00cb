"""Distances between two histograms over the same bins: PSI, Jensen-Shannon, Kolmogorov-Smirnov, Wasserstein.

They are shown beside an alarm and decide nothing (ADR 10); deciding is stats/sequential. Called by monitoring/drift.
"""

import numpy as np
from numpy.typing import ArrayLike

from noria.errors import BinMismatch, EmptySample, InputInvalid
from noria.stats.checks import Floats
from noria.stats.quantiles import chi_square_quantile


def shares(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    """Two histograms as shares of one. Raises BinMismatch if their bins differ, EmptySample if either sums to 0, InputInvalid below 0."""
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise BinMismatch(
            f"the histograms have shapes {a.shape} and {b.shape}",
            remedy="count both in the bins of the same reference profile",
        )
    if (a < 0).any() or (b < 0).any():
        raise InputInvalid("a histogram holds a negative count")
    if a.sum() == 0 or b.sum() == 0:
        raise EmptySample("a histogram is empty", remedy="take a longer window")
    return a / a.sum(), b / b.sum()


def psi(reference: ArrayLike, current: ArrayLike, *, floor: float = 1e-4) -> float:
    """Population stability index between two histograms over the same bins.

    reference, current: shape (k,), counts >= 0, same bins. Result: nats, 0 means equal; unbounded above.
    Empty bins are raised to `floor` (a share, not a count) so the logarithm exists. Without drift its mean is about (k-1)(1/n + 1/m), not 0:
    judge it against `psi_noise`, never against a bare 0.1 or 0.2. Raises BinMismatch, EmptySample.
    Source: Jeffreys 1946 (symmetrised Kullback-Leibler); bias and spread: Yurdakul 2018.

    >>> round(psi([50, 50], [60, 40]), 4)
    0.0405
    """
    a, b = shares(reference, current)
    a, b = np.maximum(a, floor), np.maximum(b, floor)
    return float(((b - a) * np.log(b / a)).sum())


def psi_noise(bins: int, reference_rows: float, current_rows: float, *, level: float = 0.95) -> float:
    """The value that PSI stays below with probability `level` when nothing drifted: (1/n + 1/m) times a chi-square quantile with k-1 degrees.

    Asymptotic: rows independent, every bin well filled. Source: Yurdakul 2018.

    >>> round(psi_noise(10, 10_000, 1_000), 4)
    0.0186
    """
    if bins < 2:
        return 0.0
    return (1 / reference_rows + 1 / current_rows) * chi_square_quantile(level, bins - 1)


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> float:
    """Jensen-Shannon distance: square root of the divergence in bits, a metric in [0, 1]. Raises BinMismatch, EmptySample.

    Source: Endres and Schindelin 2003. Checked against scipy.spatial.distance.jensenshannon(base=2) in tests/stats.

    >>> jensen_shannon([1, 0], [0, 1])
    1.0
    """
    a, b = shares(reference, current)
    middle = (a + b) / 2
    left = np.where(a > 0, a * np.log2(np.where(a > 0, a, 1) / np.where(middle > 0, middle, 1)), 0).sum()
    right = np.where(b > 0, b * np.log2(np.where(b > 0, b, 1) / np.where(middle > 0, middle, 1)), 0).sum()
    return float(np.sqrt(max(0.0, (left + right) / 2)))


def kolmogorov_smirnov(reference: ArrayLike, current: ArrayLike) -> float:
    """Largest gap between the two cumulative shares, in [0, 1]. It misses what moves inside a bin. Raises BinMismatch, EmptySample.

    >>> round(kolmogorov_smirnov([50, 50], [60, 40]), 4)
    0.1
    """
    a, b = shares(reference, current)
    return float(np.abs(np.cumsum(a) - np.cumsum(b)).max())


def wasserstein(reference: ArrayLike, current: ArrayLike, positions: ArrayLike) -> float:
    """Earth mover's distance in the units of `positions`, with each bin's mass at its position: shape (k,), not decreasing.

    Raises BinMismatch, EmptySample, InputInvalid. Source: Vallender 1974 (area between the two distribution functions).

    >>> wasserstein([1, 0, 0], [0, 0, 1], [0.0, 1.0, 3.0])
    3.0
    """
    a, b = shares(reference, current)
    where = np.asarray(positions, dtype=np.float64)
    if where.shape != a.shape:
        raise BinMismatch(f"{a.size} bins have {where.size} positions")
    if (np.diff(where) < 0).any():
        raise InputInvalid("the positions of the bins must not decrease")
    return float((np.abs(np.cumsum(a - b))[:-1] * np.diff(where)).sum())


def wasserstein_at(reference: ArrayLike, current: ArrayLike, cuts: ArrayLike) -> float:
    """Earth mover's distance between two histograms of which the cuts are known, in the units of the cuts.

    reference, current: shape (k+1,); cuts: shape (k,), increasing. Between two cuts the distribution functions are taken for straight, towards the
    outermost for exponential tails; what lies beyond counts at their place. Raises BinMismatch, EmptySample.

    >>> wasserstein_at([0, 10, 10, 0], [0, 0, 20, 0], [0.0, 1.0, 2.0])
    0.5
    """
    a, b = shares(reference, current)
    if np.size(cuts) != a.size - 1:
        raise BinMismatch(f"{a.size} bins have {np.size(cuts)} cuts")
    gap = np.cumsum(a - b)[:-1]
    left, right = gap[:-1], gap[1:]
    of_left, of_right = areas_between(a, cuts)
    # The area under |line from left to right|, which may cross 0.
    crossing = left * right < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = (left**2 + right**2) / (2 * np.abs(left - right)) * (of_left + of_right)
    return float(np.where(crossing, crossed, np.abs(left) * of_left + np.abs(right) * of_right).sum())


def areas_between(share: ArrayLike, cuts: ArrayLike) -> tuple[Floats, Floats]:
    """What a gap at the left, and at the right end of each stretch between two cuts weighs in an area. Both shape (k-1,); together its length.

    share: the reference's, shape (k+1,). The first and the last stretch reach to the reference's extremes: there a gap dies out as fast as the tail.
    """
    held, where = np.asarray(share, dtype=np.float64), np.asarray(cuts, dtype=np.float64)
    width = np.diff(where)
    left, right = width / 2, width / 2
    if width.size >= 3:
        if held[2] > 0:
            right[0] = min(right[0], held[:2].sum() * width[1] / held[2])
            left[0] = width[0] - right[0]
        if held[-3] > 0:
            left[-1] = min(left[-1], held[-2:].sum() * width[-2] / held[-3])
            right[-1] = width[-1] - left[-1]
    return left, right
