"""Cut two tables into pieces: the reference's teach how much it wobbles, the current one's are what is bet on, one after the other.

Pure positions and lengths; what is counted in the pieces is two_tables.py. Called by two_tables and watch.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import InputInvalid
from noria.monitor.table import Table
from noria.stats.checks import Ints

PIECES = 12
"""The current table is dealt into at least so many pieces, so that no single piece decides."""

LONGEST = 400
"""At most so many pieces of the current table; longer spans of time get longer pieces."""

_UNITS = {"day": 86400.0, "hour": 3600.0, "minute": 60.0}
_ENOUGH_WINDOWS = 14
_FEW_WINDOWS = 5
_WINDOW_ROWS = 5
_ORDER_BLOCKS = 20
_BLOCK_ROWS = 100
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


@dataclass(frozen=True, eq=False)
class Pieces:
    """Which piece each row belongs to.

    reference: shape (n,), codes, or when the row's window began. current: shape (m,), codes 0.. in the order in which they are judged.
    starts: the beginning of each piece of the current table where there is a time, else empty. seconds: length of a window of time, 0 without.
    by: what a piece of the reference is, for people. together: whether the current pieces are dealt from one stretch, and share its wobble.
    """

    reference: NDArray[Any]
    current: Ints
    count: int
    starts: tuple[datetime, ...]
    seconds: float
    by: str
    together: bool


def window_seconds(window: str | float | timedelta) -> float:
    """A length of time in seconds.

    >>> window_seconds("6h"), window_seconds("1d")
    (21600.0, 86400.0)
    """
    if isinstance(window, timedelta):
        seconds = window.total_seconds()
    elif isinstance(window, str):
        match = _LENGTH.fullmatch(window.strip())
        seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    else:
        seconds = float(window)
    if not seconds > 0:
        raise InputInvalid(f"{window!r} is no length of a window", remedy="say it as '1d', '6h' or '30m'")
    return seconds


def times_of(table: Table, column: str) -> NDArray[np.datetime64]:
    """The time column, shape (rows,), NaT where missing. Texts are read as ISO 8601. Raises InputInvalid."""
    held = table.columns[column]
    if held.kind == "time":
        return np.asarray(held.values, dtype="datetime64[us]")
    if held.kind == "text":
        try:
            return np.array([_moment(v) for v in held.values.tolist()], dtype="datetime64[us]")
        except ValueError as exc:
            raise InputInvalid(
                f"the time column {column!r} of the {table.name} table holds texts that are no times",
                cause=str(exc),
                remedy="write times as ISO 8601: 2026-03-01T12:00:00",
            ) from exc
    raise InputInvalid(
        f"the time column {column!r} of the {table.name} table holds no times but is {held.dtype}",
        remedy="convert it to datetimes first, or leave time= away: rows are then taken in their order",
    )


def _moment(text: str | None) -> np.datetime64:
    if text is None:
        return np.datetime64("NaT", "us")
    moment = datetime.fromisoformat(text.strip())
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment, "us")


def cut_by_order(reference: int, current: int, *, ordered: bool, seed: int) -> Pieces:
    """Without a time: the reference in stretches of neighbouring rows, the current table dealt out at random.

    reference, current: numbers of rows. ordered: whether the reference's order may be one of time, so that its stretches can teach a wobble.
    The current table is dealt, not cut, because a table that is sorted by one of its columns is no drift.
    """
    blocks = min(_ORDER_BLOCKS, reference // _BLOCK_ROWS) if ordered else 1
    blocks = blocks if blocks >= _FEW_WINDOWS else 1
    pieces = min(PIECES, current)
    dealt = np.random.default_rng(seed).permutation(current) % pieces
    by = f"stretches of {reference // blocks:,} rows, in their order" if blocks > 1 else "the whole table"
    return Pieces(
        reference=(np.arange(reference) * blocks // max(reference, 1)).astype(np.int64),
        current=dealt.astype(np.int64),
        count=pieces,
        starts=(),
        seconds=0.0,
        by=by,
        together=True,
    )


def reference_blocks(
    times: NDArray[np.datetime64] | None, rows: int, *, window: float | None, ordered: bool
) -> tuple[NDArray[Any], float, str]:
    """Pieces of a reference alone: codes, seconds of a window (0 without a time), and what a piece is. Windows begin at whole multiples of UTC."""
    if times is None:
        plain = cut_by_order(rows, 1, ordered=ordered, seed=0)
        return plain.reference, 0.0, plain.by
    seconds = max(1.0, float(round(window or _suitable(times, times))))
    blocks = _windows(times, seconds, origin=np.datetime64(0, "us"))
    if np.unique(blocks).size < _FEW_WINDOWS:
        stretches, by = _stretches(times)
        return stretches, seconds, by
    return blocks, seconds, f"windows of {length_words(seconds)}"


def cut_by_time(
    reference: NDArray[np.datetime64], current: NDArray[np.datetime64], *, window: float | None, seed: int
) -> Pieces:
    """By time: both tables in windows of one length and one phase, that of the reference's first row; few windows are dealt out further.

    reference, current: shape (n,), (m,), no NaT. window: seconds; None chooses the longest of day, hour and minute of which the reference has 14.
    """
    seconds = window or _suitable(reference, current)
    blocks: NDArray[Any] = _windows(reference, seconds, origin=reference.min())
    by = f"windows of {length_words(seconds)}"
    if np.unique(blocks).size < _FEW_WINDOWS:
        blocks, by = _stretches(reference)
    stretch = max(1.0, np.ceil(_span(current) / seconds / LONGEST))
    starts, mine = np.unique(_windows(current, seconds * stretch, origin=reference.min()), return_inverse=True)
    parts = int(np.ceil(PIECES / starts.size))
    order = np.random.default_rng(seed).permutation(current.size)
    dealt = np.empty(current.size, dtype=np.int64)
    dealt[order] = np.arange(current.size) % parts
    found, pieces = np.unique(mine * parts + dealt, return_inverse=True)
    begun = starts.astype("datetime64[us]").tolist()
    return Pieces(
        reference=blocks,
        current=pieces.astype(np.int64),
        count=int(found.size),
        starts=tuple(begun[int(i)].replace(tzinfo=UTC) for i in found // parts),
        seconds=seconds,
        by=by,
        together=parts > 1,
    )


def _stretches(times: NDArray[np.datetime64]) -> tuple[Ints, str]:
    """Stretches of rows that follow each other in time, for a reference that is too short for windows."""
    plain = cut_by_order(times.size, 1, ordered=True, seed=0)
    codes = np.empty(times.size, dtype=np.int64)
    codes[np.argsort(times, kind="stable")] = plain.reference
    return codes, plain.by.replace("in their order", "in the order of time")


def length_words(seconds: float) -> str:
    """A length of time in words.

    >>> length_words(86400), length_words(5400)
    ('1 day', '1.5 hours')
    """
    for unit, size in _UNITS.items():
        if seconds >= size:
            number = seconds / size
            return f"{number:g} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} seconds"


def _span(times: NDArray[np.datetime64]) -> float:
    return float((times.max() - times.min()) / np.timedelta64(1, "s"))


def _suitable(reference: NDArray[np.datetime64], current: NDArray[np.datetime64]) -> float:
    """The longest of day, hour and minute of which both tables have enough windows: only whole windows can be told from their season.

    Where the current table is too short for twelve of any, it has at least one, and is dealt out.
    """
    have, mine = _span(reference), _span(current)
    for seconds in _UNITS.values():
        filled = current.size * seconds >= _WINDOW_ROWS * mine
        if have >= (_ENOUGH_WINDOWS - 0.5) * seconds and mine >= (PIECES - 0.5) * seconds and filled:
            return seconds
    for enough in (_ENOUGH_WINDOWS, _FEW_WINDOWS):
        for seconds in _UNITS.values():
            if have >= (enough - 0.5) * seconds and mine >= 0.9 * seconds:
                return seconds
    return max(have, 1.0)


def _windows(times: NDArray[np.datetime64], seconds: float, *, origin: np.datetime64) -> NDArray[np.datetime64]:
    """When the window of each row begins. A first or last window that is less than half full in time joins its neighbour."""
    since = (times - origin) / np.timedelta64(1, "s")
    codes = np.floor(since / seconds).astype(np.int64)
    first, last = int(codes.min()), int(codes.max())
    if last > first and (first + 1) * seconds - float(since.min()) < seconds / 2:
        codes[codes == first] = first = first + 1
    if last > first and float(since.max()) - last * seconds < seconds / 2:
        codes[codes == last] = last - 1
    return np.asarray(origin + (codes * seconds * 1e6).astype("timedelta64[us]"))
