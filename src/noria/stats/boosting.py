"""A small learner of means: boosted trees over binned columns, by numpy alone. It learns what loss rows of a kind have, so that losses can be told
ahead of labels; it is no model to serve. Called by monitoring/estimate_direct.

Sources: Friedman 2001, "Greedy function approximation" (squared error, shrinkage); histograms of bins: Ke et al. 2017. Beside LightGBM: tests/stats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import EmptySample, InputInvalid, SchemaMismatch
from noria.stats.checks import Floats, Ints, vector

BINS = 32
DEPTH = 3
ROUNDS = 80
RATE = 0.1
SMALLEST_LEAF = 30
PRIOR_ROWS = 10.0
"""Rows of the overall mean that are mixed into the mean of a text's rows."""


@dataclass(frozen=True, eq=False)
class Column:
    """How one column becomes small whole numbers: numbers by cuts; texts by the order of their mean target. Bin 0: missing, or never seen."""

    name: str
    cuts: Floats
    texts: dict[str, float] | None = None

    def bins(self, values: Any) -> Ints:
        """The bin of each value, shape (n,)."""
        if self.texts is not None:
            numbers = np.array(
                [self.texts.get(str(v), np.nan) if v is not None else np.nan for v in values], dtype=float
            )
        else:
            numbers = np.asarray(values, dtype=np.float64)
        where = np.searchsorted(self.cuts, numbers, side="left") + 1
        return np.where(np.isnan(numbers), 0, where).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Tree:
    """A full tree: for each inner node the column and the last bin that goes left; the value of each leaf. Shapes (2^d - 1,), (2^d - 1,), (2^d,)."""

    column: Ints
    last_left: Ints
    value: Floats

    def __call__(self, bins: Ints) -> Floats:
        """The leaf's value of each row. bins: shape (n, columns)."""
        node = np.zeros(bins.shape[0], dtype=np.int64)
        for _ in range(int(np.log2(self.value.size))):
            right = bins[np.arange(node.size), self.column[node]] > self.last_left[node]
            node = 2 * node + 1 + right
        return self.value[node - (self.value.size - 1)]


@dataclass(frozen=True, eq=False)
class Booster:
    """A learnt mean. mean: of all rows it learnt from; rows: how many."""

    columns: tuple[Column, ...]
    trees: tuple[Tree, ...]
    mean: float
    rows: int
    low: float
    high: float

    def __call__(self, columns: Mapping[str, Any]) -> Floats:
        """The expected value of each row, within the range of what was learnt. Raises SchemaMismatch for a column that is not there."""
        bins = _binned(self.columns, columns)
        total = np.full(bins.shape[0], self.mean)
        for tree in self.trees:
            total += RATE * tree(bins)
        return np.asarray(np.clip(total, self.low, self.high))


def learn_mean(columns: Mapping[str, Any], target: Any, *, held_back: float = 0.2) -> Booster:
    """Learn the mean of a target from columns of numbers or texts (None or NaN where missing), all of n rows in the order of time.

    The number of trees is the one that is best on the newest rows (`held_back` of them); no tree if none helps there. Raises EmptySample,
    InputInvalid.

    >>> told = learn_mean({"x": [0.0, 1.0] * 500}, [3.0, 5.0] * 500)
    >>> told({"x": [0.0, 1.0]}).round(1).tolist()
    [3.0, 5.0]
    """
    y = vector(target, "target")
    if y.size < 4 * SMALLEST_LEAF:
        raise EmptySample(f"{y.size} rows are too few to learn from", remedy=f"wait for {4 * SMALLEST_LEAF} labels")
    known = {name: values for name, values in columns.items() if len(values) == y.size}
    if len(known) != len(columns) or not columns:
        raise InputInvalid(f"the columns {sorted(set(columns) - set(known))} do not have {y.size} rows")
    cut = int(y.size * (1 - held_back))
    kinds = tuple(_column(name, values[:cut], y[:cut]) for name, values in columns.items())
    bins = _binned(kinds, columns)
    mean = float(y[:cut].mean())
    trees: list[Tree] = []
    fitted, held = np.full(cut, mean), np.full(y.size - cut, mean)
    losses = [float(((y[cut:] - held) ** 2).mean())]
    for _ in range(ROUNDS):
        tree = _grow(bins[:cut], y[:cut] - fitted)
        trees.append(tree)
        fitted += RATE * tree(bins[:cut])
        held += RATE * tree(bins[cut:])
        losses.append(float(((y[cut:] - held) ** 2).mean()))
    kept = int(np.argmin(losses))
    return Booster(kinds, tuple(trees[:kept]), mean, cut, float(y[:cut].min()), float(y[:cut].max()))


def _column(name: str, values: Any, target: Floats) -> Column:
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        numbers = array.astype(np.float64)
        finite = numbers[np.isfinite(numbers)]
        cuts = np.unique(np.quantile(finite, np.linspace(0, 1, BINS)[1:-1])) if finite.size else np.empty(0)
        return Column(name, cuts)
    try:
        numbers = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    except (TypeError, ValueError):
        return _texts(name, values, target)
    return _column(name, numbers, target)


def _texts(name: str, values: Any, target: Floats) -> Column:
    texts = np.array([str(v) if v is not None else "" for v in values])
    missing = np.array([v is None for v in values])
    names, codes = np.unique(texts, return_inverse=True)
    rows = np.bincount(codes[~missing], minlength=names.size)
    sums = np.bincount(codes[~missing], target[~missing], minlength=names.size)
    means = (sums + PRIOR_ROWS * target.mean()) / (rows + PRIOR_ROWS)
    known = {str(n): float(m) for n, m, r in zip(names, means, rows, strict=True) if r}
    cuts = np.unique(np.quantile(means[codes], np.linspace(0, 1, BINS)[1:-1]))
    return Column(name, cuts, known)


def _binned(kinds: tuple[Column, ...], columns: Mapping[str, Any]) -> Ints:
    missing = [kind.name for kind in kinds if kind.name not in columns]
    if missing:
        raise SchemaMismatch(f"the columns {missing} are missing", remedy="hand in the columns that were learnt from")
    return np.stack([kind.bins(columns[kind.name]) for kind in kinds], axis=1)


def _grow(bins: Ints, residual: Floats) -> Tree:
    """One tree of full depth; a node that cannot be split well sends all its rows left."""
    inner = 2**DEPTH - 1
    column, last_left = np.zeros(inner, dtype=np.int64), np.full(inner, BINS + 1)
    node = np.zeros(residual.size, dtype=np.int64)
    for level in range(DEPTH):
        first, width = 2**level - 1, 2**level
        best = _splits(bins, residual, node - first, width)
        column[first : first + width], last_left[first : first + width] = best
        right = bins[np.arange(node.size), column[node]] > last_left[node]
        node = 2 * node + 1 + right
    leaf = node - inner
    rows = np.bincount(leaf, minlength=inner + 1)
    sums = np.bincount(leaf, residual, minlength=inner + 1)
    return Tree(column, last_left, sums / np.maximum(rows, 1))


def _splits(bins: Ints, residual: Floats, node: Ints, width: int) -> tuple[Ints, NDArray[np.int64]]:
    """For each node the column and the last left bin with the largest gain. Shapes (width,)."""
    size = BINS + 1
    gains = np.zeros((width, bins.shape[1], size))
    for place in range(bins.shape[1]):
        where = node * size + bins[:, place]
        rows = np.bincount(where, minlength=width * size).reshape(width, size).cumsum(axis=1)
        sums = np.bincount(where, residual, minlength=width * size).reshape(width, size).cumsum(axis=1)
        n, s = rows[:, -1:], sums[:, -1:]
        ok = (rows >= SMALLEST_LEAF) & (n - rows >= SMALLEST_LEAF)
        gain = sums**2 / np.maximum(rows, 1) + (s - sums) ** 2 / np.maximum(n - rows, 1) - s**2 / np.maximum(n, 1)
        gains[:, place] = np.where(ok, gain, 0.0)
    flat = gains.reshape(width, -1)
    best = flat.argmax(axis=1)
    found = flat.max(axis=1) > 0
    return np.where(found, best // size, 0), np.where(found, best % size, size)
