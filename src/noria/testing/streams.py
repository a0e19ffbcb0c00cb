"""Streams of dated rows whose truth is known: a reference, then windows, with harmless weather over them and changes that a monitor should see.

What rows are made of is streams_worlds and streams_agrawal, weather streams_weather, broken data streams_faults; tried streams: streams_catalogue.
Called by tests and benchmarks of monitoring.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from noria.testing.streams_weather import Weather
from noria.testing.streams_worlds import Bools, Columns, Floats, Push, World, no_push

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
Times = NDArray[np.datetime64]
Kind = Literal["shift", "spread", "mix", "joint", "concept"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """Dated rows in order of time. at, label_at: datetime64[us] in UTC, NaT for a label that never comes; labels are the truth all the same.

    window: number of the window a row belongs to: below 0 in the reference, its last one is -1.
    """

    at: Times
    columns: Columns
    labels: Floats
    label_at: Times
    window: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.at.size)

    def take(self, rows: NDArray[Any]) -> "Rows":
        """Some of the rows: a mask or places."""
        return Rows(
            at=self.at[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            labels=self.labels[rows],
            label_at=self.label_at[rows],
            window=self.window[rows],
        )

    def known(self, now: datetime) -> Floats:
        """The labels as far as they are known at a moment, NaN for the others."""
        known = self.label_at <= np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "us")
        return np.where(known, self.labels, np.nan)


def joined(parts: list[Rows]) -> Rows:
    """Several stretches as one."""
    return Rows(
        at=np.concatenate([p.at for p in parts]),
        columns={name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns},
        labels=np.concatenate([p.labels for p in parts]),
        label_at=np.concatenate([p.label_at for p in parts]),
        window=np.concatenate([p.window for p in parts]),
    )


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that happens to a stream, from its `window` on (0 is the first after the reference).

    kind: shift by `size` standard deviations; spread: distances from the mean times `size`; mix: a share `size` of texts from the popularity
    turned upside down; joint: neighbouring numbers correlate by `size`, each alone looks as before; concept: a share `size` of labels follows
    the new concept.
    columns: which (default: all that can). over: windows until it is there in full. lasts: windows until it is gone again.
    matters: what it does to a model that learnt the reference.
    """

    kind: Kind
    window: int
    size: float = 1.0
    columns: tuple[str, ...] = ()
    over: int = 0
    lasts: int | None = None
    matters: Literal["worse", "better", "not", "unknown"] = "unknown"

    def amount(self, window: int) -> float:
        """How much of it is there in a window, 0 to 1."""
        since = window - self.window
        if since < 0 or (self.lasts is not None and since >= self.lasts):
            return 0.0
        return 1.0 if self.over <= 0 else min(1.0, (since + 1) / self.over)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """When labels come: after `delay` plus an exponential time of mean `spread`; a share `never` does not; of label 1 `slower` times as late."""

    delay: timedelta = timedelta()
    spread: timedelta = timedelta()
    never: float = 0.0
    slower: float = 1.0

    def times(self, rng: np.random.Generator, at: Times, labels: Floats) -> Times:
        """When each label is known."""
        wait = self.delay / timedelta(microseconds=1) + rng.exponential(size=at.size) * (
            self.spread / timedelta(microseconds=1)
        )
        wait = wait * np.where(labels == 1, self.slower, 1.0)
        known = at + wait.astype(np.int64).astype("timedelta64[us]")
        known[rng.uniform(size=at.size) < self.never] = np.datetime64("NaT")
        return np.asarray(known)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A reference of so many windows and the windows after it. The same seed gives the same rows, and window i is the same however many follow.

    rows: of each window; reference_rows: of each window of the reference, if they are to be others.

    >>> from noria.testing.streams_worlds import Sea
    >>> stream = Stream(world=Sea(), seed=1, rows=50, changes=(Change(kind="concept", window=2),))
    >>> [len(w) for w in stream], [c.kind for c in stream.active(2)], stream.active(1)
    ([50, 50, 50, 50, 50, 50, 50, 50, 50, 50], ['concept'], ())
    """

    world: World
    seed: int
    rows: int = 1000
    length: timedelta = timedelta(days=1)
    reference: int = 40
    reference_rows: int | None = None
    windows: int = 10
    weather: tuple[Weather, ...] = ()
    changes: tuple[Change, ...] = ()
    labels: Labels = Labels()
    start: datetime = START

    def history(self) -> Rows:
        """The reference: everything before window 0."""
        return joined([self.window(i) for i in range(-self.reference, 0)])

    def __iter__(self) -> Iterator[Rows]:
        return (self.window(i) for i in range(self.windows))

    def active(self, window: int) -> tuple[Change, ...]:
        """The truth about a window: the changes that are there."""
        return tuple(change for change in self.changes if change.amount(window) > 0)

    def span(self, window: int) -> tuple[datetime, datetime]:
        """Since when and until when a window runs."""
        since = self.start + (window + self.reference) * self.length
        return since, since + self.length

    def quiet(self) -> "Stream":
        """The same stream if nothing had changed."""
        return replace(self, changes=())

    def window(self, number: int) -> Rows:
        """The rows of one window, -reference <= number."""
        place = number + self.reference
        if place < 0:
            raise IndexError(f"window {number} of a stream whose reference has {self.reference}")
        rng = np.random.default_rng([self.seed, place])
        rows = self.rows if number >= 0 or self.reference_rows is None else self.reference_rows
        since, _ = self.span(number)
        offset = np.sort(rng.uniform(size=rows)) * (self.length / timedelta(microseconds=1))
        at = np.datetime64(since.replace(tzinfo=None), "us") + offset.astype(np.int64).astype("timedelta64[us]")
        columns, labels = self.world.draw(rng, *self._pushed(rng, number, at))
        return Rows(
            at=at,
            columns=columns,
            labels=labels,
            label_at=self.labels.times(rng, at, labels),
            window=np.full(rows, number, dtype=np.int64),
        )

    @cached_property
    def _moves(self) -> Floats:
        """Moves of whole windows, shape (reference + windows, numbers)."""
        total, numbers = self.reference + self.windows, len(self.world.numbers)
        days = np.asarray((np.arange(total) + 0.5) * (self.length / timedelta(days=1)), dtype=np.float64)
        found = np.zeros((total, numbers))
        for i, weather in enumerate(self.weather):
            found += weather.of_windows(np.random.default_rng([self.seed, 1 << 30, i]), days, numbers)
        return found

    def _pushed(self, rng: np.random.Generator, number: int, at: Times) -> tuple[Push, Bools]:
        """What weather and changes do to the rows of one window, and which of them follow the new concept."""
        push, after = no_push(at.size, self.world), np.zeros(at.size, dtype=bool)
        days = (at - np.datetime64(self.start.replace(tzinfo=None), "us")) / np.timedelta64(1, "D")
        if self.world.numbers:
            push.shift[:] = self._moves[number + self.reference]
            for weather in self.weather:
                push.shift[:] += weather.of_rows(rng, days, len(self.world.numbers))
        for change in self.active(number):
            amount = change.amount(number)
            if change.kind == "concept":
                after |= rng.uniform(size=at.size) < change.size * amount
            elif change.kind == "mix":
                push.mix[:, _places(self.world.texts, change.columns)] = change.size * amount
            elif change.kind == "joint":
                push.joint[:] = change.size * amount
            elif change.kind == "spread":
                push.scale[:, _places(self.world.numbers, change.columns)] *= change.size**amount
            else:
                push.shift[:, _places(self.world.numbers, change.columns)] += change.size * amount
        return push, after


def _places(names: tuple[str, ...], chosen: tuple[str, ...]) -> list[int]:
    """Where the chosen columns stand; all of them if none is chosen. ValueError for one that cannot be moved."""
    return [names.index(name) for name in chosen] if chosen else list(range(len(names)))
