"""ADWIN: a window over a stream of losses that grows while their mean stays, and is cut where it changed. Says when, since when and how far.

Which losses to watch, and what a change means, is monitoring/concept. Called by monitoring/concept.

Source: Bifet and Gavaldà 2007, "Learning from time-changing data with adaptive windowing" (ADWIN2: exponential histogram). Other than there a
split is judged by the likelihood ratio of two means against one (Chernoff's bound, sharp for errors of 0 and 1) or by their Bernstein bound,
whichever speaks more; against a threshold that makes a budget of false changes true; and the window is cut at the best split, which dates the change.
"""

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike

from noria.errors import InputInvalid
from noria.stats.checks import Floats, vector

EVERY = 16
PER_LEVEL = 5
LOOKS = 30.0
"""There are about budget / m independent places for a change that m rows show, so it must speak with log(LOOKS * budget / m) to be believed: small
samples, of which there are many, more loudly than large ones. LOOKS makes the budget true in simulation (benchmarks/results/concept.json)."""
UNLIKELY = 1.25
"""Twice the quotient by which the likelihood ratio can exceed half of a squared z-value is 2.5: where that is too small, no more is computed."""
LEAST = 3.0
SMALLEST_SIDE = 32
"""A mean of fewer rows than this is not compared with anything."""


@dataclass(frozen=True, kw_only=True)
class MeanChange:
    """A change of the mean, seen at `row` (rows before it, counted from the stream's first), probably since row `since`.

    before, after: means on both sides in the window; rows_before, rows_after: their sizes. evidence: natural logarithm of the likelihood ratio.
    """

    row: int
    since: int
    before: float
    after: float
    rows_before: int
    rows_after: int
    evidence: float

    @property
    def is_worse(self) -> bool:
        """Whether the mean rose."""
        return self.after > self.before


class Adwin:
    """Takes values in, tells of changes. Memory and the cost of a look grow with the logarithm of the window.

    budget: at most one false change in this many independent rows, on average. bound: values are counted as at most this, and at least 0. inflation:
    how much more the mean of neighbouring rows varies than that of independent ones would (their design effect); 1 for independent rows.

    >>> window = Adwin()
    >>> [change.is_worse for change in window.feed([0, 0, 0, 1] * 250 + [0, 1, 1, 1] * 250)]
    [True]
    """

    def __init__(self, *, budget: float = 1e6, bound: float = 1.0, inflation: float = 1.0, every: int = EVERY) -> None:
        if budget < 2 or not bound > 0 or not inflation >= 1 or every < 1:
            raise InputInvalid(
                f"no window with budget {budget}, bound {bound}, inflation {inflation}, a look every {every} rows",
                remedy="budget lies at 2 or above, bound above 0, inflation and every at 1 or above",
            )
        self._budget, self._bound, self._inflation, self._every = budget, bound, inflation, every
        # Rows, sum and sum of squares from the window's first row to each bucket's end, the oldest first; a level holds a few buckets of like size.
        self._rows: list[int] = []
        self._sums: list[float] = []
        self._squares: list[float] = []
        self._levels = [0]
        self._waiting = np.empty(0)
        self._taken = 0

    @property
    def rows(self) -> int:
        """Rows that came in."""
        return self._taken + self._waiting.size

    @property
    def width(self) -> int:
        """Rows in the window, since the last change."""
        return (self._rows[-1] if self._rows else 0) + self._waiting.size

    @property
    def mean(self) -> float:
        """Mean of the window; NaN before the first row."""
        total = (self._sums[-1] if self._sums else 0.0) + float(self._waiting.sum())
        return total / self.width * self._bound if self.width else float("nan")

    def feed(self, values: ArrayLike) -> list[MeanChange]:
        """Take in values, shape (n,), in their order; every so many rows all splits of the window are looked at. Raises InputInvalid for NaN."""
        array = np.clip(vector(values, "values", empty=True) / self._bound, 0.0, 1.0)
        array = np.concatenate([self._waiting, array])
        whole = array.size // self._every * self._every
        blocks = array[:whole].reshape(-1, self._every)
        self._waiting = array[whole:]
        changes = []
        for total, squares in zip(blocks.sum(axis=1).tolist(), (blocks**2).sum(axis=1).tolist(), strict=True):
            self._taken += self._every
            self._push(total, squares)
            while (change := self._look()) is not None:
                changes.append(change)
        return changes

    def _push(self, total: float, squares: float) -> None:
        """One bucket more. Two neighbours become one by forgetting where the first of them ends."""
        rows, before, also = (self._rows[-1], self._sums[-1], self._squares[-1]) if self._rows else (0, 0.0, 0.0)
        self._rows.append(rows + self._every)
        self._sums.append(before + total)
        self._squares.append(also + squares)
        self._levels[0] += 1
        first = len(self._rows)
        for place, many in enumerate(self._levels):
            first -= many
            if many <= PER_LEVEL:
                return
            del self._rows[first], self._sums[first], self._squares[first]
            self._levels[place] -= 2
            if place + 1 == len(self._levels):
                self._levels.append(0)
            self._levels[place + 1] += 1
            first += 1

    def _look(self) -> MeanChange | None:
        """The strongest change within the window, which is cut there; None if no split is strong enough."""
        if len(self._rows) < 2:
            return None
        n, total = np.array(self._rows, dtype=np.float64), np.array(self._sums)
        rows, whole = float(n[-1]), float(total[-1])
        n0 = n[:-1]
        n1 = rows - n0
        variance = max(self._squares[-1] / rows - (whole / rows) ** 2, 0.0)
        # n0 * n1 * difference ** 2, and the threshold at its lowest: that of a split in the middle.
        strongest = float(((n0 * whole - rows * total[:-1]) ** 2 / (n0 * n1)).max())
        lowest = max(log(4 * LOOKS * self._budget / rows), LEAST)
        if strongest * UNLIKELY < rows * variance * lowest * self._inflation:
            return None
        before, after = total[:-1] / n0, (whole - total[:-1]) / n1
        threshold = np.maximum(np.log(LOOKS * self._budget * (1 / n0 + 1 / n1)), LEAST)
        if (n0 * n1 * (after - before) ** 2 * UNLIKELY < rows * variance * threshold * self._inflation).all():
            return None
        evidence = np.maximum(
            _likelihood(n0, before, n1, after, middle=whole / rows),
            _bernstein(n0, before, n1, after, variance=variance),
        )
        evidence[(n0 < SMALLEST_SIDE) | (n1 < SMALLEST_SIDE)] = 0.0
        spare = evidence / self._inflation - threshold
        best = int(np.argmax(spare))
        strength = float(evidence[best]) / self._inflation
        if spare[best] <= 0:
            return None
        self._cut(best + 1)
        return MeanChange(
            row=self._taken,
            since=self._taken - int(n1[best]),
            before=float(before[best]) * self._bound,
            after=float(after[best]) * self._bound,
            rows_before=int(n0[best]),
            rows_after=int(n1[best]),
            evidence=strength,
        )

    def _cut(self, oldest: int) -> None:
        """Forget so many of the oldest buckets."""
        rows, total, squares = self._rows[oldest - 1], self._sums[oldest - 1], self._squares[oldest - 1]
        self._rows = [each - rows for each in self._rows[oldest:]]
        self._sums = [each - total for each in self._sums[oldest:]]
        self._squares = [each - squares for each in self._squares[oldest:]]
        for place in range(len(self._levels) - 1, -1, -1):
            fewer = min(oldest, self._levels[place])
            self._levels[place] -= fewer
            oldest -= fewer
        while len(self._levels) > 1 and not self._levels[-1]:
            self._levels.pop()


def _likelihood(n0: Floats, before: Floats, n1: Floats, after: Floats, *, middle: float) -> Floats:
    """Log likelihood ratio of two means against one for values of 0 and 1; for others in [0, 1] it is smaller (Hoeffding 1963, theorem 1)."""
    return np.asarray(n0 * _divergence(before, middle) + n1 * _divergence(after, middle))


def _divergence(p: Floats, q: float) -> Floats:
    """Kullback and Leibler's divergence of a coin of p from one of q, in nats; 0 ln 0 = 0."""
    if q <= 0.0 or q >= 1.0:
        return np.zeros_like(p)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(p > 0, p * np.log(p / q), 0.0)
        second = np.where(p < 1, (1 - p) * np.log((1 - p) / (1 - q)), 0.0)
    return np.asarray(first + second)


def _bernstein(n0: Floats, before: Floats, n1: Floats, after: Floats, *, variance: float) -> Floats:
    """The largest x for which |difference| > sqrt(2 variance x / m) + 2 x / (3 m), m the harmonic sample size: the paper's bound turned round."""
    m = 1 / (1 / n0 + 1 / n1)
    gap = np.abs(after - before)
    root = (-np.sqrt(2 * variance / m) + np.sqrt(2 * variance / m + 8 * gap / (3 * m))) / (4 / (3 * m))
    return np.asarray(root**2)
