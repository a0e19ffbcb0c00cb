"""Differences between tables: every row is added, removed, changed or unchanged, and the counts say which."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.data.diff import diff
from noria.errors import InputInvalid, SchemaMismatch

TABLE = st.dictionaries(
    st.integers(0, 8), st.tuples(st.none() | st.integers(0, 2), st.none() | st.sampled_from([1.5, float("nan")]))
)


def a_table(rows: dict[int, tuple[Any, Any]]) -> pl.DataFrame:
    flat = [(k, *v) for k, v in rows.items()]
    return pl.DataFrame(flat, schema={"id": pl.Int64, "x": pl.Int64, "y": pl.Float64}, orient="row")


@settings(max_examples=100, deadline=None)
@given(TABLE, TABLE)
def test_rows_are_told_apart_by_key(before: dict[int, Any], after: dict[int, Any]) -> None:
    found = diff(a_table(before), a_table(after), ["id"])

    shared = before.keys() & after.keys()
    changed = [k for k in shared if repr(before[k]) != repr(after[k])]
    assert (found.added, found.removed) == (len(after.keys() - before.keys()), len(before.keys() - after.keys()))
    assert (found.changed, found.unchanged) == (len(changed), len(shared) - len(changed))
    by_column = {c.column: c.changed for c in found.columns}
    assert by_column == {
        name: sum(repr(before[k][i]) != repr(after[k][i]) for k in shared) for i, name in enumerate(("x", "y"))
    }


@given(TABLE)
def test_a_table_does_not_differ_from_itself(rows: dict[int, Any]) -> None:
    found = diff(a_table(rows), a_table(rows).reverse(), ["id"])

    assert found.same
    assert found.examples == {}


def test_columns_and_their_statistics_are_compared() -> None:
    before = pl.DataFrame({"id": [1, 2], "x": [1.0, 3.0], "old": ["a", "b"]})
    after = pl.DataFrame({"id": [1, 2], "x": [1.0, 5.0], "new": ["a", "b"]})

    found = diff(before, after, ["id"])

    assert {(c.column, c.change) for c in found.schema} == {("old", "removed"), ("new", "added")}
    assert (found.columns[0].mean_before, found.columns[0].mean_after) == (2.0, 3.0)
    assert found.examples == {"changed": ("2",)}


def test_a_retyped_column_is_changed_where_its_text_differs() -> None:
    found = diff(pl.DataFrame({"id": [1, 2], "x": [1, 2]}), pl.DataFrame({"id": [1, 2], "x": ["1", "3"]}), ["id"])

    assert (found.changed, found.schema[0].change) == (1, "dtype")


def test_keys_must_exist_and_name_one_row() -> None:
    frame = pl.DataFrame({"id": [1, 1], "x": [1, 2]})

    with pytest.raises(InputInvalid, match="share their key"):
        diff(frame, frame, ["id"])
    with pytest.raises(SchemaMismatch, match="'z' is missing"):
        diff(frame, frame, ["z"])
    with pytest.raises(SchemaMismatch, match="no key"):
        diff(frame, frame, [])
