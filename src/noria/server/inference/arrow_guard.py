"""Measure Arrow IPC bytes before a reader unpacks them: every message, block and buffer lies within them, and nothing claims more than is allowed.

A reader believes counts and nests as deep as it is told; a request must not make it ask for a terabyte. Source: Arrow columnar format, "Serialization
and Interprocess Communication", Message.fbs, File.fbs, Schema.fbs. Called by arrow.
"""

import struct
from collections.abc import Iterator
from typing import Literal

from noria.errors import RequestInvalid, RequestTooLarge

MAGIC = b"ARROW1"
MOST_ROWS = 4_000_000
MOST_FIELDS = 10_000
MOST_DEPTH = 8
SCHEMA, DICTIONARY, BATCH = 1, 2, 3


def check_ipc(body: bytes, form: Literal["stream", "file"], *, most_bytes: int) -> None:
    """Raises RequestInvalid for bytes that contradict themselves, RequestTooLarge for a table of more than `most_bytes` when it is unpacked."""
    try:
        left = most_bytes
        for message, content in _blocks(body) if form == "file" else _stream(body):
            left -= _message(message, content)
            if left < 0:
                raise RequestTooLarge(
                    f"the table has more than {most_bytes >> 20} MB when it is unpacked",
                    remedy="send fewer rows a request",
                )
    except (struct.error, IndexError, Broken) as exc:
        raise RequestInvalid(f"the request is no Arrow IPC {form}", cause=str(exc)) from exc


class Broken(ValueError):
    """The bytes contradict themselves."""


class Table:
    """A flatbuffers table: fields by number, read with every offset checked against the bytes."""

    def __init__(self, data: memoryview, at: int) -> None:
        self.data, self.at = data, at
        self._entries = at - _read("<i", data, at)
        self._size = _read("<H", data, self._entries)
        if self._size < 4 or self._size % 2 or self._entries + self._size > len(data):
            raise Broken("a table's list of fields is torn")

    @classmethod
    def root(cls, data: memoryview) -> "Table":
        return cls(data, _read("<I", data, 0))

    def _place(self, number: int) -> int:
        entry = 4 + 2 * number
        offset = _read("<H", self.data, self._entries + entry) if entry + 2 <= self._size else 0
        return self.at + offset if offset else 0

    def number(self, number: int, kind: str) -> int:
        place = self._place(number)
        return _read(kind, self.data, place) if place else 0

    def table(self, number: int) -> "Table | None":
        place = self._place(number)
        return Table(self.data, place + _read("<I", self.data, place)) if place else None

    def vector(self, number: int, size: int) -> tuple[int, int]:
        """Where a vector's elements begin, and how many of `size` bytes there are."""
        place = self._place(number)
        if not place:
            return 0, 0
        start = place + _read("<I", self.data, place)
        count = _read("<I", self.data, start)
        if start + 4 + count * size > len(self.data):
            raise Broken("a list goes on beyond the end")
        return start + 4, count

    def tables(self, number: int) -> "Iterator[Table]":
        start, count = self.vector(number, 4)
        for place in range(start, start + 4 * count, 4):
            yield Table(self.data, place + _read("<I", self.data, place))


def _read(kind: str, data: memoryview, at: int) -> int:
    if at < 0:
        raise Broken("an offset points before the beginning")
    value: int = struct.unpack_from(kind, data, at)[0]
    return value


def _stream(body: bytes) -> Iterator[tuple[Table, memoryview]]:
    """Each message's table and content, as they follow each other."""
    data, at = memoryview(body), 0
    if len(body) < 8:
        raise Broken("it is too short")
    while at + 4 <= len(data):
        message, content, at = _at(data, at)
        if message is None:
            return
        yield message, content


def _blocks(body: bytes) -> Iterator[tuple[Table, memoryview]]:
    """The messages that a file's footer lists."""
    data = memoryview(body)
    if not (body.startswith(MAGIC) and body.endswith(MAGIC)) or len(body) < 18:
        raise Broken("it does not begin and end with ARROW1")
    size = _read("<i", data, len(data) - 10)
    if not 0 < size <= len(data) - 18:
        raise Broken("its footer is larger than itself")
    footer = Table.root(data[len(data) - 10 - size : len(data) - 10])
    schema = footer.table(1)
    if schema is None:
        raise Broken("its footer has no schema")
    _schema(schema)
    for number in (2, 3):
        start, count = footer.vector(number, 24)
        for place in range(start, start + 24 * count, 24):
            offset, length, claimed = struct.unpack_from("<qi4xq", footer.data, place)
            if offset < 8 or length < 0 or claimed < 0 or offset + length + claimed > len(data):
                raise Broken("a block lies outside of the file")
            message, content, _ = _at(data, offset)
            if message is None:
                raise Broken("a block is empty")
            yield message, content


def _at(data: memoryview, at: int) -> tuple[Table | None, memoryview, int]:
    """A message, its content, and where the next one begins; None at the end mark."""
    size = _read("<i", data, at)
    at += 4
    if size == -1:
        size = _read("<i", data, at)
        at += 4
    if size == 0:
        return None, data[:0], at
    if size < 0 or at + size > len(data):
        raise Broken("a message goes on beyond the end")
    message = Table.root(data[at : at + size])
    length = message.number(3, "<q")
    at += size
    if length < 0 or at + length > len(data):
        raise Broken("a message's content goes on beyond the end")
    return message, data[at : at + length], at + length


def _message(message: Table, content: memoryview) -> int:
    """Check one message; how many bytes it holds unpacked."""
    kind, header = message.number(1, "<B"), message.table(2)
    if header is None:
        raise Broken("a message has no header")
    if kind == SCHEMA:
        _schema(header)
        return 0
    batch = header.table(1) if kind == DICTIONARY else header if kind == BATCH else None
    return 0 if batch is None else _batch(batch, content)


def _batch(batch: Table, content: memoryview) -> int:
    if not 0 <= batch.number(0, "<q") <= MOST_ROWS:
        raise Broken("it claims an impossible number of rows")
    start, count = batch.vector(1, 16)
    for place in range(start, start + 16 * count, 16):
        rows, missing = struct.unpack_from("<qq", batch.data, place)
        if not 0 <= missing <= rows <= MOST_ROWS:
            raise Broken("a column claims an impossible number of rows")
    packed, total = batch.table(3) is not None, 0
    start, count = batch.vector(2, 16)
    for place in range(start, start + 16 * count, 16):
        offset, size = struct.unpack_from("<qq", batch.data, place)
        if offset < 0 or size < 0 or offset + size > len(content):
            raise Broken("a column's bytes lie outside of its message")
        plain = _read("<q", content, offset) if packed and size else size
        total += size if plain == -1 else plain
        if plain < -1:
            raise Broken("a packed column claims less than nothing")
    start, count = batch.vector(4, 8)
    if any(not 0 <= _read("<q", batch.data, place) <= MOST_FIELDS for place in range(start, start + 8 * count, 8)):
        raise Broken("a column claims an impossible number of parts")
    return total


def _schema(schema: Table) -> None:
    """No more fields, and no deeper, than a table for a model has."""
    waiting = [(field, 1) for field in schema.tables(1)]
    seen = 0
    while waiting:
        field, depth = waiting.pop()
        seen += 1
        if seen > MOST_FIELDS or depth > MOST_DEPTH:
            raise Broken("its schema has too many fields, or nests them too deep")
        waiting.extend((child, depth + 1) for child in field.tables(5))
