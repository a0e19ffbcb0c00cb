"""Metric points as columns: what crosses the wire in bulk, without an object a point. Pure; only the standard library.

Chunks of a store are points.py. Made by clients that send many points, read by servers and by stores that take columns as they are.
"""

import sys
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from operator import attrgetter, floordiv, sub
from typing import cast, overload

import msgspec

from noria.domain.run import Metric, Subject
from noria.errors import InputInvalid, RequestInvalid
from noria.wire.points import Point, floats

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_TIMES = range(
    (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND,
    (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND + 1,
)
_INT64 = range(-(2**63), 2**63)


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """Points on their way: 64-bit columns, lowest byte first. which: the place of each point's key in `names`, 32 bits; empty if there is one key.

    subjects: of those points that have one, by their place.
    """

    names: list[str]
    which: bytes
    steps: bytes
    times: bytes
    values: bytes
    subjects: dict[int, Subject] = {}


class MetricColumns(Sequence[Metric]):
    """Points of any keys as columns, and as a sequence of nouns that are made when they are asked for.

    >>> points = MetricColumns.of([Metric(key="auc", value=0.5, step=3, at=EPOCH)])
    >>> points[0].value, points.by_key()
    (0.5, {'auc': [(3, 0, 4602678819172646912)]})
    """

    __slots__ = ("bits", "names", "steps", "subjects", "times", "which")

    def __init__(
        self,
        names: list[str],
        which: "Sequence[int] | None",
        *,
        steps: "array[int]",
        times: "array[int]",
        bits: "array[int]",
        subjects: dict[int, Subject] | None = None,
    ) -> None:
        self.names = names
        self.which = which
        self.steps = steps
        self.times = times
        self.bits = bits
        self.subjects = subjects or {}

    @classmethod
    def of(cls, points: Sequence[Metric]) -> "MetricColumns":
        """The columns of some points. Raises InputInvalid for a time without zone and a step beyond 64 bits, naming the metric."""
        if isinstance(points, MetricColumns):
            return points
        try:
            steps = array("q", map(attrgetter("step"), points))
            times = array(
                "q", map(floordiv, map(sub, map(attrgetter("at"), points), repeat(EPOCH)), repeat(MICROSECOND))
            )
            values = array("d", map(attrgetter("value"), points))
        except (OverflowError, TypeError) as error:
            raise _wrong(points) from error
        keys = list(map(attrgetter("key"), points))
        subjects = list(map(attrgetter("subject"), points))
        about = {} if subjects.count(None) == len(subjects) else {n: s for n, s in enumerate(subjects) if s is not None}
        names, which = _indexed(keys)
        return cls(names, which, steps=steps, times=times, bits=array("q", values.tobytes()), subjects=about)

    @classmethod
    def read(cls, columns: Columns) -> "MetricColumns":
        """The points that `columns` holds. Raises RequestInvalid for columns that do not fit together."""
        try:
            steps, times, held = (_integers("q", data) for data in (columns.steps, columns.times, columns.values))
            which = _integers("I", columns.which) if columns.which else None
        except ValueError as error:
            raise RequestInvalid("metric points cannot be read", cause=str(error)) from error
        sizes = {len(steps), len(times), len(held), len(steps) if which is None else len(which)}
        one_key = len(columns.names) == 1 or not steps
        fits = len(sizes) == 1 and (one_key if which is None else not which or max(which) < len(columns.names))
        if (
            not fits
            or not all(0 <= place < len(steps) for place in columns.subjects)
            or (times and not (min(times) in _TIMES and max(times) in _TIMES))
        ):
            raise RequestInvalid("metric points cannot be read", cause="their columns do not fit together")
        return cls(columns.names, which, steps=steps, times=times, bits=held, subjects=columns.subjects)

    def columns(self) -> Columns:
        """What crosses the wire."""
        which = b"" if self.which is None else _bytes(array("I", self.which))
        return Columns(self.names, which, _bytes(self.steps), _bytes(self.times), _bytes(self.bits), self.subjects)

    def by_key(self) -> dict[str, list[Point]]:
        """The points of each key as (step, microseconds, bits), in the order given."""
        points = list(zip(self.steps, self.times, self.bits, strict=True))
        if self.which is None:
            return {self.names[0]: points} if points else {}
        found: list[list[Point]] = [[] for _ in self.names]
        for number, point in zip(self.which, points, strict=True):
            found[number].append(point)
        return {name: part for name, part in zip(self.names, found, strict=True) if part}

    def measuring(self) -> list[Metric]:
        """Those points that measure a trained model."""
        return [self[place] for place in sorted(self.subjects)]

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, place: int) -> Metric: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Metric]: ...
    def __getitem__(self, place: int | slice) -> Metric | Sequence[Metric]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = range(len(self))[place]
        return Metric(
            key=self.names[0 if self.which is None else self.which[number]],
            value=floats([self.bits[number]])[0],
            step=self.steps[number],
            at=EPOCH + self.times[number] * MICROSECOND,
            subject=self.subjects.get(number),
        )

    def __iter__(self) -> Iterator[Metric]:
        keys = (
            repeat(self.names[0])
            if self.which is None and self.names
            else map(self.names.__getitem__, self.which or ())
        )
        parts = zip(keys, floats(self.bits), self.steps, self.times, strict=False)
        if self.subjects:
            return iter([self[number] for number in range(len(self))])
        return (Metric(key=key, value=value, step=step, at=EPOCH + at * MICROSECOND) for key, value, step, at in parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def columns_of(points: Sequence[Metric]) -> Columns:
    """Points as they cross the wire. Raises InputInvalid."""
    return MetricColumns.of(points).columns()


def _indexed(keys: list[str]) -> "tuple[list[str], Sequence[int] | None]":
    if not keys or keys.count(keys[0]) == len(keys):
        return keys[:1], None
    names = list(dict.fromkeys(keys))
    places = {name: number for number, name in enumerate(names)}
    return names, array("I", map(places.__getitem__, keys))


def _wrong(points: Sequence[Metric]) -> InputInvalid:
    """What to say of the first point that cannot be."""
    for point in points:
        step, value = cast(object, point.step), cast(object, point.value)
        if not isinstance(step, int) or step not in _INT64:
            return InputInvalid(f"metric '{point.key}' has step {step!r}, beyond 64 bits")
        if point.at.tzinfo is None:
            return InputInvalid(f"metric '{point.key}' has no time zone: {point.at}", remedy="use datetime.now(UTC)")
        if not isinstance(value, int | float):
            return InputInvalid(f"metric '{point.key}' is {value!r}, which is no number")
    return InputInvalid("a metric cannot be stored")


def _integers(code: str, data: bytes) -> "array[int]":
    numbers = array(code, data)  # ValueError for a length that does not fit
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _bytes(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
