"""Tables as bytes (Arrow IPC stream and file, Parquet) as the columns of a signature, and answers as Arrow. Polars is imported when one arrives.

Reading trusts no count that the bytes claim: arrow_guard measures them first. Called by the codecs that take tables.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from noria.domain.model import Field
from noria.domain.prediction import Scalar
from noria.errors import ExtraMissing, RequestInvalid, RequestTooLarge
from noria.server.inference.answering import Read
from noria.server.inference.arrow_guard import check_ipc
from noria.serving.columns import DTYPES, array_of, to_lists
from noria.serving.live import Served

Form = Literal["stream", "file", "parquet"]
MOST_CELLS = 4_000_000
MOST_BYTES = 256 << 20
"""Of a table when it is unpacked."""


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


def read_table(body: bytes, form: Form) -> dict[str, Any]:
    """A table's columns. Raises RequestInvalid, RequestTooLarge, ExtraMissing without polars."""
    pl = require_polars()
    if form != "parquet":
        check_ipc(body, form, most_bytes=MOST_BYTES)
    try:
        if form == "parquet":
            _measure(pl, body)
            frame = pl.read_parquet(io.BytesIO(body))
        elif form == "stream":
            frame = pl.read_ipc_stream(io.BytesIO(body))
        else:
            frame = pl.read_ipc(io.BytesIO(body))
        if frame.width * frame.height > MOST_CELLS or frame.estimated_size() > MOST_BYTES:
            raise _too_large()
        return {name: _plain(pl, frame[name]) for name in frame.columns}
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, MemoryError) as exc:
        raise RequestInvalid(f"the request is no {_WORDS[form]}", cause=_first_line(exc)) from exc


def write_table(columns: Mapping[str, Any], form: Literal["stream", "file"]) -> bytes:
    """Columns (lists or arrays of one length) as Arrow."""
    frame = require_polars().DataFrame(dict(columns))
    out = io.BytesIO()
    if form == "stream":
        frame.write_ipc_stream(out, compat_level=require_polars().CompatLevel.oldest())
    else:
        frame.write_ipc(out, compat_level=require_polars().CompatLevel.oldest())
    return out.getvalue()


_WORDS: dict[Form, str] = {"stream": "Arrow IPC stream", "file": "Arrow IPC file", "parquet": "Parquet file"}


def require_polars() -> Any:
    """The package that reads and writes tables. Raises ExtraMissing."""
    try:
        import polars
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            "tables need the package 'polars'", remedy="pip install 'noria[data]', or send JSON"
        ) from exc
    return polars


def _measure(pl: Any, body: bytes) -> None:
    """Refuse a Parquet file by what its footer says, before it is unpacked."""
    lazy = pl.scan_parquet(io.BytesIO(body))
    rows, width = lazy.select(pl.len()).collect().item(), len(lazy.collect_schema())
    if rows * width > MOST_CELLS:
        raise _too_large()


def _plain(pl: Any, series: Any) -> Any:
    """Numbers and booleans without gaps as arrays, everything else as a list with None for what is missing."""
    if series.dtype.is_numeric() and not series.dtype.is_decimal():
        if not series.null_count():
            return series.to_numpy()
        if series.dtype.is_float():
            return series.fill_null(float("nan")).to_numpy()
    elif series.dtype == pl.Boolean and not series.null_count():
        return series.to_numpy()
    return series.to_list()


def _column(values: Any, field: Field) -> Any:
    """A column in the signature's type. Whole numbers become floats where the model takes those; no other type becomes another."""
    if field.width > 1:
        return _wide(values, field)
    if isinstance(values, list):
        return array_of(values, field)
    kind = values.dtype.kind
    if field.datatype in ("FP32", "FP64") and kind in "fiu":
        with np.errstate(over="ignore"):
            return values.astype(DTYPES[field.datatype], copy=False)
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


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(
        f"the table has more than {MOST_CELLS:,} values or {MOST_BYTES >> 20} MB when it is unpacked",
        remedy="send fewer rows a request",
    )


def _first_line(exc: BaseException) -> str:
    return str(exc).partition("\n")[0][:200]
