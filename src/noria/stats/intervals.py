"""Confidence intervals: clustered means and paired differences, AUC, shares, quantiles, calibration error. Pure arrays in, `Interval` out.

Rows of one day resemble each other, so rows come with a block (a day, say) and whole blocks count as independent; without blocks every row does.
Valid for one look; many looks need stats/sequential or stats/anytime. Called by evaluation/, monitoring/, retraining/.
"""

from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, Ints, block_codes, scored, vector
from noria.stats.metrics import auc, calibration_bin_of, calibration_error, placements
from noria.stats.quantiles import normal_quantile, student_quantile

PSEUDO_BLOCKS = 500


def clustered_interval(
    value: float, influence: Floats, blocks: ArrayLike | None, *, level: float = 0.95, method: str = ""
) -> Interval:
    """Interval of a statistic from its influence function: value +- t * sqrt(G/(G-1) * sum over blocks of (sum of influence / n)^2).

    influence: shape (n,), mean 0: how much each row pulls the statistic. blocks: shape (n,) or None. t: Student quantile with G-1 degrees.
    Raises EmptySample for fewer than two blocks. Source: Liang and Zeger 1986; G/(G-1) and t(G-1): Cameron and Miller 2015, section VI.
    """
    if not 0 < level < 1:
        raise InputInvalid(f"a confidence level lies between 0 and 1, got {level}")
    n = influence.size
    codes, groups = block_codes(blocks, n)
    if groups < 2:
        raise EmptySample(
            f"an interval needs at least two blocks, these {n} rows are all of one",
            remedy="take a longer window, or leave the blocks out if the rows are independent",
        )
    sums = np.bincount(codes, influence, minlength=groups) / n
    error = sqrt(groups / (groups - 1) * float((sums**2).sum()))
    reach = student_quantile((1 + level) / 2, groups - 1) * error
    name = method or ("t over rows" if blocks is None else f"t over {groups} blocks")
    return Interval(value=value, low=value - reach, high=value + reach, n=n, level=level, method=name)


def mean_interval(values: ArrayLike, blocks: ArrayLike | None = None, *, level: float = 0.95) -> Interval:
    """Interval of the mean over rows, blocks counted as independent. Raises EmptySample, InputInvalid.

    >>> print(mean_interval([1.0, 2.0, 3.0, 4.0]))
    2.5 [0.4457, 4.554] (n=4)
    """
    array = vector(values, "values")
    mean = float(array.mean())
    return clustered_interval(mean, array - mean, blocks, level=level)


def paired_interval(
    first: ArrayLike, second: ArrayLike, blocks: ArrayLike | None = None, *, level: float = 0.95
) -> Interval:
    """Interval of mean(first - second) where row i of both belongs together. Below 0: `first` is smaller. Raises EmptySample, InputInvalid.

    >>> print(paired_interval([1.0, 2.0, 4.0], [1.5, 2.5, 3.5], [0, 0, 1]))
    -0.1667 [-5.814, 5.481] (n=3)
    """
    a, b = vector(first, "first"), vector(second, "second")
    if a.shape != b.shape:
        raise InputInvalid(
            f"paired samples have {a.size} and {b.size} rows", remedy="score both models on the same rows"
        )
    return mean_interval(a - b, blocks, level=level)


def auc_influence(y: ArrayLike, p: ArrayLike) -> Floats:
    """How much each row pulls the AUC: (placement - AUC) * n / (rows of its class). Shape (n,), mean 0."""
    labels, _ = scored(y, p)
    high, low = placements(y, p)
    value = float(high.mean())
    influence = np.empty(labels.size)
    influence[labels == 1] = (high - value) * (labels.size / high.size)
    influence[labels == 0] = (low - value) * (labels.size / low.size)
    return influence


def auc_interval(y: ArrayLike, p: ArrayLike, blocks: ArrayLike | None = None, *, level: float = 0.95) -> Interval:
    """Interval of the AUC, cut off at 0 and 1. Raises EmptySample when a class is missing or there is one block only.

    Source: DeLong et al. 1988 for rows, Obuchowski 1997 for clustered rows.
    """
    found = clustered_interval(auc(y, p), auc_influence(y, p), blocks, level=level)
    kind = "DeLong" if blocks is None else "DeLong, clustered"
    return Interval(
        value=found.value,
        low=max(0.0, found.low),
        high=min(1.0, found.high),
        n=found.n,
        level=level,
        method=f"{kind}; {found.method}",
    )


def auc_difference_interval(
    y: ArrayLike, first: ArrayLike, second: ArrayLike, *, blocks: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """Interval of AUC(first) - AUC(second) on the same rows. Above 0: `first` ranks better. Source: DeLong et al. 1988."""
    value = auc(y, first) - auc(y, second)
    return clustered_interval(value, auc_influence(y, first) - auc_influence(y, second), blocks, level=level)


def wilson_interval(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Interval of a share of independent rows; sound at 0 and at n. Raises EmptySample for n = 0. Source: Wilson 1927.

    >>> print(wilson_interval(0, 50))
    0 [0, 0.07135] (n=50)
    """
    if n <= 0:
        raise EmptySample("a share of no rows has no value")
    if not 0 <= successes <= n:
        raise InputInvalid(f"{successes} successes of {n} rows cannot be")
    z = normal_quantile((1 + level) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - reach)
    high = 1.0 if successes == n else min(1.0, centre + reach)
    return Interval(value=share, low=low, high=high, n=n, level=level, method="Wilson")


def quantile_interval(values: ArrayLike, q: float, *, level: float = 0.95) -> Interval:
    """Interval of the q-quantile by order statistics: no assumption but independent rows. Used for latencies.

    values: shape (n,), any unit. The limits are the sample's own values; the coverage is at least `level`.
    Raises EmptySample when n is too small for an upper limit to exist (q = 0.99 at 95 %: below 368 rows). Source: Conover 1999, section 3.2.

    >>> print(quantile_interval(list(range(1, 101)), 0.5))
    50.5 [40, 61] (n=100)
    """
    array = np.sort(vector(values, "values"))
    n = array.size
    if not 0 < q < 1:
        raise InputInvalid(f"a quantile lies between 0 and 1, got {q}")
    tail = (1 - level) / 2
    if q**n > tail:
        raise EmptySample(
            f"{n} rows are too few for an upper limit of the {q:g} quantile at {level:.0%}",
            remedy=f"measure at least {ceil(np.log(tail) / np.log(q))} rows",
        )
    below, cumulative = _binomial_cdf(n, q)
    # P(the quantile lies under the r-th smallest value) = P(Binomial(n, q) < r).
    low_rank = int(below[np.searchsorted(cumulative, tail, side="right")])
    high_rank = int(below[np.searchsorted(cumulative, 1 - tail, side="left")]) + 1
    low = float(array[max(low_rank, 1) - 1])
    return Interval(
        value=float(np.quantile(array, q)),
        low=low,
        high=float(array[min(high_rank, n) - 1]),
        n=n,
        level=level,
        method="order statistics" if low_rank >= 1 else "order statistics; the lower limit is the smallest value seen",
    )


def _binomial_cdf(n: int, q: float) -> tuple[Ints, Floats]:
    """Values around n*q and P(Binomial(n, q) <= value) there; what is left out has a mass below 1e-12."""
    spread = 12 * sqrt(n * q * (1 - q)) + 40
    low, high = max(0, floor(n * q - spread)), min(n, ceil(n * q + spread))
    k = np.arange(low, high + 1)
    steps = np.log((n - k[:-1]) / (k[:-1] + 1)) + np.log(q / (1 - q))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    mass = np.exp(logs - logs.max())
    return k.astype(np.int64), np.cumsum(mass) / mass.sum()


def calibration_interval(
    y: ArrayLike,
    p: ArrayLike,
    blocks: ArrayLike | None = None,
    *,
    bins: int = 15,
    level: float = 0.95,
    repeats: int = 500,
    seed: int = 0,
) -> Interval:
    """Interval of the expected calibration error by resampling whole blocks, reflected to take out the upward bias (basic bootstrap).

    The bins stay those of the whole sample. The upper limit never falls below the value. Deterministic for a seed. Raises EmptySample.
    Source: Davison and Hinkley 1997, section 5.2; the bias: Kumar, Liang and Ma 2019.
    """
    labels, scores = scored(y, p)
    codes, groups = block_codes(blocks, labels.size)
    if groups < 2:
        raise EmptySample(
            "an interval needs at least two blocks", remedy="take a longer window, or leave the blocks out"
        )
    if blocks is None and groups > PSEUDO_BLOCKS:
        codes, groups = codes % PSEUDO_BLOCKS, PSEUDO_BLOCKS
    where = calibration_bin_of(scores, bins=bins)
    width = int(where.max()) + 1
    gaps = np.bincount(codes * width + where, labels - scores, minlength=groups * width).reshape(groups, width)
    sizes = np.bincount(codes, minlength=groups)
    draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=repeats)
    resampled = np.abs(draws @ gaps).sum(axis=1) / (draws @ sizes)
    value = calibration_error(y, p, bins=bins)
    upper, lower = np.quantile(resampled, [(1 + level) / 2, (1 - level) / 2])
    return Interval(
        value=value,
        low=max(0.0, 2 * value - float(upper)),
        high=min(1.0, max(value, 2 * value - float(lower))),
        n=labels.size,
        level=level,
        method=f"basic bootstrap of {groups} {'row groups' if blocks is None else 'blocks'}, {repeats} draws, seed {seed}",
    )
