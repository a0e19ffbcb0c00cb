"""Batches of records as bytes, column by column, and back. A column of numbers may be packed: a letter, then its values side by side, little-endian.

Imports msgspec and the standard library only: a worker packs. Files are journal.py's business; tables columns.py's.
"""

import struct
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec

from noria.domain.prediction import Column, PredictionRecord
from noria.errors import InputInvalid

SCALARS = {str, int, float, bool, type(None)}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONG = 64
PACKED = "dfq?"
"""Formats of memory that are packed as they stand: float64, float32, int64, truths."""


class Block(msgspec.Struct, array_like=True):
    """Records of one batch that share everything but their rows. Columns run over the rows of all its records.

    inputs, outputs: names; columns: one each, inputs first. Per record: place (in the batch), request, rows, at (us since 1970), latency, keys.
    """

    variant: str
    model: str
    number: int
    bundle: str
    generation: int
    protocol: str
    rollout: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    columns: list[Any]
    place: list[int]
    request: list[str]
    rows: list[int]
    at: list[int]
    latency: list[int]
    keys: list[list[str] | None]
    sampled: float = 1.0
    redacted: tuple[str, ...] = ()
    weight: float | None = None
    asked: bool = False
    error: str = ""


class Batch(msgspec.Struct, array_like=True):
    """One frame. written: when, by this machine's clock, in ns since 1970; it orders batches of different writers."""

    written: int
    blocks: list[Block]


def pack(records: Sequence[PredictionRecord], *, deployment: str) -> bytes:
    """A batch as the body of a frame. Raises InputInvalid, naming the record."""
    blocks: dict[tuple[Any, ...], Block] = {}
    for place, record in enumerate(records):
        inputs, outputs = tuple(record.inputs), tuple(record.outputs)
        values = [*record.inputs.values(), *record.outputs.values()]
        _check(record, values, deployment)
        kind = kind_of(record)
        forms = tuple([v.format if type(v) is memoryview else "" for v in values]) if record.rows > 1 else ()
        block = blocks.get((*kind, inputs, outputs, forms))
        if block is None:
            block = blocks[*kind, inputs, outputs, forms] = _begun(record, inputs, outputs)
        if forms:
            for column, given in zip(block.columns, values, strict=True):
                column.append(given)
        else:
            for column, given in zip(block.columns, values, strict=True):
                column += given
        block.place.append(place)
        block.request.append(record.request_id)
        block.rows.append(record.rows)
        block.at.append(microseconds(record.at))
        block.latency.append(record.latency_us)
        block.keys.append(record.keys)
    try:
        for key, block in blocks.items():
            if key[-1]:
                block.columns = [_joined(parts, form) for parts, form in zip(block.columns, key[-1], strict=True)]
            lists = [column for column in block.columns if type(column) is list and not _is_text(column)]
            if odd := set(map(type, chain.from_iterable(lists))) - SCALARS:
                raise TypeError(f"it is of type {odd.pop().__name__!r}")
        return msgspec.msgpack.encode(Batch(time.time_ns(), list(blocks.values())))
    except (TypeError, OverflowError, ValueError) as exc:
        raise InputInvalid(
            "a prediction record has a value that cannot be kept",
            cause=str(exc),
            remedy="use text, whole numbers below 2**64, floats, booleans and None",
        ) from exc


def unpack(body: bytes) -> Batch:
    """A batch with plain lists. Raises msgspec.MsgspecError, ValueError for what `pack` did not write."""
    batch = msgspec.msgpack.decode(body, type=Batch)
    for block in batch.blocks:
        block.columns = [_listed(column) for column in block.columns]
    return batch


def kind_of(record: PredictionRecord | Block) -> tuple[Any, ...]:
    """What the records of a block have in common, beside the names of their columns."""
    return (
        record.variant,
        record.model,
        record.number,
        record.bundle,
        record.generation,
        record.protocol,
        record.rollout,
        record.sampled,
        record.redacted,
        record.weight,
        record.asked,
        record.error,
    )


def records_in(block: Block) -> Iterator[tuple[int, str, int]]:
    """Place, request and number of rows of each record of a block."""
    return zip(block.place, block.request, block.rows, strict=True)


def without(batch: Batch, repeated: set[tuple[int, int]]) -> Batch:
    """The batch without those of its records, each as (written of the batch, place)."""
    if not any((batch.written, place) in repeated for block in batch.blocks for place in block.place):
        return batch
    return Batch(batch.written, [_pruned(block, batch.written, repeated) for block in batch.blocks])


def microseconds(at: datetime) -> int:
    """Whole microseconds since 1970. Raises InputInvalid for a time without a zone.

    >>> microseconds(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    try:
        passed = at - EPOCH
    except TypeError as exc:
        raise InputInvalid(f"{at} has no time zone", remedy="use aware datetimes: datetime.now(UTC)") from exc
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _begun(record: PredictionRecord, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Block:
    """A block without rows, for records like this one."""
    return Block(
        variant=record.variant,
        model=record.model,
        number=record.number,
        bundle=record.bundle,
        generation=record.generation,
        protocol=record.protocol,
        rollout=record.rollout,
        inputs=inputs,
        outputs=outputs,
        columns=[[] for _ in (*inputs, *outputs)],
        place=[],
        request=[],
        rows=[],
        at=[],
        latency=[],
        keys=[],
        sampled=record.sampled,
        redacted=record.redacted,
        weight=record.weight,
        asked=record.asked,
        error=record.error,
    )


def _joined(parts: list[Any], form: str) -> list[Any] | bytes:
    """One column of several records, end to end."""
    if form not in PACKED or not form or sys.byteorder != "little":
        return list(chain.from_iterable(parts))
    return b"".join([form.encode(), *parts])


def _is_text(column: list[Any]) -> bool:
    """Whether every value is a text; joining them is four times as fast as asking each for its type."""
    if len(column) < LONG or type(column[0]) is not str:
        return False
    try:
        "".join(column)
    except TypeError:
        return False
    return True


def _listed(column: Any) -> list[Any]:
    if not isinstance(column, bytes):
        if not isinstance(column, list):
            raise ValueError(f"a column is a {type(column).__name__}")
        return column
    form, size = chr(column[0]) if column else "", len(column) - 1
    if form not in PACKED or not form or size % struct.calcsize(f"<{form}"):
        raise ValueError(f"a packed column begins with {column[:1]!r} and has {size} bytes")
    return list(struct.unpack_from(f"<{size // struct.calcsize(f'<{form}')}{form}", column, 1))


def _check(record: PredictionRecord, values: list[Column], deployment: str) -> None:
    if record.deployment != deployment:
        raise InputInvalid(
            f"request {record.request_id!r} belongs to deployment {record.deployment!r}, this is the log of {deployment!r}"
        )
    if {*map(len, values), record.rows} != {record.rows} or (
        record.keys is not None and len(record.keys) != record.rows
    ):
        raise InputInvalid(
            f"request {record.request_id!r} says {record.rows} rows, and not all of its columns have as many",
            remedy="give each input, each output and the keys one value a row",
        )


def _pruned(block: Block, written: int, repeated: set[tuple[int, int]]) -> Block:
    keep = [(written, place) not in repeated for place in block.place]
    rows = [kept for kept, count in zip(keep, block.rows, strict=True) for _ in range(count)]
    return msgspec.structs.replace(
        block,
        columns=[_chosen(column, rows) for column in block.columns],
        **{name: _chosen(getattr(block, name), keep) for name in ("place", "request", "rows", "at", "latency", "keys")},
    )


def _chosen(values: list[Any], keep: list[bool]) -> list[Any]:
    return [value for value, kept in zip(values, keep, strict=True) if kept]
