"""Harmless movement of inputs, in standard deviations: wobble, season, trend, rows that remember each other, batches.

A monitor should sleep through it; what should wake it is a Change in streams. Called by streams.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from noria.testing.streams_worlds import Floats


class Weather(Protocol):
    """Moves of k numbers. Both answers are standard deviations to add."""

    def of_windows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        """One move a window, for all windows of the stream in order. days: shape (w,), since the start. Shape (w, features)."""
        ...

    def of_rows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        """One move a row, for the rows of one window in order. days: shape (n,). Shape (n, features)."""
        ...


@dataclass(frozen=True)
class Wobble:
    """Every window each number moves by a draw of standard deviation `size`. memory: correlation with the window before, 0 for none.

    together: share of the variance that all numbers have in common.
    """

    size: float = 0.03
    memory: float = 0.0
    together: float = 0.0

    def of_windows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        drawn = rng.standard_normal((days.size, features + 1))
        fresh = np.sqrt(1 - self.together) * drawn[:, 1:] + np.sqrt(self.together) * drawn[:, :1]
        return self.size * remembering(fresh, self.memory)

    def of_rows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        return np.zeros((days.size, features))


def remembering(fresh: Floats, memory: float) -> Floats:
    """Standard normal draws, shape (n, k), as a chain in which neighbours correlate by `memory`; each remains standard normal."""
    if memory == 0:
        return fresh
    chain = fresh.copy()
    keep = np.sqrt(1 - memory**2)
    for i in range(1, len(chain)):
        chain[i] = memory * chain[i - 1] + keep * fresh[i]
    return chain


@dataclass(frozen=True)
class Season:
    """A wave of `size` standard deviations and `period_days` days; each number has its own phase."""

    period_days: float = 7.0
    size: float = 0.3

    def of_windows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        return np.zeros((days.size, features))

    def of_rows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        phase = np.arange(features) * 0.618034  # the golden ratio: phases spread evenly whatever the number of features
        return np.asarray(self.size * np.sin(2 * np.pi * (days[:, None] / self.period_days + phase)))


@dataclass(frozen=True)
class Trend:
    """Every number climbs by `per_day` standard deviations a day, from the first day of the reference on."""

    per_day: float = 0.0005

    def of_windows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        return np.zeros((days.size, features))

    def of_rows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        return np.repeat(self.per_day * days[:, None], features, axis=1)


@dataclass(frozen=True)
class RowMemory:
    """Rows resemble the row before: a part of `size` standard deviations of each number is a chain with correlation `memory`. Windows stay alike."""

    memory: float = 0.95
    size: float = 1.0

    def of_windows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        return np.zeros((days.size, features))

    def of_rows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        return self.size * remembering(rng.standard_normal((days.size, features)), self.memory)


@dataclass(frozen=True)
class Batches:
    """Rows come in batches of `rows` (a device, a customer, a file), each moved by a draw of standard deviation `size`."""

    rows: int = 50
    size: float = 0.3

    def of_windows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        return np.zeros((days.size, features))

    def of_rows(self, rng: np.random.Generator, days: Floats, features: int) -> Floats:
        batch = np.arange(days.size) // self.rows
        moves = rng.standard_normal((int(batch[-1]) + 1 if batch.size else 0, features))
        return np.asarray(self.size * moves[batch])
