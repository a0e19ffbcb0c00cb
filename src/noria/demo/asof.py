"""Counting what had been seen by a moment, for all moments at once. Pure arrays. Called by demo/features.

Everything is by time stamps: an event at t is visible to a question at T only if t < T. Sorted logs, cumulative sums and binary search make a year's
features a matter of seconds, and give one flight the same numbers as they give all of them.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

# key * SPAN + minute puts all groups on one sorted axis; minutes since 1970 stay below 2**32 until the year 10136.
SPAN = np.int64(1) << 32
EVER = 10_000_000
"""Minutes (19 years): a window that holds the whole log."""


class SeenLog:
    """Events by group and time, with values to be summed."""

    def __init__(self, key: Ints, minute: Ints, *values: Floats) -> None:
        axis = key * SPAN + minute
        order = np.argsort(axis, kind="stable")
        self.order = order
        self.axis: Ints = axis[order]
        self.sums = [np.concatenate([[0.0], np.cumsum(v[order].astype(np.float64))]) for v in values]

    def window(self, key: Ints, at: Ints, minutes: int) -> tuple[Floats, list[Floats]]:
        """How many events each group saw in [at - minutes, at), and the sums of their values."""
        high = np.searchsorted(self.axis, key * SPAN + at, "left")
        low = np.searchsorted(self.axis, key * SPAN + at - minutes, "left")
        return (high - low).astype(np.float64), [total[high] - total[low] for total in self.sums]

    def last(self, key: Ints, at: Ints) -> Ints:
        """Index, among the events as given, of each group's last event before `at`; -1 if there was none."""
        position = np.searchsorted(self.axis, key * SPAN + at, "left") - 1
        there = (position >= 0) & (self.axis[np.maximum(position, 0)] // SPAN == key)
        return np.where(there, self.order[np.maximum(position, 0)], -1).astype(np.int64)


class OverdueLog:
    """Flights scheduled in the last `minutes` that have not been seen leaving: how many, and how many minutes they are late together."""

    def __init__(self, key: Ints, sched: Ints, seen: Ints, left: npt.NDArray[np.bool_], *, minutes: int) -> None:
        end = np.where(left, np.minimum(seen, sched + minutes), sched + minutes)
        weight = sched.astype(np.float64)
        self._begun, self._ended = SeenLog(key, sched, weight), SeenLog(key, end, weight)

    def at(self, key: Ints, at: Ints) -> tuple[Floats, Floats]:
        """Number overdue at each moment, and the sum of (moment - scheduled) over them, in minutes."""
        begun, (begun_at,) = self._begun.window(key, at, EVER)
        ended, (ended_at,) = self._ended.window(key, at, EVER)
        number = begun - ended
        return number, number * at - (begun_at - ended_at)


def mean(number: Floats, total: Floats) -> Floats:
    """total / number, NaN where nothing was seen."""
    with np.errstate(all="ignore"):
        return np.where(number > 0, total / number, np.nan)
