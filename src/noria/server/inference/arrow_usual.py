"""The usual Arrow IPC stream, read in the worker itself: flat columns of numbers, truths and text, plain, in one batch.

Nothing here believes the bytes: every place and count is compared with what is there. Whatever is unusual or wrong is None here and goes the long way
(arrow), which names the fault. Writing one is arrow_written. Source: Arrow columnar format, "Serialization and Interprocess Communication";
Message.fbs, Schema.fbs.
"""

import struct
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from noria.server.inference.arrow_guard import BATCH, MOST_FIELDS, SCHEMA, Broken, Table
from noria.server.inference.arrow_reader import MOST_CELLS

MOST_READ_BYTES = 1 << 20
"""A larger table is read by the other process, so that the event loop does not stand still for it."""
_MOST_PLANS, _MOST_PLAN_BYTES = 64, 1 << 16
_V5 = 4
_GOES_ON = -1
_INT, _FLOAT, _UTF8, _BOOL, _LARGE_UTF8, _VIEWS = 2, 3, 5, 6, 20, 24
_INLINE = 12
"""So many bytes of a text lie in its view itself."""
_PRECISIONS = {1: "<f4", 2: "<f8"}
_views = struct.Struct("<i12s")
_place_of = struct.Struct("<4xii").unpack


class _Unusual(Exception):
    """The table has to go the long way."""


class _Column(msgspec.Struct, frozen=True, gc=False):
    """kind: numpy's word for numbers; '?', 'text', 'large text' or 'views' else. buffers: how many it has for certain."""

    name: str
    kind: str
    buffers: int


class _Content(msgspec.Struct, gc=False):
    """One batch: its rows, its bytes, its nodes and buffers as flat lists of (count, gaps) and (offset, size), how many more buffers views have.

    text: bytes of text that may still be read.
    """

    rows: int
    data: memoryview
    nodes: tuple[int, ...]
    buffers: tuple[int, ...]
    more: tuple[int, ...]
    text: int

    def buffer(self, place: int, least: int) -> memoryview:
        """One buffer, of which `least` bytes are needed."""
        offset, size = self.buffers[2 * place : 2 * place + 2]
        if offset < 0 or size < least or offset + size > len(self.data):
            raise _Unusual
        return self.data[offset : offset + size]

    def present(self, column: int, place: int) -> Any:
        """Which rows have a value, as truths; None if all have."""
        gaps = self.nodes[2 * column + 1]
        if not gaps:
            return None
        return _bits(self.buffer(place, (self.rows + 7) // 8), self.rows)


def read_stream(body: bytes) -> dict[str, Any] | None:
    """Column name -> array of numbers or truths, or list of texts with None for what is missing; a missing fraction is NaN. None if it is unusual."""
    if len(body) > MOST_READ_BYTES:
        return None
    try:
        data = memoryview(body)
        start, at, _ = _framed(data, 0)
        plan = _plan(body[start:at])
        start, at, message = _framed(data, at)
        if message.number(1, "<B") != BATCH or message.number(0, "<h") != _V5:
            return None
        end = at + message.number(3, "<q")
        if not at <= end <= len(data) or (end < len(data) and body[end : end + 8] != b"\xff\xff\xff\xff\0\0\0\0"):
            return None
        return _columns(plan, _content(message, data[at:end], len(plan), text=len(body)))
    except (_Unusual, Broken, struct.error, IndexError, ValueError):
        return None


def _framed(data: memoryview, at: int) -> tuple[int, int, Table]:
    """Where a message's description begins and ends, and its table."""
    mark, size = struct.unpack_from("<ii", data, at)
    if mark != _GOES_ON or not 0 < size <= len(data) - at - 8:
        raise _Unusual
    return at + 8, at + 8 + size, Table.root(data[at + 8 : at + 8 + size])


_plans: dict[bytes, list[_Column]] = {}


def _plan(content: bytes) -> list[_Column]:
    """The columns that a schema describes; clients send the same one again and again."""
    plan = _plans.get(content)
    if plan is None:
        message = Table.root(memoryview(content))
        schema = message.table(2)
        if schema is None or message.number(1, "<B") != SCHEMA or message.number(0, "<h") != _V5:
            raise _Unusual
        if message.number(3, "<q") or schema.number(0, "<h"):
            raise _Unusual  # content behind a schema; numbers with the high byte first
        if not 0 < schema.vector(1, 4)[1] <= MOST_FIELDS:
            raise _Unusual
        plan = [_described(field) for field in schema.tables(1)]
        if len({column.name for column in plan}) != len(plan):
            raise _Unusual
        if len(content) <= _MOST_PLAN_BYTES:
            if len(_plans) >= _MOST_PLANS:
                _plans.clear()
            _plans[content] = plan
    return plan


def _described(field: Table) -> _Column:
    start, size = field.vector(0, 1)
    dictionary, children, remarks = field.table(4), field.vector(5, 4)[1], field.vector(6, 4)[1]
    if dictionary is not None or children or remarks:  # remarks may make another type of it
        raise _Unusual
    kind, buffers, said = field.number(2, "<B"), 2, field.table(3)
    if said is None:
        raise _Unusual
    if kind == _INT and (bits := said.number(0, "<i")) in (8, 16, 32, 64):
        word = f"<{'i' if said.number(1, '<B') else 'u'}{bits // 8}"
    elif kind == _FLOAT and (precision := said.number(0, "<h")) in _PRECISIONS:
        word = _PRECISIONS[precision]
    elif kind == _BOOL:
        word = "?"
    elif kind in (_UTF8, _LARGE_UTF8):
        word, buffers = ("text" if kind == _UTF8 else "large text"), 3
    elif kind == _VIEWS:
        word = "views"
    else:
        raise _Unusual
    return _Column(bytes(field.data[start : start + size]).decode(), word, buffers)


def _content(message: Table, data: memoryview, columns: int, *, text: int) -> _Content:
    """What a batch says of itself, as far as the columns need not be known for it."""
    batch = message.table(2)
    if batch is None or batch.table(3) is not None:  # packed
        raise _Unusual
    rows = batch.number(0, "<q")
    if not 0 < rows <= MOST_CELLS // columns:
        raise _Unusual
    start, count = batch.vector(1, 16)
    nodes = struct.unpack_from(f"<{2 * count}q", batch.data, start)
    if count != columns or nodes[::2].count(rows) != columns or min(nodes) < 0 or max(nodes) > rows:
        raise _Unusual
    start, count = batch.vector(2, 16)
    buffers = struct.unpack_from(f"<{2 * count}q", batch.data, start)
    start, count = batch.vector(4, 8)
    return _Content(rows, data, nodes, buffers, struct.unpack_from(f"<{count}q", batch.data, start), text)


def _columns(plan: list[_Column], content: _Content) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    place, more = 0, iter(content.more)
    for number, column in enumerate(plan):
        if column.kind == "views":
            parts = next(more, -1)
            if not 0 <= parts <= len(content.buffers):
                raise _Unusual
            columns[column.name] = _viewed(content, number, place, parts)
            place += parts
        elif column.buffers == 3:
            columns[column.name] = _texts(content, number, place, "<i4" if column.kind == "text" else "<i8")
        else:
            columns[column.name] = _numbers(content, number, place, column.kind)
        place += column.buffers
    if 2 * place != len(content.buffers) or next(more, None) is not None:
        raise _Unusual
    return columns


def _numbers(content: _Content, number: int, place: int, kind: str) -> Any:
    rows, present = content.rows, content.present(number, place)
    if kind == "?":
        if present is not None:
            raise _Unusual
        return _bits(content.buffer(place + 1, (rows + 7) // 8), rows)
    size = int(kind[2]) * rows
    values = np.frombuffer(content.buffer(place + 1, size)[:size], dtype=kind)
    if present is None:
        return values if values.flags.aligned else values.copy()
    if kind[1] != "f":
        raise _Unusual
    return np.where(present, values, values.dtype.type("nan"))


def _texts(content: _Content, number: int, place: int, kind: str) -> list[str | None]:
    """Texts between offsets: cut out of one text where every character is one byte."""
    size = int(kind[2]) * (content.rows + 1)
    offsets = np.frombuffer(content.buffer(place + 1, size)[:size], dtype=kind)
    first, last = int(offsets[0]), int(offsets[-1])
    raw = content.buffer(place + 2, last)
    if first < 0 or (offsets[1:] < offsets[:-1]).any():
        raise _Unusual
    content.text -= last - first
    if content.text < 0:  # several columns of the same bytes
        raise _Unusual
    ends, joined = offsets.tolist(), bytes(raw[:last])
    if joined.isascii():
        whole = joined.decode()
        texts: list[str | None] = [whole[a:b] for a, b in pairwise(ends)]
    else:
        texts = [joined[a:b].decode() for a, b in pairwise(ends)]
    return _with_gaps(texts, content.present(number, place))


def _viewed(content: _Content, number: int, place: int, parts: int) -> list[str | None]:
    """Texts that lie in their views, or where these point to."""
    views = content.buffer(place + 1, 16 * content.rows)[: 16 * content.rows]
    data = [content.buffer(place + 2 + part, 0) for part in range(parts)]
    present = content.present(number, place)
    texts: list[str | None] = []
    for size, rest in _views.iter_unpack(views):
        if size < 0:
            raise _Unusual
        if size <= _INLINE:
            if rest.count(0, size) != _INLINE - size:
                raise _Unusual
            texts.append(rest[:size].decode())
            continue
        part, start = _place_of(rest)
        content.text -= size
        if content.text < 0 or not 0 <= part < parts or not 0 <= start <= len(data[part]) - size:
            raise _Unusual
        text = bytes(data[part][start : start + size])
        if text[:4] != rest[:4]:
            raise _Unusual
        texts.append(text.decode())
    return _with_gaps(texts, present)


def _with_gaps(texts: list[str | None], present: Any) -> list[str | None]:
    if present is None:
        return texts
    return [text if there else None for text, there in zip(texts, present.tolist(), strict=True)]


def _bits(content: memoryview, rows: int) -> Any:
    return np.unpackbits(np.frombuffer(content, np.uint8), count=rows, bitorder="little").view(np.bool_)
