"""Give each row the newest value that was known before it: the point-in-time join. Always a left join. Called by feature recipes."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import polars as pl

from noria.domain.arrow import ArrowTable
from noria.errors import InputInvalid, SchemaMismatch
from noria.wire.tables import open_table

_ROW, _FOUND = "__noria_row", "__noria_found"


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The left table with the right one's columns beside it. coverage: share of left rows that found a partner, in [0, 1] (1 for no rows)."""

    frame: pl.DataFrame
    coverage: float
    matched: int


def join_asof(
    left: ArrowTable,
    right: ArrowTable,
    *,
    left_on: str,
    right_on: str,
    by: Sequence[str] = (),
    tolerance: timedelta | None = None,
    strictly_before: bool = True,
    tie_break: Sequence[str] | None = None,
) -> Joined:
    """For each left row the right row of the same `by` with the greatest right_on < left_on (<=, if not strictly_before).

    tolerance: a right row older than this is too old. tie_break: columns of the right table that choose among rows of equal (by, right_on): the
    greatest wins; what is still equal is chosen by all other columns, so the order of the rows never matters. Every left row is kept, in its
    order, with nulls where nothing was known; columns of the same name get the suffix '_right'.
    Raises InputInvalid when rows tie and no tie_break was declared, SchemaMismatch for missing or unlike columns.
    Source: the semantics of polars' join_asof (backward), held to a brute-force oracle in tests/data/test_join_asof.py.
    """
    a, b = open_table(left), open_table(right)
    _require(a, b, [left_on, *by], [right_on, *by, *(tie_break or ())])
    clash = [name for name in (_ROW, _FOUND) if name in a.columns or name in b.columns]
    if clash:
        raise InputInvalid(f"column names {clash} are used inside the join", remedy="rename them")
    rows = a.with_row_index(_ROW)
    partners = _one_per_moment(b.drop_nulls([right_on, *by]), [*by, right_on], tie_break)
    keyed = rows.drop_nulls([left_on, *by])
    joined = keyed.sort(left_on, maintain_order=True).join_asof(
        partners.with_columns(pl.lit(True).alias(_FOUND)).sort(right_on),
        left_on=left_on,
        right_on=right_on,
        by=list(by) or None,
        strategy="backward",
        tolerance=tolerance,
        allow_exact_matches=not strictly_before,
        coalesce=False,
        check_sortedness=False,  # sorted above
    )
    unkeyed = rows.join(keyed.select(_ROW), on=_ROW, how="anti")
    whole = pl.concat([joined, unkeyed], how="diagonal").sort(_ROW)
    matched = int(whole.get_column(_FOUND).sum())
    return Joined(frame=whole.drop(_ROW, _FOUND), coverage=matched / a.height if a.height else 1.0, matched=matched)


def _one_per_moment(table: pl.DataFrame, key: list[str], tie_break: Sequence[str] | None) -> pl.DataFrame:
    """At most one row for each (by, time), chosen by declared columns."""
    ties = table.height - table.select(pl.struct(key).n_unique()).item() if table.height else 0
    if not ties:
        return table
    if tie_break is None:
        twice = table.filter(table.select(key).is_duplicated()).row(0, named=True)
        raise InputInvalid(
            f"{ties:,} rows share their key and time with another, e.g. { ({k: str(twice[k]) for k in key}) }",
            cause="which of them a row would get depends on chance",
            remedy="declare tie_break=['<column>'], e.g. when each value was written; the greatest wins",
        )
    order = [*tie_break, *(c for c in table.columns if c not in tie_break and c not in key)]
    return table.sort(order, maintain_order=True).unique(subset=key, keep="last", maintain_order=True)


def _require(a: pl.DataFrame, b: pl.DataFrame, left: list[str], right: list[str]) -> None:
    problems = [f"the left table has no column {n!r}" for n in left if n not in a.columns]
    problems += [f"the right table has no column {n!r}" for n in right if n not in b.columns]
    if not problems:
        pairs = list(zip(left, right, strict=False))
        problems += [
            f"{m!r} is {a.schema[m]} and {n!r} is {b.schema[n]}" for m, n in pairs if a.schema[m] != b.schema[n]
        ]
    if problems:
        raise SchemaMismatch(
            f"the tables cannot be joined: {'; '.join(problems)}",
            cause="keys and times must exist on both sides, in the same type",
            remedy="cast them to one type first",
        )
