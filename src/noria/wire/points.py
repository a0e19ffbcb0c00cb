"""Metric points to bytes and back: columns of a chunk, delta-coded and compressed, and the extremes of its blocks, so that a chart need not open it.

Pure bytes: which points share a chunk is the adapter's business (adapters/metadata/sql/series). Only the standard library, for the base install
has no numpy; every step over all points is one call into C. The format and the choices behind it: ADR 17.
"""

import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate, islice, pairwise
from math import gcd, isnan
from operator import sub
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from noria.errors import StoreCorrupt

Point = tuple[int, int, int]
"""Step, microseconds since 1970, and the 64 bits of the value as a signed integer; a series is sorted by all three."""
BLOCK = 64
"""Points whose extremes are kept together."""
_VERSION = 1
_NAN_BITS = 0x7FF8000000000000
_HEAD = Struct("<IBBII")
"""Checksum of what follows, version, whether it is compressed, how many points, and how many in a block (0: the points themselves)."""
_CHECKED_FROM = 4
_RAW, _LINEAR, _DELTAS = range(3)
_SHUFFLED, _REPEATED, _DECIMAL = range(3)
_PLACES = range(7)
"""Decimal places that a rounded value may have."""
_LINE = Struct("<qq")
_DELTA = Struct("<qqQB")
_INT64 = range(-(2**63), 2**63)
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""The array's code for unsigned integers of so many bytes."""


class Stretch(NamedTuple):
    """Points that follow each other, by what a chart needs of them. low, high: the first of the lowest and highest numbers; None if all are NaN."""

    size: int
    nans: int
    first: Point
    last: Point
    low: Point | None
    high: Point | None


class Packed(NamedTuple):
    """A chunk: its extremes, those of its blocks as bytes, and its points as bytes."""

    whole: Stretch
    blocks: bytes
    body: bytes


def floats(bits: Sequence[int]) -> "array[float]":
    """The doubles that have these bits.

    >>> list(floats([0, 4607182418800017408]))
    [0.0, 1.0]
    """
    return array("d", array("q", bits).tobytes())


def bits(values: Sequence[float]) -> "array[int]":
    """The bits of doubles, as `floats` reads them: NaN, infinities and -0.0 stay what they are."""
    return array("q", array("d", values).tobytes())


def extremes(values: Sequence[float]) -> tuple[int | None, int | None, int]:
    """Where the lowest and the highest number stand (the first of equals), and how many are NaN. None, None if there is no number.

    >>> extremes([3.0, float("nan"), 1.0, 3.0])
    (2, 0, 1)
    """
    if len(values) and not isnan(sum(values)):  # NaN in the sum: one of them is, or infinities met
        return values.index(min(values)), values.index(max(values)), 0
    numbers = [place for place, value in enumerate(values) if not isnan(value)]
    nans = len(values) - len(numbers)
    if not numbers:
        return None, None, nans
    return min(numbers, key=values.__getitem__), max(numbers, key=values.__getitem__), nans


def stretch(points: Sequence[Point], values: Sequence[float]) -> Stretch:
    """Some points as one stretch. values: theirs, in the same order."""
    low, high, nans = extremes(values)
    return Stretch(
        len(points),
        nans,
        points[0],
        points[-1],
        None if low is None else points[low],
        None if high is None else points[high],
    )


def stretches(points: Sequence[Point], size: int = BLOCK) -> list[Stretch]:
    """Points cut into stretches of `size`, the last one of what is left."""
    values = floats([point[2] for point in points]).tolist()
    return [stretch(points[at : at + size], values[at : at + size]) for at in range(0, len(points), size)]


def joined(parts: Sequence[Stretch], borders: Sequence[int]) -> list[Stretch]:
    """Neighbouring stretches put together: those from each border up to the next one become one.

    >>> [part.size for part in joined(stretches([(step, 0, 0) for step in range(192)]), [0, 2, 3])]
    [128, 64]
    """
    lows = floats([part.low[2] if part.low else _NAN_BITS for part in parts]).tolist()
    highs = floats([part.high[2] if part.high else _NAN_BITS for part in parts]).tolist()
    found = []
    for start, end in pairwise(borders):
        if end - start == 1:
            found.append(parts[start])
            continue
        some = parts[start:end]
        low, high = extremes(lows[start:end])[0], extremes(highs[start:end])[1]
        found.append(
            Stretch(
                sum([part.size for part in some]),
                sum([part.nans for part in some]),
                some[0].first,
                some[-1].last,
                None if low is None else some[low].low,
                None if high is None else some[high].high,
            )
        )
    return found


def pack_points(points: Sequence[Point]) -> Packed:
    """Points, sorted and at least one, as a chunk.

    >>> chunk = pack_points([(step, 1000 * step, 0) for step in range(1000)])
    >>> len(chunk.body) < 100, unpack_points(chunk.body, what="a chunk")[-1]
    (True, (999, 999000, 0))
    """
    blocks = stretches(points)
    corners: list[Point] = []
    for block in blocks:
        corners += (block.first, block.low or block.first, block.high or block.first, block.last)
    nans = array("H", [block.nans for block in blocks])
    return Packed(
        joined(blocks, [0, len(blocks)])[0],
        _sealed(len(points), BLOCK, _little(nans) + _columns(corners)),
        _sealed(len(points), 0, _columns(points)),
    )


def unpack_points(body: bytes, *, what: str) -> list[Point]:
    """The points of a chunk. Raises StoreCorrupt, naming `what`, for bytes that are not what was packed."""
    try:
        count, _, inner = _unsealed(body)
        return _points(inner, count)
    except _UNREADABLE as error:
        raise StoreCorrupt(f"{what} cannot be read", cause=str(error)) from error


def unpack_blocks(blocks: bytes, *, what: str) -> list[Stretch]:
    """The blocks of a chunk, in order. Raises StoreCorrupt as `unpack_points`."""
    try:
        count, size, inner = _unsealed(blocks)
        if not 0 < size <= 65535:
            raise ValueError(f"its blocks have {size} points")
        number = -(-count // size)
        nans = _integers("H", inner[: 2 * number], number)
        corners = _points(inner[2 * number :], 4 * number)
    except _UNREADABLE as error:
        raise StoreCorrupt(f"{what} cannot be read", cause=str(error)) from error
    found = []
    for place in range(number):
        first, low, high, last = corners[4 * place : 4 * place + 4]
        held = min(size, count - place * size)
        some = nans[place] < held
        found.append(Stretch(held, nans[place], first, last, low if some else None, high if some else None))
    return found


_UNREADABLE = (ValueError, StructError, zlib.error, OverflowError, IndexError, MemoryError)


def _sealed(count: int, size: int, inner: bytes) -> bytes:
    """Compressed if that pays, with a checksum over all of it."""
    short = zlib.compress(inner, 1)
    small = len(short) < len(inner)
    rest = _HEAD.pack(0, _VERSION, small, count, size)[_CHECKED_FROM:] + (short if small else inner)
    return zlib.crc32(rest).to_bytes(4, "little") + rest


def _unsealed(data: bytes) -> tuple[int, int, bytes]:
    """Number of points, size of a block, and the columns. Raises one of _UNREADABLE."""
    checksum, version, small, count, size = _HEAD.unpack_from(data)
    if zlib.crc32(memoryview(data)[_CHECKED_FROM:]) != checksum:
        raise ValueError(f"its {len(data)} bytes do not have the checksum that they were written with")
    if version != _VERSION:
        raise ValueError(f"it is of version {version}; this Noria reads {_VERSION}")
    inner = data[_HEAD.size :]
    return count, size, zlib.decompress(inner) if small else inner


def _columns(points: Sequence[Point]) -> bytes:
    steps, times, values = zip(*points, strict=True)
    return _column(steps) + _column(times) + _values(values)


def _points(data: bytes, count: int) -> list[Point]:
    steps, rest = _read_column(memoryview(data), count)
    times, rest = _read_column(rest, count)
    values = _read_values(rest, count)
    return list(zip(steps, times, values, strict=True))


def _values(values: tuple[int, ...]) -> bytes:
    """A kind, then: of rounded values their places and the column of their digits; the bits as they are if many repeat; else byte by byte."""
    numbers = floats(values)
    for places in _PLACES:
        digits = _digits(numbers, 10**places)
        if digits is not None:
            return bytes((_DECIMAL, places)) + _column(digits)
    plain = _little(array("q", values))
    if 2 * len(set(values)) < len(values):
        return bytes((_REPEATED,)) + plain
    return bytes((_SHUFFLED,)) + _shuffled(plain, 8)


def _read_values(data: memoryview, count: int) -> "array[int]":
    kind = data[0]
    if kind == _DECIMAL:
        scale = 10 ** data[1]
        digits, _ = _read_column(data[2:], count)
        return bits([digit / scale for digit in digits])
    if kind not in (_SHUFFLED, _REPEATED):
        raise ValueError(f"values of kind {kind} are unknown")
    return _integers("q", _gathered(data[1:], 8) if kind == _SHUFFLED else data[1:], count)


def _digits(numbers: "array[float]", scale: int) -> tuple[int, ...] | None:
    """Integers that give exactly these numbers, -0.0 told from 0.0, when divided by `scale`; None if there are none."""
    for number in (numbers[0], numbers[-1], numbers[len(numbers) // 2]):  # mostly enough to know
        if not abs(number) * scale < 2**53 or round(number * scale) / scale != number:
            return None
    try:
        digits = tuple([round(number * scale) for number in numbers])
        same = bits([digit / scale for digit in digits]).tobytes() == numbers.tobytes()
    except (ValueError, OverflowError):  # NaN, an infinity, or beyond a double
        return None
    return digits if same and max(map(abs, digits)) < 2**53 else None


def _column(numbers: tuple[int, ...]) -> bytes:
    """A kind, then: first and step of a line; or first, smallest delta, unit and width of the deltas and these; or the numbers as they are."""
    first = numbers[0]
    deltas = list(map(sub, islice(numbers, 1, None), numbers))
    base, top = (min(deltas), max(deltas)) if deltas else (0, 0)
    if base not in _INT64 or top not in _INT64:
        return bytes((_RAW,)) + _shuffled(_little(array("q", numbers)), 8)
    if base == top:
        return bytes((_LINEAR,)) + _LINE.pack(first, base)
    rests = [delta - base for delta in deltas] if base else deltas
    unit = gcd(*rests)
    if unit > 1:
        rests = [rest // unit for rest in rests]
    width = next(width for width in _CODES if (top - base) // unit < 1 << 8 * width)
    packed = _shuffled(_little(array(_CODES[width], rests)), width)
    return bytes((_DELTAS,)) + _DELTA.pack(first, base, unit, width) + packed


def _read_column(data: memoryview, count: int) -> tuple[Sequence[int], memoryview]:
    """The numbers of a column, and the bytes behind it."""
    kind, data = data[0], data[1:]
    if kind == _LINEAR:
        first, step = _LINE.unpack_from(data)
        line = range(first, first + step * count, step) if step else (first,) * count
        return line, data[_LINE.size :]
    if kind == _RAW:
        return _integers("q", _gathered(data[: 8 * count], 8), count), data[8 * count :]
    if kind != _DELTAS:
        raise ValueError(f"a column of kind {kind} is unknown")
    first, base, unit, width = _DELTA.unpack_from(data)
    if width not in _CODES:
        raise ValueError(f"a column of {width} bytes a number is unknown")
    end = _DELTA.size + width * (count - 1)
    rests: Sequence[int] = _integers(_CODES[width], _gathered(data[_DELTA.size : end], width), count - 1)
    if base or unit > 1:
        rests = [base + unit * rest for rest in rests]
    return list(accumulate(rests, initial=first)), data[end:]


def _shuffled(data: bytes, width: int) -> bytes:
    """First the lowest byte of every number, then the next one of every number, ...: what is alike stands together."""
    return b"".join(data[place::width] for place in range(width)) if width > 1 else data


def _gathered(data: "bytes | memoryview", width: int) -> bytes:
    """What was `_shuffled`."""
    if len(data) % width:
        raise ValueError(f"{len(data)} bytes are no numbers of {width} bytes each")
    size = len(data) // width
    out = bytearray(len(data))
    for place in range(width):
        out[place::width] = data[place * size : (place + 1) * size]
    return bytes(out)


def _little(numbers: "array[int]") -> bytes:
    """The bytes of integers, lowest first."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _integers(code: str, data: "bytes | memoryview", count: int) -> "array[int]":
    numbers = array(code, bytes(data))
    if sys.byteorder == "big":
        numbers.byteswap()
    if len(numbers) != count:
        raise ValueError(f"a column holds {len(numbers)} numbers, not {count}")
    return numbers
