"""An additive model of a number over binned columns: a table of steps for each column, learnt by small steps. It says which column carries what.

Because it is additive, its mean over rows is the sum over columns of shares of bins times steps: a change of the mean splits exactly. It is learnt
from sums over pairs of bins, which add up over days, so that leaving days out costs next to nothing. Called by monitoring/blame and
monitoring/errors_attribution.

Source: componentwise boosting with least squares, Bühlmann and Yu 2003.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike

from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, Ints, vector

SMOOTHING = 20.0
"""Rows of a zero mean that are mixed into every bin's step, so that small bins say little."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What a model is learnt from; sums of different rows add up. together: rows in each pair of bins, shape (bins, bins), all columns side by side.

    values: sum of the values in each bin. first: where each column's bins begin. rows, total: of all rows.
    """

    together: Floats
    values: Floats
    first: Ints
    rows: float
    total: float

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.together + other.together,
            self.values + other.values,
            self.first,
            self.rows + other.rows,
            self.total + other.total,
        )

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(
            self.together - other.together,
            self.values - other.values,
            self.first,
            self.rows - other.rows,
            self.total - other.total,
        )


@dataclass(frozen=True, eq=False)
class Additive:
    """mean + sum over columns of steps[column][bin]. Every column's steps have mean 0 over the rows it was learnt from."""

    mean: float
    steps: tuple[Floats, ...]

    def parts(self, codes: Ints) -> Floats:
        """What each column adds to each row, shape (rows, columns)."""
        if codes.ndim != 2 or codes.shape[1] != len(self.steps):
            raise InputInvalid(f"codes of shape {codes.shape} do not fit {len(self.steps)} columns")
        return np.stack([steps[codes[:, i]] for i, steps in enumerate(self.steps)], axis=1)

    def predict(self, codes: Ints) -> Floats:
        """The model's number for each row, shape (rows,)."""
        return np.asarray(self.mean + self.parts(codes).sum(axis=1))


def sums_of(codes: Ints, widths: ArrayLike, values: ArrayLike, *, folds: Ints | None = None) -> list[Sums]:
    """Sum rows up, by fold. codes: shape (n, columns), bins below `widths`; values: shape (n,), finite; folds: shape (n,), 0..k-1.

    Raises EmptySample, InputInvalid.
    """
    target, sizes = vector(values, "values"), np.asarray(widths, dtype=np.int64)
    if sizes.size == 0:
        raise EmptySample("an additive model needs at least one column")
    if codes.ndim != 2 or codes.shape != (target.size, sizes.size):
        raise InputInvalid(
            f"{target.size} values over {sizes.size} columns need codes of that shape, got {codes.shape}"
        )
    where = np.zeros(target.size, dtype=np.int64) if folds is None else folds
    number = int(where.max()) + 1
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    width = int(sizes.sum())
    together, sums = np.zeros((number, width, width)), np.zeros((number, width))
    columns = [np.ascontiguousarray(codes[:, i]) for i in range(sizes.size)]
    for i, j in combinations_with_replacement(range(sizes.size), 2):
        a, b = int(sizes[i]), int(sizes[j])
        table = np.bincount((where * a + columns[i]) * b + columns[j], minlength=number * a * b).reshape(number, a, b)
        rows, others = slice(first[i], first[i] + a), slice(first[j], first[j] + b)
        together[:, rows, others] = table
        together[:, others, rows] = table.transpose(0, 2, 1)
    for i, column in enumerate(columns):
        size = int(sizes[i])
        found = np.bincount(where * size + column, target, minlength=number * size)
        sums[:, first[i] : first[i] + size] = found.reshape(number, size)
    rows_of, totals = np.bincount(where, minlength=number), np.bincount(where, target, minlength=number)
    return [Sums(together[k], sums[k], first, float(rows_of[k]), float(totals[k])) for k in range(number)]


def fit_additive(sums: Sums, *, rounds: int = 150, rate: float = 0.2) -> Additive:
    """Learn step by step, each time the column whose bins explain most of what is left.

    rounds: how many steps, each `rate` of the full one; it ends before when nothing is left to explain. Deterministic. Raises EmptySample.

    >>> model = fit_additive(sums_of(np.array([[0, 1], [1, 0]] * 200), [2, 2], [0.0, 1.0] * 200)[0])
    >>> bool(abs(model.predict(np.array([[1, 0]]))[0] - 1.0) < 0.1)
    True
    """
    if sums.rows == 0:
        raise EmptySample("an additive model needs at least one row")
    mean = sums.total / sums.rows
    counts = np.diagonal(sums.together)
    left = sums.values - mean * counts
    steps = np.zeros(counts.size)
    ends = np.append(sums.first[1:], counts.size)
    for _ in range(rounds):
        found = left / (counts + SMOOTHING)
        # What the full step takes off the squared error; the smoothing keeps columns of many bins from winning by noise.
        won = np.add.reduceat(2 * found * left - found**2 * counts, sums.first)
        best = int(np.argmax(won))
        if won[best] < 1e-9 * sums.rows:
            break
        bins = slice(sums.first[best], ends[best])
        step = rate * found[bins]
        steps[bins] += step
        left = left - sums.together[:, bins] @ step
    each = np.split(steps, sums.first[1:])
    shares = np.split(counts / sums.rows, sums.first[1:])
    own = [float(s @ n) for s, n in zip(each, shares, strict=True)]
    return Additive(mean=mean + sum(own), steps=tuple(s - m for s, m in zip(each, own, strict=True)))
