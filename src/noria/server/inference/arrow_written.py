"""Answers as an Arrow IPC stream, written in the worker itself: columns of numbers, truths and text without gaps, in one batch.

What else there may be is written by another process (arrow). Reading one is arrow_usual. Source: Arrow columnar format, "Serialization and
Interprocess Communication"; Message.fbs, Schema.fbs; flatbuffers, "FlatBuffer Internals".
"""

import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np

from noria.server.inference.arrow_guard import BATCH, SCHEMA

_V5 = 4
_ALIGNED = 64
_MARK = b"\xff\xff\xff\xff"
_SAID: dict[str, tuple[int, Sequence[tuple[str, int]]]] = {
    "<f4": (3, [("h", 1)]),
    "<f8": (3, [("h", 2)]),
    "<i8": (2, [("i", 64), ("B", 1)]),
    "|b1": (6, []),
    "text": (20, []),
}
"""Kind of column -> its number among the types, and the fields of its type. Texts have long offsets, which the oldest readers know."""
_MOST_HEADS = 64
_heads: dict[tuple[tuple[str, str], ...], bytes] = {}


def write_stream(columns: Mapping[str, Any]) -> bytes | None:
    """Columns (lists of texts, or arrays of numbers or truths, of one length) as bytes; None if one of them is anything else."""
    kinds: list[tuple[str, str]] = []
    buffers: list[bytes] = []
    for name, values in columns.items():
        if isinstance(values, list):
            if {*map(type, values)} != {str}:
                return None
            kinds.append((name, "text"))
            try:
                texts = [value.encode() for value in values]
            except UnicodeEncodeError:
                return None
            ends = struct.pack(f"<{len(texts) + 1}q", 0, *accumulate(map(len, texts)))
            buffers += (b"", ends, b"".join(texts))
        elif values.ndim == 1 and values.dtype.str in _SAID:
            kinds.append((name, values.dtype.str))
            is_truth = values.dtype.kind == "b"
            buffers += (b"", np.packbits(values, bitorder="little").tobytes() if is_truth else values.tobytes())
        else:
            return None
    key = tuple(kinds)
    head = _heads.get(key)
    if head is None:
        if len(_heads) >= _MOST_HEADS:
            _heads.clear()
        head = _heads[key] = _schema(key)
    rows = len(next(iter(columns.values())))
    return b"".join([head, *_batch(rows, len(kinds), buffers), _MARK, bytes(4)])


def _schema(kinds: Sequence[tuple[str, str]]) -> bytes:
    """The message that describes the columns."""
    flat = _Flat()
    header = flat.message(SCHEMA, 0)
    schema = flat.table([None, ("I", 0)], at=header)
    fields = flat.vector(bytes(4 * len(kinds)), len(kinds), at=schema[1])
    for number, (name, kind) in enumerate(kinds):
        word, said = _SAID[kind]
        text = name.encode()
        field = flat.table([("I", 0), ("B", 1), ("B", word), ("I", 0), None, ("I", 0)], at=fields + 4 * number)
        flat.vector(text + b"\0", len(text), at=field[0])
        flat.table(said, at=field[3])
        flat.vector(b"", 0, at=field[5])
    return flat.framed()


def _batch(rows: int, columns: int, buffers: Sequence[bytes]) -> list[bytes]:
    """The message with the values: its description, then every buffer filled up to whole lines."""
    sizes = [len(buffer) for buffer in buffers]
    starts = [0, *accumulate(size + -size % _ALIGNED for size in sizes)]
    flat = _Flat()
    header = flat.message(BATCH, starts[-1])
    batch = flat.table([("q", rows), ("I", 0), ("I", 0)], at=header)
    flat.vector(struct.pack("<qq", rows, 0) * columns, columns, at=batch[1])
    places = chain.from_iterable(zip(starts, sizes, strict=False))
    flat.vector(struct.pack(f"<{2 * len(sizes)}q", *places), len(sizes), at=batch[2])
    content = chain.from_iterable((buffer, bytes(-len(buffer) % _ALIGNED)) for buffer in buffers)
    return [flat.framed(), *content]


class _Flat:
    """A flatbuffer that grows forwards: what points is there before what it points to."""

    def __init__(self) -> None:
        self._out = bytearray(4)

    def message(self, kind: int, content: int) -> int:
        """The root. kind: of message; content: how many bytes follow it. Gives the place that points to the message's own table."""
        return self.table([("h", _V5), ("B", kind), ("I", 0), ("q", content)], at=0)[2]

    def table(self, fields: Sequence[tuple[str, int] | None], *, at: int) -> list[int]:
        """Add a table that `at` points to. fields: (struct's letter, value), by number; None: not there. Gives the place of each."""
        sizes = [struct.calcsize(f"<{field[0]}") if field else 0 for field in fields]
        offsets, end = [0] * len(fields), 4
        for number in sorted(range(len(fields)), key=lambda n: -sizes[n]):  # the largest first, so that each is aligned
            if sizes[number]:
                offsets[number], end = end, end + sizes[number]
        entries = struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), end, *offsets)
        self._fill(len(entries) + 4)
        self._out += entries
        start = self._point(at)
        self._out += struct.pack("<i", len(entries)) + bytes(end - 4)
        for offset, field in zip(offsets, fields, strict=True):
            if field:
                struct.pack_into(f"<{field[0]}", self._out, start + offset, field[1])
        return [start + offset for offset in offsets]

    def vector(self, content: bytes, count: int, *, at: int) -> int:
        """Add a vector that `at` points to. Gives the place of its first element."""
        self._fill(4)
        self._point(at)
        self._out += struct.pack("<I", count) + content
        return len(self._out) - len(content)

    def framed(self) -> bytes:
        """The whole as a message of a stream begins."""
        self._fill(0)
        return _MARK + struct.pack("<i", len(self._out)) + bytes(self._out)

    def _fill(self, ahead: int) -> None:
        """Fill up, so that what comes `ahead` bytes from here is at a multiple of 8."""
        self._out += bytes(-(len(self._out) + ahead) % 8)

    def _point(self, at: int) -> int:
        struct.pack_into("<I", self._out, at, len(self._out) - at)
        return len(self._out)
