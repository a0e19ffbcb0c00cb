"""Logistic regression without SciPy: L-BFGS on sparse rows of active columns or on dense rows. It tells two samples of rows apart.

What is made of the answer (density ratios, a decision on drift) is stats/witness and monitoring/. Called by both.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, Ints

MEMORY = 10
"""Pairs of steps that L-BFGS remembers."""


class Design(Protocol):
    """Rows that a linear model can be fitted to."""

    @property
    def rows(self) -> int:
        """How many there are."""
        ...

    @property
    def width(self) -> int:
        """How many columns they have."""
        ...

    def dot(self, weights: Floats) -> Floats:
        """Rows times weights, shape (rows,)."""
        ...

    def back(self, residuals: Floats) -> Floats:
        """Columns times residuals, shape (width,)."""
        ...

    def only(self, kept: NDArray[np.bool_]) -> "Design":
        """Some of the rows."""
        ...


@dataclass(frozen=True, eq=False)
class Sparse:
    """Rows of active columns: row i has the columns `columns[starts[i]:starts[i + 1]]`, each with the value 1 / sqrt(how many), so that its norm is 1
    when they differ."""

    columns: Ints
    starts: Ints
    width: int

    @property
    def rows(self) -> int:
        return int(self.starts.size - 1)

    def _of(self) -> tuple[Ints, Floats]:
        sizes = np.diff(self.starts)
        return np.repeat(np.arange(sizes.size), sizes), 1 / np.sqrt(np.maximum(sizes, 1))

    def dot(self, weights: Floats) -> Floats:
        row, scale = self._of()
        return np.asarray(np.bincount(row, weights[self.columns], minlength=self.rows) * scale)

    def back(self, residuals: Floats) -> Floats:
        row, scale = self._of()
        return np.asarray(np.bincount(self.columns, (residuals * scale)[row], minlength=self.width))

    def only(self, kept: NDArray[np.bool_]) -> "Sparse":
        sizes = np.diff(self.starts)
        columns = self.columns[np.repeat(kept, sizes)]
        return Sparse(columns, np.concatenate([[0], np.cumsum(sizes[kept])]).astype(np.int64), self.width)


def one_hot(codes: Ints, widths: ArrayLike) -> Sparse:
    """Rows of codes, shape (n, columns), each code below its column's width, as active columns."""
    sizes = np.asarray(widths, dtype=np.int64)
    if codes.ndim != 2 or sizes.shape != (codes.shape[1],):
        raise InputInvalid(f"codes of shape {codes.shape} have {sizes.size} widths")
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    n, k = codes.shape
    return Sparse((codes + first).ravel(), np.arange(0, n * k + 1, max(k, 1), dtype=np.int64), int(sizes.sum()))


@dataclass(frozen=True, eq=False)
class Dense:
    """Rows of numbers, shape (rows, width), best scaled to a norm about 1."""

    values: Floats

    @property
    def rows(self) -> int:
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        return int(self.values.shape[1])

    def dot(self, weights: Floats) -> Floats:
        return np.asarray(self.values @ weights)

    def back(self, residuals: Floats) -> Floats:
        return np.asarray(self.values.T @ residuals)

    def only(self, kept: NDArray[np.bool_]) -> "Dense":
        return Dense(self.values[kept])


@dataclass(frozen=True, eq=False)
class Logistic:
    """A fitted model: log odds are design @ weights + bias."""

    weights: Floats
    bias: float

    def log_odds(self, design: Design) -> Floats:
        """Log odds of the class 1, shape (rows,)."""
        return np.asarray(design.dot(self.weights) + self.bias)


def fit_logistic(
    design: Design, y: ArrayLike, *, penalty: float = 1e-3, steps: int = 60, start: Logistic | None = None
) -> Logistic:
    """Minimise mean log loss + penalty / 2 * |weights|^2; the bias is free. Deterministic.

    y: shape (rows,), 0 and 1. start: where to begin, for rows that grow. Raises EmptySample when a class is missing, InputInvalid.
    Source: Liu and Nocedal 1989, with backtracking (Armijo). Checked against scikit-learn in tests/stats.
    """
    labels = np.asarray(y, dtype=np.float64)
    if labels.shape != (design.rows,) or not np.isin(labels, (0.0, 1.0)).all():
        raise InputInvalid(f"{design.rows} rows need as many labels of 0 and 1, got shape {labels.shape}")
    if not 0 < labels.sum() < labels.size:
        raise EmptySample("both classes are needed to tell them apart")
    free = np.append(np.full(design.width, penalty), 0.0)
    point = (
        np.append(np.zeros(design.width), np.log(labels.mean() / (1 - labels.mean())))
        if start is None
        else np.append(start.weights, start.bias)
    )

    def at(x: Floats) -> tuple[float, Floats]:
        odds = design.dot(x[:-1]) + x[-1]
        value = float((np.logaddexp(0, odds) - labels * odds).mean() + 0.5 * (free * x**2).sum())
        residual = (1 / (1 + np.exp(-np.clip(odds, -500, 500))) - labels) / labels.size
        return value, np.append(design.back(residual), residual.sum()) + free * x

    value, slope = at(point)
    pairs: deque[tuple[Floats, Floats]] = deque(maxlen=MEMORY)
    for _ in range(steps):
        direction = _direction(slope, pairs)
        step, down = 1.0, float(direction @ slope)
        if down >= 0 or float(np.abs(slope).max()) < 1e-7:
            break
        for _ in range(30):
            new_value, new_slope = at(point + step * direction)
            if new_value <= value + 1e-4 * step * down:
                break
            step /= 2
        else:
            break
        moved, turned = step * direction, new_slope - slope
        if float(moved @ turned) > 1e-12:
            pairs.append((moved, turned))
        point, value, slope = point + moved, new_value, new_slope
    return Logistic(weights=point[:-1], bias=float(point[-1]))


def _direction(slope: Floats, pairs: deque[tuple[Floats, Floats]]) -> Floats:
    """The two-loop recursion: minus the slope times a guess of the inverse curvature."""
    q = slope.copy()
    held = []
    for moved, turned in reversed(pairs):
        rho = 1 / float(moved @ turned)
        alpha = rho * float(moved @ q)
        q -= alpha * turned
        held.append((rho, alpha, moved, turned))
    if pairs:
        moved, turned = pairs[-1]
        q *= float(moved @ turned) / float(turned @ turned)
    else:
        q *= 4.0  # the curvature of a log loss over rows of norm 1 is at most a quarter
    for rho, alpha, moved, turned in reversed(held):
        q += (alpha - rho * float(turned @ q)) * moved
    return np.asarray(-q)
