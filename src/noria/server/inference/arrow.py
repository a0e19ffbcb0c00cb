"""Tables as bytes (Arrow IPC stream and file, Parquet) as the columns of a signature, and answers as Arrow.

The usual stream is read and written here (arrow_usual, arrow_written). For all else there is a process of its own (arrow_reader), so that bytes that
kill a reader kill no worker; arrow_guard measures Arrow's before. Called by the codecs that take tables.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Coroutine, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from threading import Lock, Timer
from typing import Any, Literal, cast

import msgspec
import numpy as np

from noria.domain.model import Field, FieldType
from noria.domain.prediction import Scalar
from noria.errors import RequestInvalid
from noria.server.inference.answering import Read
from noria.server.inference.arrow_guard import check_ipc
from noria.server.inference.arrow_reader import (
    KINDS,
    MOST_BYTES,
    WORDS,
    Column,
    Form,
    Order,
    Outcome,
    missing,
    receive,
    send,
)
from noria.server.inference.arrow_usual import read_stream
from noria.server.inference.arrow_written import write_stream
from noria.serving.columns import array_of, to_lists, typed
from noria.serving.live import Served

log = logging.getLogger(__name__)

READ_S = 20.0
"""How long a table may take."""
_outcome = msgspec.msgpack.Decoder(Outcome)


class ArrowQuestion:
    """A request that is a table (see answering.Question). note: what the codec wants to remember until it answers."""

    __slots__ = ("_table", "note", "protocol")

    def __init__(self, table: Mapping[str, Any], *, protocol: str, note: Any = None) -> None:
        """table: column name -> array, or list for what numpy has no type for."""
        self._table, self.protocol, self.note = table, protocol, note

    @property
    def keys(self) -> list[str] | None:
        """See Question. A table has columns for the model only."""
        return None

    def first(self, column: str) -> str | None:
        """See Question."""
        values = self._table.get(column)
        if values is None or not len(values):
            return None
        value = values[0] if isinstance(values, list) else values[:1].tolist()[0]
        return None if value is None or value != value else str(value)  # noqa: PLR0124

    def columns(self, served: Served) -> Read:
        """See Question."""
        fields = {f.name: f for f in served.signature.inputs}
        columns = {
            name: _column(values, fields[name]) if name in fields else values for name, values in self._table.items()
        }
        present = [f for f in served.signature.inputs if f.name in columns]
        blocks, complete = _recorded(columns, present)
        return Read(columns, blocks, known_good=complete and len(present) == len(fields) == len(columns))


def ask_table(
    body: bytes, form: Form, *, protocol: str, note: Any = None
) -> ArrowQuestion | Coroutine[Any, Any, ArrowQuestion]:
    """A request that is a table; a coroutine where the other process reads it.

    Raises RequestInvalid, RequestTooLarge, ExtraMissing without polars, at once or when it is awaited.
    """
    table = read_stream(body) if form == "stream" else None
    if table is not None:
        return ArrowQuestion(table, protocol=protocol, note=note)
    return _asked_apart(body, form, protocol=protocol, note=note)


async def _asked_apart(body: bytes, form: Form, *, protocol: str, note: Any) -> ArrowQuestion:
    if form != "parquet":
        check_ipc(body, form, most_bytes=MOST_BYTES)
    outcome = await asyncio.to_thread(_READER.exchange, Order(form, body))
    return ArrowQuestion({c.name: _unpacked(c) for c in outcome.columns}, protocol=protocol, note=note)


async def write_table(columns: Mapping[str, Any], form: Literal["stream", "file"]) -> bytes:
    """Columns (lists, or arrays of numbers) as Arrow. Raises ExtraMissing without polars."""
    content = write_stream(columns) if form == "stream" else None
    if content is not None:
        return content
    packed = [
        Column(name, "", values)
        if isinstance(values, list)
        else Column(
            name, values.dtype.newbyteorder("<").str, values.tobytes(), 1 if values.ndim == 1 else values.shape[1]
        )
        for name, values in columns.items()
    ]
    return (await asyncio.to_thread(_READER.exchange, Order(form, columns=packed))).body


def require_polars() -> None:
    """Whether tables can be read and written here, without importing what does. Raises ExtraMissing."""
    if not _has_polars():
        raise missing()


@cache
def _has_polars() -> bool:
    """Asked once: looking through all folders costs more than reading a table."""
    return find_spec("polars") is not None


class _Reader:
    """The one process that reads tables for this one; started when needed, and again when it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def exchange(self, order: Order) -> Outcome:
        """Have one table read or written; waits. Raises what arrow_reader raises, and RequestInvalid for a table that ended the process."""
        with self._lock:
            process = self._running()
            timer = Timer(READ_S, process.kill)
            timer.daemon = True
            timer.start()
            try:
                send(cast(Any, process.stdin), order)
                content = receive(cast(Any, process.stdout))
            except BrokenPipeError:
                content = None
            finally:
                timer.cancel()
            if content is None:
                log.warning("a table ended the process that read it (%s)", self._end(process))
                raise RequestInvalid(f"the request is no {WORDS[order.form]}", cause="it could not be read to its end")
        outcome = _outcome.decode(content)
        if outcome.kind:
            raise KINDS[outcome.kind](outcome.problem, cause=outcome.cause, remedy=outcome.remedy)
        return outcome

    def close(self) -> None:
        """End the process; the next table starts another."""
        with self._lock:
            if self._process is not None:
                self._end(self._process)

    def _end(self, process: "subprocess.Popen[bytes]") -> int:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process = None
        return process.wait()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is not None:
            self._end(self._process)
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "noria.server.inference.arrow_reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "POLARS_MAX_THREADS": "1", "RUST_BACKTRACE": "0"},
                start_new_session=True,
            )
        return self._process


_READER = _Reader()
atexit.register(_READER.close)


def _unpacked(column: Column) -> Any:
    return np.frombuffer(column.values, dtype=column.dtype) if column.dtype else column.values


def _recorded(columns: dict[str, Any], fields: Sequence[Field]) -> tuple[list[tuple[list[str], Any]], bool]:
    """The columns as they are recorded (see Read), and whether they are whole: a row, one value in each, and none missing.

    Numbers of one type become one block of memory, which the columns then lie in.
    """
    groups: dict[FieldType, list[Field]] = {}
    for field in fields:
        groups.setdefault(field.datatype, []).append(field)
    blocks: list[tuple[list[str], Any]] = []
    complete = bool(fields) and len(columns[fields[0].name]) > 0
    for datatype, members in groups.items():
        names = [field.name for field in members]
        if complete and datatype != "BYTES" and all(field.width == 1 for field in members):
            block: Any = np.array([columns[name] for name in names])
            if datatype not in ("FP32", "FP64") or not np.isnan(block).any():
                columns.update(zip(names, block, strict=True))
                blocks.append((names, block))
                continue
        lists = to_lists(columns, members)
        blocks.append((list(lists), list(lists.values())))
        complete = complete and datatype == "BYTES" and not any(None in values for values in lists.values())
    return blocks, complete


def _column(values: Any, field: Field) -> Any:
    """A column in the signature's type. Whole numbers become floats where the model takes those; no other type becomes another."""
    if field.width > 1:
        return _wide(values, field)
    if isinstance(values, list):
        return array_of(values, field)
    kind = values.dtype.kind
    if field.datatype in ("FP32", "FP64") and kind in "fiu":
        return typed(values, field)
    fits = kind == "i" or (kind == "u" and (values.dtype.itemsize < 8 or not len(values) or values.max() < 1 << 63))
    if field.datatype == "INT64" and fits:
        return values.astype(np.int64, copy=False)
    if field.datatype == "BOOL" and kind == "b":
        return values
    return array_of(values.tolist(), field)


def _wide(values: Sequence[Any], field: Field) -> Any:
    for row, value in enumerate(values):
        if not isinstance(value, list) or len(value) != field.width:
            raise RequestInvalid(
                f"column {field.name!r} does not hold lists of {field.width} in row {row}",
                cause=f"the model takes {field.width} values a row there",
            )
    parts: list[Sequence[Scalar]] = [[value[i] for value in values] for i in range(field.width)]
    return np.column_stack([array_of(part, field) for part in parts])
