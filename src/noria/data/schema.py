"""What a table's columns are: infer it, hold a table to it, and tell two of them apart. Judging rows is validate.py. Called by snapshot and diff."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal

import msgspec
import polars as pl

from noria.domain.arrow import ArrowTable
from noria.domain.dataset import Column, DataType, Schema
from noria.errors import SchemaMismatch
from noria.wire.tables import POLARS_TYPES, open_table

EXACT_INT = 2**53
"""Up to this size every whole number is a float64."""


class SchemaChange(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between two schemas. breaking: a table of the new one can be refused by who expects the old one."""

    column: str
    change: Literal["added", "removed", "dtype", "nullable", "categories", "range", "time_column", "key"]
    before: str = ""
    after: str = ""
    breaking: bool = False


def infer_schema(frame: ArrowTable, *, time_column: str | None = None, key: Sequence[str] = ()) -> Schema:
    """The narrowest schema that this table follows: types and nulls as they are; sets of values and ranges are left open.

    Raises SchemaMismatch for a type that no column of a schema can have (lists, structs, binary, durations).

    >>> infer_schema(pl.DataFrame({"age": [31, None]})).columns[0].nullable
    True
    """
    table = open_table(frame)
    columns, problems = [], []
    for series in table.get_columns():
        kind = _kind_of(series.dtype)
        if kind is None:
            problems.append(f"column {series.name!r} is {series.dtype}")
            continue
        columns.append(Column(name=series.name, dtype=kind, nullable=_missing(series) > 0))
    problems += [f"there is no column {name!r}" for name in (time_column, *key) if name and name not in table.columns]
    if problems:
        raise SchemaMismatch(
            f"no schema can describe this table: {'; '.join(problems)}",
            cause=f"a column is one of {', '.join(POLARS_TYPES)}",
            remedy="turn such columns into plain ones (or leave them out) before taking the snapshot",
        )
    return Schema(columns=tuple(columns), time_column=time_column, key=tuple(key))


def conform(frame: ArrowTable, schema: Schema) -> pl.DataFrame:
    """The table in the schema's order and types, if it follows it: `cast`, then `check_values`.

    Raises SchemaMismatch with every difference at once.
    """
    table = cast(frame, schema)
    check_values(table, schema)
    return table


def cast(frame: ArrowTable, schema: Schema) -> pl.DataFrame:
    """The table in the schema's order and types; every value must survive exactly (int32 -> int64 does, '12' -> 12 and 0.1 -> float32 do not).

    Times without a zone are taken as UTC; others are moved to UTC. Raises SchemaMismatch naming all missing, surplus and differing columns.
    """
    table = open_table(frame)
    problems = _name_problems(table.columns, schema)
    done: list[pl.Series] = []
    for column in schema.columns:
        if column.name not in table.columns:
            continue
        series, problem = _cast_series(table.get_column(column.name), column.dtype)
        if problem:
            problems.append(f"column {column.name!r} {problem}")
        else:
            done.append(series)
    _refuse(problems, "the columns differ from those that were agreed on")
    return pl.DataFrame(done)


def check_values(table: pl.DataFrame, schema: Schema) -> None:
    """Hold the values to what the schema closes: nulls and NaN, sets of categories, ranges. The types must fit already.

    Raises SchemaMismatch with every column that breaks its promise, how many rows, and examples.
    """
    problems = []
    for column in schema.columns:
        series = table.get_column(column.name)
        missing = _missing(series)
        if missing and not column.nullable:
            problems.append(f"column {column.name!r} has {missing:,} missing values (null or NaN) and may have none")
        if column.categories is not None:
            problems += _category_problems(series, column)
        if column.minimum is not None or column.maximum is not None:
            problems += _range_problems(series, column)
    _refuse(problems, "values outside of what the schema allows")


def schema_changes(old: Schema, new: Schema) -> list[SchemaChange]:
    """Every difference, columns first. Breaking: removed or retyped columns, nulls or values that were ruled out before, another key.

    >>> a = Schema(columns=(Column(name="x", dtype="int64"),))
    >>> [(c.change, c.breaking) for c in schema_changes(a, Schema(columns=(Column(name="x", dtype="float64"),)))]
    [('dtype', True)]
    """
    before, after = {c.name: c for c in old.columns}, {c.name: c for c in new.columns}
    changes = [
        SchemaChange(column=n, change="removed", before=before[n].dtype, breaking=True)
        for n in before
        if n not in after
    ]
    changes += [SchemaChange(column=n, change="added", after=after[n].dtype) for n in after if n not in before]
    for name in (n for n in before if n in after):
        changes += _column_changes(before[name], after[name])
    if old.time_column != new.time_column:
        changes.append(
            _change("", "time_column", str(old.time_column), str(new.time_column), breaking=old.time_column is not None)
        )
    if old.key != new.key:
        changes.append(_change("", "key", ", ".join(old.key), ", ".join(new.key), breaking=bool(old.key)))
    return changes


def _column_changes(old: Column, new: Column) -> list[SchemaChange]:
    changes = []
    if old.dtype != new.dtype:
        changes.append(_change(old.name, "dtype", old.dtype, new.dtype, breaking=True))
    if old.nullable != new.nullable:
        changes.append(_change(old.name, "nullable", str(old.nullable), str(new.nullable), breaking=new.nullable))
    if old.categories != new.categories:
        wider = old.categories is not None and (
            new.categories is None or bool(set(new.categories) - set(old.categories))
        )
        changes.append(_change(old.name, "categories", _some(old.categories), _some(new.categories), breaking=wider))
    if (old.minimum, old.maximum) != (new.minimum, new.maximum):
        wider = _below(new.minimum, old.minimum) or _below(_negated(new.maximum), _negated(old.maximum))
        changes.append(_change(old.name, "range", _range(old), _range(new), breaking=wider))
    return changes


def _change(
    column: str,
    change: Literal["added", "removed", "dtype", "nullable", "categories", "range", "time_column", "key"],
    before: str,
    after: str,
    *,
    breaking: bool,
) -> SchemaChange:
    return SchemaChange(column=column, change=change, before=before, after=after, breaking=breaking)


def _below(new: float | None, old: float | None) -> bool:
    """Whether a lower bound was moved down (None: there is none)."""
    return old is not None and (new is None or new < old)


def _negated(bound: float | None) -> float | None:
    return None if bound is None else -bound


def _range(column: Column) -> str:
    low, high = column.minimum, column.maximum
    return f"[{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"


def _some(values: Sequence[str] | None) -> str:
    if values is None:
        return "any"
    return ", ".join(values[:8]) + (f" and {len(values) - 8} more" if len(values) > 8 else "")


def _kind_of(dtype: pl.DataType) -> DataType | None:
    """The schema's type for a polars type, the one that holds all its values; None if there is none."""
    exact: dict[pl.DataType, DataType] = {held: kind for kind, held in POLARS_TYPES.items()}
    if dtype in exact:
        return exact[dtype]
    if dtype.is_integer():
        return "int64"
    if dtype.is_float() or dtype == pl.Null:
        return "float64"
    if dtype == pl.Categorical or isinstance(dtype, pl.Enum):
        return "string"
    return "datetime" if isinstance(dtype, pl.Datetime) else None


def _missing(series: pl.Series) -> int:
    nulls = series.null_count()
    return nulls + int(series.is_nan().sum()) if series.dtype.is_float() else nulls


def _cast_series(series: pl.Series, kind: DataType) -> tuple[pl.Series, str]:
    """The series in the given type, or what stands in the way (as the end of a sentence about the column)."""
    target = POLARS_TYPES[kind]
    if series.dtype == target:
        return series, ""
    if series.null_count() == len(series):
        return pl.Series(series.name, [None] * len(series), dtype=target), ""
    refused = f"is {_kind_of(series.dtype) or series.dtype}, the schema says {kind}"
    if kind == "string" and series.dtype == pl.String:
        return series, ""
    if kind == "datetime" and isinstance(series.dtype, pl.Datetime):
        return _to_utc(series)
    numbers = kind in ("int64", "float32", "float64") and series.dtype.is_numeric()
    texts = kind == "string" and _kind_of(series.dtype) == "string"
    if not (numbers or texts):
        if series.dtype == pl.String:
            refused += f" (e.g. {series.drop_nulls()[0]!r})"
        return series, refused
    moved = series.cast(target, strict=False)
    lossless = moved.null_count() == series.null_count() and bool(_round_trips(series, moved))
    return (moved, "") if lossless else (series, f"{refused}, and not every value can be kept exactly")


def _round_trips(series: pl.Series, moved: pl.Series) -> bool:
    if not series.dtype.is_numeric():
        return True
    if series.dtype.is_integer() and moved.dtype.is_float():
        exact = EXACT_INT if moved.dtype == pl.Float64 else 2**24
        low, high = series.min(), series.max()
        return isinstance(low, int) and isinstance(high, int) and -exact <= low and high <= exact
    back = moved.cast(series.dtype, strict=False)
    return bool(series.eq_missing(back).all())


def _to_utc(series: pl.Series) -> tuple[pl.Series, str]:
    assert isinstance(series.dtype, pl.Datetime)
    in_utc = (
        series.dt.replace_time_zone("UTC") if series.dtype.time_zone is None else series.dt.convert_time_zone("UTC")
    )
    moved = in_utc.dt.cast_time_unit("us")
    if series.dtype.time_unit == "ns" and not bool(in_utc.eq_missing(moved.dt.cast_time_unit("ns")).all()):
        return series, "has times finer than a microsecond, which a schema cannot keep"
    return moved, ""


def _name_problems(have: Sequence[str], schema: Schema) -> list[str]:
    wanted = schema.names()
    extra = [name for name in have if name not in wanted]
    problems = []
    for name in (n for n in wanted if n not in have):
        near = get_close_matches(name, extra, n=1, cutoff=0.6)
        problems.append(f"column {name!r} is missing" + (f" (did you mean {near[0]!r}?)" if near else ""))
    return problems + [f"column {name!r} is not in the schema" for name in extra]


def _category_problems(series: pl.Series, column: Column) -> list[str]:
    known = pl.Series(column.categories, dtype=pl.String)
    seen = series.cast(pl.String).drop_nulls()
    unseen = seen.filter(~seen.is_in(known.implode()))
    if unseen.is_empty():
        return []
    values = unseen.unique(maintain_order=True).to_list()
    near = get_close_matches(values[0], column.categories or (), n=1, cutoff=0.6)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return [f"column {column.name!r} has {len(unseen):,} rows with unseen categories {_some(values)}{hint}"]


def _range_problems(series: pl.Series, column: Column) -> list[str]:
    values = series.fill_nan(None).drop_nulls() if series.dtype.is_float() else series.drop_nulls()
    low = values.filter(values < column.minimum) if column.minimum is not None else values.clear()
    high = values.filter(values > column.maximum) if column.maximum is not None else values.clear()
    outside = low.append(high)
    if outside.is_empty():
        return []
    return [f"column {column.name!r} has {len(outside):,} values outside {_range(column)}, e.g. {outside[0]}"]


def _refuse(problems: list[str], cause: str) -> None:
    if problems:
        raise SchemaMismatch(
            f"the table does not follow its schema: {'; '.join(problems)}",
            cause=cause,
            remedy="correct the source, or agree on a new schema (noria.data.schema.infer_schema shows what the table is now)",
        )
