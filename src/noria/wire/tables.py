"""The canonical form of a table: one digest a column, one for the whole, whatever the chunks, the file format or the library.

Checking and changing tables is data/; keeping them is adapters/tables/. Called by both, which is why it lives below them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import polars as pl
from blake3 import blake3

from noria.domain.arrow import ArrowTable
from noria.domain.dataset import DataType, Schema
from noria.domain.ids import Digest, digest_of
from noria.errors import SchemaMismatch
from noria.wire.canonical import canonical

POLARS_TYPES: Mapping[DataType, pl.DataType] = {
    "bool": pl.Boolean(),
    "int64": pl.Int64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "datetime": pl.Datetime("us", "UTC"),
    "date": pl.Date(),
}
"""How each data type of a Schema is held in memory. Times are UTC, in microseconds."""

_PIECE = 1 << 20
"""Texts are joined this many rows at a time, so that hashing a long column does not double its memory."""


def open_table(table: ArrowTable) -> pl.DataFrame:
    """See an Arrow table as a polars frame, without a copy where the layout allows it."""
    return table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)


def column_digest(column: pl.Series) -> Digest:
    """Address the values of one column, in order.

    Two columns of one type share a digest when they are null at the same rows and equal bit for bit elsewhere; all NaN count as
    the same one, 0.0 and -0.0 do not. The type must be one of POLARS_TYPES, else KeyError.

    >>> column_digest(pl.Series([1, None, 3])) == column_digest(pl.concat([pl.Series([1, None]), pl.Series([3])]))
    True
    """
    kind = _KINDS[column.dtype]
    rows, nulls = len(column), column.null_count()
    state = blake3(f"noria-column-1 {kind} {rows} {nulls}\n".encode())
    if nulls:
        state.update(np.packbits(column.is_not_null().to_numpy(), bitorder="little").data)
    if kind == "string":
        _update_text(state, column.fill_null("") if nulls else column)
    else:
        state.update(_canonical_numbers(column, kind, has_nulls=bool(nulls)).data)
    return Digest("blake3:" + state.hexdigest())


def column_digests(frame: pl.DataFrame) -> dict[str, Digest]:
    """The digest of each column, by name."""
    return {column.name: column_digest(column) for column in frame.get_columns()}


def table_digest(schema: Schema, rows: int, columns: Mapping[str, Digest]) -> Digest:
    """Address a whole table by its schema, its length and the digests of its columns in the schema's order.

    Because columns have their own digests, reading some of them verifies exactly those.
    """
    document = {
        "format": "noria-table-1",
        "rows": rows,
        "schema": _without_defaults(schema),
        "columns": [[name, columns[name]] for name in schema.names()],
    }
    return digest_of(canonical(document))


def content_digest(frame: pl.DataFrame, schema: Schema) -> Digest:
    """The digest that a table store gives to this frame under this schema."""
    return table_digest(schema, frame.height, column_digests(frame.select(schema.names())))


def require_schema(frame: pl.DataFrame, schema: Schema) -> None:
    """Refuse a frame whose columns, their types or their nulls are not those of the schema. Raises SchemaMismatch with every difference."""
    have = frame.schema
    problems = [f"column {name!r} is missing" for name in schema.names() if name not in have]
    problems += [f"column {name!r} is not in the schema" for name in have if name not in schema.names()]
    for column in schema.columns:
        held = have.get(column.name)
        if held is None:
            continue
        if held != POLARS_TYPES[column.dtype]:
            problems.append(f"column {column.name!r} is {held}, the schema says {column.dtype}")
        elif not column.nullable and (nulls := frame.get_column(column.name).null_count()):
            problems.append(f"column {column.name!r} has {nulls} nulls and may have none")
    if problems:
        raise SchemaMismatch(
            f"the table does not follow its schema: {'; '.join(problems)}",
            cause="a table store keeps a table only in the exact types of its schema",
            remedy="call noria.data.schema.conform(frame, schema) first",
        )


def time_range(frame: pl.DataFrame, schema: Schema) -> tuple[Any, Any]:
    """First and last moment in the schema's time column as aware datetimes; (None, None) if there is no such column or no value."""
    if schema.time_column is None:
        return None, None
    column = frame.get_column(schema.time_column)
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if not isinstance(column.dtype, pl.Datetime):
        raise SchemaMismatch(
            f"time column {schema.time_column!r} is {column.dtype}",
            cause="the column that orders the rows must hold times",
            remedy="name a column of type 'datetime' or 'date' as time_column",
        )
    return column.min(), column.max()


_KINDS: dict[pl.DataType, DataType] = {held: kind for kind, held in POLARS_TYPES.items()}


def _canonical_numbers(column: pl.Series, kind: DataType, *, has_nulls: bool) -> np.ndarray[Any, Any]:
    """Little-endian values; nulls are zeros, every NaN has the same payload, truth values are packed eight to a byte."""
    if kind == "bool":
        filled = column.fill_null(False) if has_nulls else column
        return np.packbits(filled.to_numpy(), bitorder="little")
    physical = column.to_physical()
    values = (physical.fill_null(0) if has_nulls else physical).to_numpy()
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        if missing.any():
            values = values.copy()
            values[missing] = np.nan
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).view(np.uint8)


def _update_text(state: blake3, column: pl.Series) -> None:
    """Lengths in bytes first (so that 'ab','c' is not 'a','bc'), then all texts in UTF-8."""
    lengths = column.str.len_bytes().to_numpy().astype("<u4", copy=False)
    state.update(np.ascontiguousarray(lengths).view(np.uint8).data)
    for start in range(0, len(column), _PIECE):
        state.update(column.slice(start, _PIECE).str.join("").item().encode())


def _without_defaults(noun: msgspec.Struct) -> dict[str, Any]:
    """Fields that differ from their defaults: a field added to the noun later leaves old digests as they are."""
    out: dict[str, Any] = {}
    for field in msgspec.structs.fields(noun):
        value = getattr(noun, field.name)
        if value == field.default:
            continue
        if isinstance(value, tuple):
            out[field.name] = [_without_defaults(v) if isinstance(v, msgspec.Struct) else v for v in value]
        else:
            out[field.name] = value
    return out
