"""Data that breaks: inputs missing, stuck, in another unit, swapped, infinite, of another type; rows twice, lost, replayed or misdated.

Rows and their truth are streams; a fault is no change of the world but of the pipe. Called by tests and benchmarks of monitoring.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import numpy as np

from noria.testing.streams import Change, Rows, Stream

FaultKind = Literal[
    "missing",
    "stuck",
    "unit",
    "swapped",
    "unseen",
    "infinite",
    "retyped",
    "gone",
    "repeated",
    "lost",
    "replayed",
    "misdated",
]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that breaks in `window` and stays so for `lasts` windows (default: for good).

    missing: a share `size` of the columns' values is NaN or None. stuck: every value is the first of the window. unit: values times `size`.
    swapped: two columns change places. unseen: a share `size` of texts is new. infinite: a share `size` of numbers is. retyped: numbers come as
    text. gone: the columns are not there. repeated: a share `size` of rows comes twice. lost: a share `size` of rows does not come. replayed: the
    rows of the window before come again. misdated: clocks run `size` days ahead.
    """

    kind: FaultKind
    window: int
    columns: tuple[str, ...] = ()
    size: float = 0.2
    lasts: int | None = None

    def there(self, window: int) -> bool:
        """Whether a window has it."""
        return self.window <= window and (self.lasts is None or window < self.window + self.lasts)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A stream through a pipe that breaks. It reads like the stream: history, window, iteration; `faults_in` is the truth.

    >>> from noria.testing.streams_worlds import Sea
    >>> pipe = Broken(stream=Stream(world=Sea(), seed=1, rows=100), faults=(Fault(kind="missing", window=3, columns=("x0",), size=1.0),))
    >>> [bool(np.isnan(rows.columns["x0"]).all()) for rows in pipe][:5]
    [False, False, False, True, True]
    """

    stream: Stream
    faults: tuple[Fault, ...]

    def history(self) -> Rows:
        """The reference, unbroken."""
        return self.stream.history()

    def __iter__(self) -> Iterator[Rows]:
        return (self.window(i) for i in range(self.stream.windows))

    def window(self, number: int) -> Rows:
        """The rows of one window as they come out of the pipe."""
        rows = self.stream.window(number)
        for i, fault in enumerate(self.faults):
            if fault.there(number):
                rng = np.random.default_rng([self.stream.seed, 1 << 31, i, number + self.stream.reference])
                rows = (
                    self.stream.window(number - 1)
                    if fault.kind == "replayed"
                    else _BREAKS[fault.kind](rows, fault, rng)
                )
        return replace(rows, window=np.full(len(rows), number, dtype=np.int64))

    def faults_in(self, window: int) -> tuple[Fault, ...]:
        """What is broken in a window."""
        return tuple(fault for fault in self.faults if fault.there(window))

    def active(self, window: int) -> tuple[Change, ...]:
        """What the world itself does, as Stream.active."""
        return self.stream.active(window)

    def span(self, window: int) -> tuple[datetime, datetime]:
        """Since when and until when a window runs."""
        return self.stream.span(window)


Break = Callable[[Rows, Fault, np.random.Generator], Rows]


def _some(rows: Rows, fault: Fault, rng: np.random.Generator) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return rng.uniform(size=len(rows)) < fault.size


def _missing(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    columns = dict(rows.columns)
    for name in fault.columns:
        values = columns[name]
        hole: object = None if values.dtype == object else np.nan
        columns[name] = np.where(_some(rows, fault, rng), np.asarray(hole, dtype=values.dtype), values)
    return replace(rows, columns=columns)


def _stuck(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    same = {name: np.repeat(rows.columns[name][:1], len(rows)) for name in fault.columns}
    return replace(rows, columns={**rows.columns, **same})


def _unit(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    return replace(rows, columns={**rows.columns, **{n: rows.columns[n] * fault.size for n in fault.columns}})


def _swapped(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    first, second = fault.columns
    return replace(rows, columns={**rows.columns, first: rows.columns[second], second: rows.columns[first]})


def _unseen(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    columns = dict(rows.columns)
    for name in fault.columns:
        fresh = np.array([f"new-{v}" for v in rng.integers(0, 20, len(rows)).tolist()], dtype=object)
        columns[name] = np.where(_some(rows, fault, rng), fresh, columns[name])
    return replace(rows, columns=columns)


def _infinite(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    some = {n: np.where(_some(rows, fault, rng), np.inf, rows.columns[n]) for n in fault.columns}
    return replace(rows, columns={**rows.columns, **some})


def _retyped(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    texts = {n: np.array([str(v) for v in rows.columns[n].tolist()], dtype=object) for n in fault.columns}
    return replace(rows, columns={**rows.columns, **texts})


def _gone(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    return replace(rows, columns={n: v for n, v in rows.columns.items() if n not in fault.columns})


def _repeated(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    return rows.take(np.repeat(np.arange(len(rows)), 1 + _some(rows, fault, rng)))


def _lost(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    return rows.take(~_some(rows, fault, rng))


def _misdated(rows: Rows, fault: Fault, rng: np.random.Generator) -> Rows:
    return replace(rows, at=rows.at + np.timedelta64(round(fault.size * 86400e6), "us"))


_BREAKS: dict[str, Break] = {
    "missing": _missing,
    "stuck": _stuck,
    "unit": _unit,
    "swapped": _swapped,
    "unseen": _unseen,
    "infinite": _infinite,
    "retyped": _retyped,
    "gone": _gone,
    "repeated": _repeated,
    "lost": _lost,
    "misdated": _misdated,
}
