"""Tables as bytes (Arrow IPC stream and file, Parquet) as the columns of a signature, and answers as Arrow.

A process of its own reads them (arrow_reader), so that bytes that kill a reader kill no worker; arrow_guard measures Arrow's before. Called by the
codecs that take tables.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from threading import Lock, Timer
from typing import Any, Literal, cast

import msgspec
import numpy as np

from noria.domain.model import Field
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
        lists = to_lists(columns, present)
        return Read(columns, [(list(lists), list(lists.values()))])


async def ask_table(body: bytes, form: Form, *, protocol: str, note: Any = None) -> ArrowQuestion:
    """A request that is a table. Raises RequestInvalid, RequestTooLarge, ExtraMissing without polars."""
    if form != "parquet":
        check_ipc(body, form, most_bytes=MOST_BYTES)
    outcome = await asyncio.to_thread(_READER.exchange, Order(form, body))
    return ArrowQuestion({c.name: _unpacked(c) for c in outcome.columns}, protocol=protocol, note=note)


async def write_table(columns: Mapping[str, Any], form: Literal["stream", "file"]) -> bytes:
    """Columns (lists, or arrays of numbers) as Arrow. Raises ExtraMissing without polars."""
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
    if find_spec("polars") is None:
        raise missing()


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
