"""What changed between two tables: rows by key, columns, and what the columns hold.

Finding versions is the tables port. Called by whoever compares two of them.
"""

from collections.abc import Sequence

import msgspec
import polars as pl

from noria.data.schema import SchemaChange, infer_schema, schema_changes
from noria.domain.arrow import ArrowTable
from noria.domain.dataset import Schema
from noria.errors import InputInvalid, SchemaMismatch
from noria.wire.tables import open_table

EXAMPLES = 5


class ColumnDiff(msgspec.Struct, frozen=True, kw_only=True):
    """How a column that both tables have differs. changed: rows of both whose value differs; mean is None for what is no number."""

    column: str
    changed: int
    missing_before: int
    missing_after: int
    distinct_before: int
    distinct_after: int
    mean_before: float | None = None
    mean_after: float | None = None


class TableDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Two tables side by side, rows told apart by key. examples: a few keys of each kind, as text."""

    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: int
    unchanged: int
    schema: tuple[SchemaChange, ...]
    columns: tuple[ColumnDiff, ...]
    examples: dict[str, tuple[str, ...]] = {}

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.changed or self.schema)


def diff(
    before: ArrowTable,
    after: ArrowTable,
    key: Sequence[str],
    *,
    before_schema: Schema | None = None,
    after_schema: Schema | None = None,
) -> TableDiff:
    """Compare two tables row by row. Two missing values are equal, so are two NaN; a column of another type is changed where its text differs.

    key: columns that name one row in each table. The schemas are inferred where they are not given.
    Raises SchemaMismatch if a key column is missing or of another type, InputInvalid if the key names several rows.

    >>> a, b = pl.DataFrame({"id": [1, 2], "x": [1.0, 2.0]}), pl.DataFrame({"id": [2, 3], "x": [2.5, 3.0]})
    >>> d = diff(a, b, ["id"]); (d.added, d.removed, d.changed)
    (1, 1, 1)
    """
    a, b, names = open_table(before), open_table(after), list(key)
    _require_key(a, b, names)
    changes = schema_changes(before_schema or infer_schema(a), after_schema or infer_schema(b))
    shared = [c for c in a.columns if c in b.columns and c not in names]
    renamed = b.select(pl.col(names), *(pl.col(c).alias(f"{c}\x1fafter") for c in shared))
    both = a.select(*names, *shared).join(renamed, on=names, how="inner", nulls_equal=True)
    differs = {c: _differs(a.schema[c], b.schema[c], c) for c in shared}
    flags = both.select(*names, *(expr.alias(c) for c, expr in differs.items()))
    touched = flags.filter(pl.any_horizontal(shared)) if shared else flags.clear()
    added = b.select(names).join(a.select(names), on=names, how="anti", nulls_equal=True)
    removed = a.select(names).join(b.select(names), on=names, how="anti", nulls_equal=True)
    return TableDiff(
        rows_before=a.height,
        rows_after=b.height,
        added=added.height,
        removed=removed.height,
        changed=touched.height,
        unchanged=both.height - touched.height,
        schema=tuple(changes),
        columns=tuple(_column(a[c], b[c], int(flags[c].sum())) for c in shared),
        examples={
            kind: tuple(", ".join(str(v) for v in row) for row in rows.select(names).head(EXAMPLES).rows())
            for kind, rows in (("added", added), ("removed", removed), ("changed", touched))
            if rows.height
        },
    )


def _differs(before: pl.DataType, after: pl.DataType, column: str) -> pl.Expr:
    old, new = pl.col(column), pl.col(f"{column}\x1fafter")
    if before != after:
        old, new = old.cast(pl.String), new.cast(pl.String)
    return old.ne_missing(new)


def _column(before: pl.Series, after: pl.Series, changed: int) -> ColumnDiff:
    return ColumnDiff(
        column=before.name,
        changed=changed,
        missing_before=before.null_count(),
        missing_after=after.null_count(),
        distinct_before=before.n_unique(),
        distinct_after=after.n_unique(),
        mean_before=_mean(before),
        mean_after=_mean(after),
    )


def _mean(series: pl.Series) -> float | None:
    mean = series.mean() if series.dtype.is_numeric() else None
    return float(mean) if isinstance(mean, int | float) else None


def _require_key(a: pl.DataFrame, b: pl.DataFrame, key: list[str]) -> None:
    problems = [
        f"{n!r} is missing {where}" for where, t in (("before", a), ("after", b)) for n in key if n not in t.columns
    ]
    if not key:
        problems.append("no key column was named")
    if not problems:
        problems += [
            f"{n!r} is {a.schema[n]} before and {b.schema[n]} after" for n in key if a.schema[n] != b.schema[n]
        ]
    if problems:
        raise SchemaMismatch(
            f"the tables cannot be compared row by row: {'; '.join(problems)}",
            cause="rows are told apart by their key",
            remedy="name columns that both tables have in the same type",
        )
    for where, table in (("before", a), ("after", b)):
        twice = table.height - table.select(pl.struct(key).n_unique()).item() if table.height else 0
        if twice:
            raise InputInvalid(
                f"{twice:,} rows {where} share their key ({', '.join(key)}) with another",
                cause="a key must name one row",
                remedy="add a column to the key",
            )
