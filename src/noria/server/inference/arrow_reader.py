"""The process that touches tables of strangers: `python -m noria.server.inference.arrow_reader`, one a worker, started with the first table.

The libraries for Parquet and Arrow end their process when bytes claim a terabyte. Here that costs one request; the worker neither ends nor ever
imports them. Talks in msgpack over its pipes, a message each way. Started by arrow.
"""

import io
import struct
import sys
from typing import Any, BinaryIO, Literal

import msgspec

from noria.errors import ExtraMissing, NoriaError, RequestInvalid, RequestTooLarge

Form = Literal["stream", "file", "parquet"]
MOST_CELLS = 4_000_000
MOST_BYTES = 256 << 20
"""Of a table when it is unpacked."""
WORDS: dict[Form, str] = {"stream": "Arrow IPC stream", "file": "Arrow IPC file", "parquet": "Parquet file"}
_LENGTH = struct.Struct("<Q")


class Column(msgspec.Struct, gc=False):
    """dtype '': values is a list; else it is bytes of numbers of this type, in `width` columns."""

    name: str
    dtype: str
    values: Any
    width: int = 1


class Order(msgspec.Struct):
    """What is wanted: the columns of `body`, or, without one, `columns` as bytes."""

    form: Form
    body: bytes | None = None
    columns: list[Column] = []


class Outcome(msgspec.Struct):
    """What came of it. problem: '' if all went well; kind: which error it is."""

    body: bytes = b""
    columns: list[Column] = []
    kind: str = ""
    problem: str = ""
    cause: str = ""
    remedy: str = ""


KINDS: dict[str, type[NoriaError]] = {kind.__name__: kind for kind in (RequestInvalid, RequestTooLarge, ExtraMissing)}


def send(pipe: BinaryIO, message: Order | Outcome) -> None:
    """One message."""
    content = msgspec.msgpack.encode(message)
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def receive(pipe: BinaryIO) -> bytes | None:
    """One message, None when the other side is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    content = pipe.read(_LENGTH.unpack(head)[0])
    return content if len(content) == _LENGTH.unpack(head)[0] else None


def main() -> None:
    """Answer until the worker is gone."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (message := receive(sys.stdin.buffer)) is not None:
        try:
            outcome = fulfil(msgspec.msgpack.decode(message, type=Order))
        except NoriaError as error:
            outcome = Outcome(kind=type(error).__name__, problem=error.problem, cause=error.cause, remedy=error.remedy)
        send(sys.stdout.buffer, outcome)


def fulfil(order: Order) -> Outcome:
    """Read or write one table. Raises RequestInvalid, RequestTooLarge, ExtraMissing."""
    try:
        import polars as pl
    except ModuleNotFoundError as exc:
        raise missing() from exc
    if order.body is None:
        return Outcome(body=_written(pl, order))
    try:
        frame = _read(pl, order.form, order.body)
        if frame.width * frame.height > MOST_CELLS or frame.estimated_size() > MOST_BYTES:
            raise too_large()
        return Outcome(columns=[_column(pl, frame[name]) for name in frame.columns])
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        OSError,
        ValueError,
        TypeError,
        MemoryError,
    ) as exc:
        raise RequestInvalid(f"the request is no {WORDS[order.form]}", cause=str(exc).partition("\n")[0][:200]) from exc


def missing() -> ExtraMissing:
    """The error where the library is not installed."""
    return ExtraMissing("tables need the package 'polars'", remedy="pip install 'noria[data]', or send JSON")


def too_large() -> RequestTooLarge:
    """The error for a table that is more than a request should be."""
    return RequestTooLarge(
        f"the table has more than {MOST_CELLS:,} values or {MOST_BYTES >> 20} MB when it is unpacked",
        remedy="send fewer rows a request",
    )


def _read(pl: Any, form: Form, body: bytes) -> Any:
    if form == "stream":
        return pl.read_ipc_stream(io.BytesIO(body))
    if form == "file":
        return pl.read_ipc(io.BytesIO(body))
    lazy = pl.scan_parquet(io.BytesIO(body))
    if lazy.select(pl.len()).collect().item() * len(lazy.collect_schema()) > MOST_CELLS:
        raise too_large()
    return pl.read_parquet(io.BytesIO(body))


def _column(pl: Any, series: Any) -> Column:
    """Numbers and booleans without gaps as bytes, everything else as a list with None for what is missing."""
    dtype = series.dtype
    if dtype.is_float():
        series = series.fill_null(float("nan"))
    if (dtype.is_integer() or dtype.is_float() or dtype == pl.Boolean) and not series.null_count():
        array = series.to_numpy()
        if array.dtype.itemsize <= 8 and array.dtype.kind in "biuf":
            return Column(series.name, array.dtype.newbyteorder("<").str, array.tobytes())
    return Column(series.name, "", [_sayable(value) for value in series.to_list()])


def _sayable(value: Any) -> Any:
    """What a message has no type for (a date, a decimal) is its own text in angle brackets, which no column takes for a value."""
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else float(value)
    if isinstance(value, list):
        return [_sayable(one) for one in value]
    return {"type": type(value).__name__}


def _written(pl: Any, order: Order) -> bytes:
    import numpy as np

    columns: dict[str, Any] = {}
    for column in order.columns:
        values = column.values
        if column.dtype:
            values = np.frombuffer(values, dtype=column.dtype)
            values = values if column.width == 1 else values.reshape(-1, column.width)
        columns[column.name] = values
    frame, out = pl.DataFrame(columns), io.BytesIO()
    write = frame.write_ipc_stream if order.form == "stream" else frame.write_ipc
    write(out, compat_level=pl.CompatLevel.oldest())
    return out.getvalue()


if __name__ == "__main__":
    main()
