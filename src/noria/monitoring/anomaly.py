"""Find single predictions whose inputs hardly ever occurred together, at a stated rate of false flags. Pure: arrays in, nouns out.

Inputs are cut into bins and each is told by the one it depends on most (a tree), so that a combination can be odd where no single value is.
Many rows that moved together are drift: monitoring/drift. Called by app/anomalies.

Source: the tree, Chow and Liu 1968; the rate, conformal prediction: Vovk, Gammerman and Shafer 2005, section 2.4 (exact if rows are exchangeable).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from math import log

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.interval import Interval
from noria.domain.prediction import Scalar
from noria.errors import EmptySample, InputInvalid
from noria.monitoring.errors import plain
from noria.monitoring.slices import halve
from noria.monitoring.slices_axis import Axis, as_numbers, axis_of
from noria.stats.checks import Floats, Ints
from noria.stats.shares import share_interval

BACKING = 3.0
"""Rows of the plain distribution that are mixed into each conditional one, so that rare neighbours do not make everything odd."""

PRIOR = 0.5
"""Rows added to every bin: what was never seen is rare, not impossible."""

PAIRED_COLUMNS = 40
FEWEST = 200
FARTHEST = 50.0
"""Nats that the distance beyond the last quantile adds at most."""

QUANTILES = (0.001, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999)


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is odd about a row. surprise: in nats; sentence: how rare it is, and beside what."""

    column: str
    surprise: float
    sentence: str


class Oddity(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction whose inputs are odd. p: share of ordinary rows that are at least as odd, corrected for the two ways to be odd."""

    prediction_id: str
    at: datetime | None
    p: float
    reasons: tuple[Reason, ...]
    inputs: dict[str, Scalar] = {}


class OddReport(msgspec.Struct, frozen=True, kw_only=True):
    """Odd predictions among `rows`, the oddest first. rate: share of ordinary rows that is flagged by chance. flagged: how many were.

    share: flagged share with its interval; where it lies wholly above the rate, something changed and not only single rows. reference_rows: that the
    rate is calibrated on. resolution: the smallest p that so many rows can show.
    """

    rows: int
    reference_rows: int
    rate: float
    flagged: int
    share: Interval
    resolution: float
    oddities: tuple[Oddity, ...]
    notes: tuple[str, ...] = ()

    @property
    def too_many(self) -> bool:
        """Whether surely more rows are odd than chance flags."""
        return self.share.low > self.rate


@dataclass(frozen=True, eq=False, kw_only=True)
class Tail:
    """How fast a number gets rarer beyond its outer quantiles: nats per unit, as between the last two quantiles on either side."""

    low: float = -np.inf
    high: float = np.inf
    per_low: float = 0.0
    per_high: float = 0.0

    def beyond(self, numbers: Floats) -> Floats:
        """Nats for the distance beyond the quantiles, 0 within."""
        with np.errstate(invalid="ignore"):
            below = np.maximum(self.low - numbers, 0.0) if self.per_low else np.zeros(numbers.size)
            above = np.maximum(numbers - self.high, 0.0) if self.per_high else np.zeros(numbers.size)
            found = np.nan_to_num(below, nan=0.0, posinf=1e300) * self.per_low
            found = found + np.nan_to_num(above, nan=0.0, posinf=1e300) * self.per_high
        return np.asarray(np.minimum(found, FARTHEST))


@dataclass(frozen=True, eq=False, kw_only=True)
class Ordinary:
    """What is ordinary, learnt by `learn`. parents: of each column, -1 for none. tables: nats by a column's bin, or by its parent's bin and its own.

    alone: nats by its bin only. sums, largest: sorted scores of rows that were not learnt from.
    """

    axes: tuple[Axis, ...]
    parents: tuple[int, ...]
    tables: tuple[Floats, ...]
    alone: tuple[Floats, ...]
    tails: tuple[Tail, ...]
    sums: Floats
    largest: Floats

    def surprises(self, codes: Ints, columns: Mapping[str, ArrayLike]) -> Floats:
        """Nats by row and column, shape (rows, columns): of the bins, and of the distance beyond all that was seen."""
        found = np.empty(codes.shape)
        for i, parent in enumerate(self.parents):
            found[:, i] = self.tables[i][codes[:, i]] if parent < 0 else self.tables[i][codes[:, parent], codes[:, i]]
            if self.axes[i].kind == "number":
                found[:, i] += self.tails[i].beyond(
                    as_numbers(self.axes[i].name, np.asarray(columns[self.axes[i].name]))
                )
        return found

    def p_values(self, surprises: Floats) -> Floats:
        """For each row the share of ordinary rows that are as odd, by the sum of all surprises or by the largest, whichever says more."""
        by_sum = _rank(self.sums, surprises.sum(axis=1))
        by_largest = _rank(self.largest, surprises.max(axis=1))
        return np.asarray(np.minimum(1.0, 2 * np.minimum(by_sum, by_largest)))


def _rank(ordinary: Floats, scores: Floats) -> Floats:
    # Scores are sums of floats in different orders: what is equal up to rounding counts as a tie.
    above = ordinary.size - np.searchsorted(ordinary, scores - 1e-9, side="left")
    return np.asarray((1 + above) / (ordinary.size + 1))


def learn(columns: Mapping[str, ArrayLike], *, blocks: ArrayLike | None = None, seed: int = 0) -> Ordinary:
    """Learn from ordinary rows: one half of the days shapes the tree, the other half calibrates the rate. Raises EmptySample, InputInvalid."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    sizes = {array.shape[0] for array in arrays.values()}
    if len(sizes) != 1:
        raise InputInvalid("the columns must all have the same number of rows", cause=f"they have {sorted(sizes)}")
    rows = sizes.pop()
    if rows < 2 * FEWEST:
        raise EmptySample(
            f"{rows} rows are too few to learn what is ordinary", cause=f"at least {2 * FEWEST} are needed"
        )
    halves = halve(rows, blocks, seed=seed)
    axes = tuple(_axis(name, array[halves.search]) for name, array in arrays.items())
    codes = np.stack([axis.codes(arrays[axis.name]) for axis in axes], axis=1)
    shaping = codes[halves.search]
    parents = _tree(axes, shaping)
    tables, alone = [], []
    for i, axis in enumerate(axes):
        own = np.bincount(shaping[:, i], minlength=axis.bins).astype(np.float64)
        share = (own + PRIOR) / (own.sum() + PRIOR * axis.bins)
        alone.append(-np.log(share))
        if parents[i] < 0:
            tables.append(-np.log(share))
            continue
        width = axes[parents[i]].bins
        both = np.bincount(shaping[:, parents[i]] * axis.bins + shaping[:, i], minlength=width * axis.bins)
        both = both.reshape(width, axis.bins).astype(np.float64)
        tables.append(-np.log((both + BACKING * share) / (both.sum(axis=1, keepdims=True) + BACKING)))
    fresh = Ordinary(
        axes=axes,
        parents=parents,
        tables=tuple(tables),
        alone=tuple(alone),
        tails=tuple(_tail(axis.name, arrays[axis.name][halves.search], axis.kind) for axis in axes),
        sums=np.empty(0),
        largest=np.empty(0),
    )
    rest = {name: array[~halves.search] for name, array in arrays.items()}
    surprises = fresh.surprises(codes[~halves.search], rest)
    return replace(fresh, sums=np.sort(surprises.sum(axis=1)), largest=np.sort(surprises.max(axis=1)))


def _axis(name: str, array: NDArray[np.generic]) -> Axis:
    """Bins that are fine in the tails."""
    axis = axis_of(name, array, top=30)
    if axis.kind == "text":
        return axis
    numbers = as_numbers(name, array)
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return axis
    edges = np.unique(np.quantile(finite, QUANTILES, method="higher"))
    return Axis(name=name, kind="number", edges=tuple(float(e) for e in edges))


def _tail(name: str, array: NDArray[np.generic], kind: str) -> Tail:
    """The tails of a number; none of a text. A number whose last quantiles coincide is measured by its range."""
    if kind == "text":
        return Tail()
    numbers = as_numbers(name, array)
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return Tail()
    least, low, high, most = np.quantile(finite, (QUANTILES[0], QUANTILES[1], QUANTILES[-2], QUANTILES[-1]))
    nats = log(QUANTILES[1] / QUANTILES[0])
    range_ = float(finite.max() - finite.min()) or max(abs(float(finite.max())), 1.0)
    slow, fast = float(low - least) or range_, float(most - high) or range_
    return Tail(low=float(finite.min()), high=float(finite.max()), per_low=nats / slow, per_high=nats / fast)


def _tree(axes: Sequence[Axis], codes: Ints) -> tuple[int, ...]:
    """Each column's parent (-1: none): the spanning forest of largest mutual information beyond what chance shows."""
    spread = [np.unique(codes[:, i]).size for i in range(len(axes))]
    pairs = []
    chosen = sorted(range(len(axes)), key=lambda i: -spread[i])[:PAIRED_COLUMNS]
    for i, j in combinations(sorted(chosen), 2):
        told = _information(codes[:, i], codes[:, j], axes[i].bins, axes[j].bins)
        if told > 0:
            pairs.append((told, i, j))
    joined: dict[int, list[int]] = {i: [] for i in range(len(axes))}
    group = list(range(len(axes)))
    for _, i, j in sorted(pairs, key=lambda p: (-p[0], p[1], p[2])):
        if group[i] != group[j]:
            joined[i].append(j)
            joined[j].append(i)
            group = [group[i] if g == group[j] else g for g in group]
    parents = [-2] * len(axes)
    for root in range(len(axes)):
        if parents[root] != -2:
            continue
        parents[root] = -1
        waiting = [root]
        while waiting:
            at = waiting.pop()
            for other in joined[at]:
                if parents[other] == -2:
                    parents[other] = at
                    waiting.append(other)
    return tuple(parents)


def _information(one: Ints, other: Ints, width: int, depth: int) -> float:
    """Mutual information in nats minus three times what independent columns show on average."""
    both = np.bincount(one * depth + other, minlength=width * depth).reshape(width, depth) / one.size
    rows, columns = both.sum(axis=1), both.sum(axis=0)
    product = rows[:, None] * columns[None, :]
    filled = both > 0
    told = float((both[filled] * np.log(both[filled] / product[filled])).sum())
    chance = ((rows > 0).sum() - 1) * ((columns > 0).sum() - 1) / (2 * one.size)
    return told - 3 * float(chance)


def find_odd(
    ordinary: Ordinary,
    columns: Mapping[str, ArrayLike],
    *,
    ids: Sequence[str],
    times: Sequence[datetime] | None = None,
    blocks: ArrayLike | None = None,
    rate: float = 0.001,
    limit: int = 20,
) -> OddReport:
    """Flag rows at a rate: of ordinary rows, `rate` are flagged by chance. The oddest `limit` of them are told with reasons.

    columns: at least those that `ordinary` was learnt from. Raises InputInvalid, EmptySample for no rows.
    """
    if not 0 < rate < 1:
        raise InputInvalid(f"a rate of false flags lies between 0 and 1, got {rate}", remedy="say --rate 0.001")
    if not ids:
        raise EmptySample("no row to look at", remedy="take a longer window")
    missing = [axis.name for axis in ordinary.axes if axis.name not in columns]
    if missing:
        raise InputInvalid(
            f"the column {missing[0]!r} is not among the rows", remedy="learn from the columns that both have"
        )
    codes = np.stack([axis.codes(columns[axis.name]) for axis in ordinary.axes], axis=1)
    surprises = ordinary.surprises(codes, columns)
    p = ordinary.p_values(surprises)
    flagged = p <= rate
    resolution = min(1.0, 2 / (ordinary.sums.size + 1))
    notes = []
    if resolution > rate:
        notes.append(
            f"{ordinary.sums.size:,} ordinary rows cannot show a rate below {resolution:.2g}: nothing can be flagged at {rate:g}; "
            "take a longer stretch or a higher rate"
        )
    order = np.lexsort((-surprises.sum(axis=1), p))
    oddities = []
    for row in order[:limit]:
        if not flagged[row]:
            break
        values = {name: plain(np.asarray(column)[row]) for name, column in columns.items()}
        oddities.append(
            Oddity(
                prediction_id=ids[row],
                at=times[row] if times is not None else None,
                p=float(p[row]),
                reasons=_reasons(ordinary, codes[row], surprises[row], values),
                inputs=values,
            )
        )
    return OddReport(
        rows=len(ids),
        reference_rows=int(ordinary.sums.size),
        rate=rate,
        flagged=int(flagged.sum()),
        share=share_interval(flagged.astype(np.float64), blocks),
        resolution=resolution,
        oddities=tuple(oddities),
        notes=tuple(notes),
    )


def _reasons(ordinary: Ordinary, codes: Ints, surprises: Floats, values: Mapping[str, Scalar]) -> tuple[Reason, ...]:
    """The three columns that surprise most: a value beyond all that was seen, a rare one, or one that is rare beside another."""
    found = []
    for i in np.argsort(-surprises, kind="stable")[:3]:
        axis, parent, tail = ordinary.axes[i], ordinary.parents[i], ordinary.tails[i]
        alone, value = float(ordinary.alone[i][codes[i]]), values[axis.name]
        beside = float(ordinary.tables[i][codes[i]] if parent < 0 else ordinary.tables[i][codes[parent], codes[i]])
        if axis.kind == "number" and isinstance(value, int | float) and not tail.low <= value <= tail.high:
            said = f"{axis.name} is {value:g}, outside of all that was seen ({tail.low:g} to {tail.high:g})"
        else:
            said = f"{axis.condition(int(codes[i]), int(codes[i]))} ({_rarity(alone)})"
            if parent >= 0 and beside > alone + log(3):
                other = ordinary.axes[parent].condition(int(codes[parent]), int(codes[parent]))
                said = f"{said}, where {other} ({_rarity(beside)})"
        found.append(Reason(column=axis.name, surprise=float(surprises[i]), sentence=said))
    return tuple(found)


def _rarity(nats: float) -> str:
    return f"1 in {np.exp(nats):,.0f}"
