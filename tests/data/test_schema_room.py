"""Schemas: inferred, conformed to, compared."""

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.data.schema import cast, conform, infer_schema, schema_changes
from noria.domain.dataset import Column, Schema
from noria.errors import SchemaMismatch


def a_schema(**columns: str) -> Schema:
    return Schema(columns=tuple(Column(name=n, dtype=t, nullable=True) for n, t in columns.items()))  # type: ignore[arg-type]


def test_every_plain_type_is_inferred() -> None:
    frame = pl.DataFrame(
        {
            "b": [True],
            "i": pl.Series([1], dtype=pl.UInt8),
            "f": pl.Series([1.0], dtype=pl.Float32),
            "g": [1.0],
            "s": ["x"],
            "c": pl.Series(["x"], dtype=pl.Categorical),
            "t": [datetime(2013, 1, 1)],
            "d": [date(2013, 1, 1)],
        }
    )

    kinds = {c.name: c.dtype for c in infer_schema(frame).columns}

    assert list(kinds.values()) == ["bool", "int64", "float32", "float64", "string", "string", "datetime", "date"]


def test_nested_columns_have_no_schema() -> None:
    with pytest.raises(SchemaMismatch, match="'a' is List"):
        infer_schema(pl.DataFrame({"a": [[1]]}))


def test_a_time_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="'when'"):
        infer_schema(pl.DataFrame({"a": [1]}), time_column="when")


VALUES = {
    "b": st.booleans(),
    "i": st.integers(-(2**63), 2**63 - 1),
    "f": st.floats(width=64),
    "s": st.text(),
    "t": st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)),
}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_table_follows_the_schema_inferred_from_it(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 5))
    frame = pl.DataFrame(
        {n: data.draw(st.lists(st.none() | v, min_size=rows, max_size=rows)) for n, v in VALUES.items()},
        schema={"b": pl.Boolean, "i": pl.Int64, "f": pl.Float64, "s": pl.String, "t": pl.Datetime("us", "UTC")},
    )

    schema = infer_schema(frame)

    assert conform(frame, schema).equals(frame, null_equal=True)
    assert conform(frame.select(reversed(frame.columns)), schema).columns == frame.columns


def test_values_that_survive_exactly_are_cast() -> None:
    frame = pl.DataFrame(
        {
            "i": pl.Series([1.0, None, 3.0]),
            "f": pl.Series([1, 2, 3], dtype=pl.Int16),
            "g": pl.Series([0.5, float("nan"), None]),
            "s": pl.Series(["a", "b", None], dtype=pl.Categorical),
            "t": [datetime(2013, 1, 1, 10)] * 3,
            "n": [None, None, None],
        }
    )

    out = cast(frame, a_schema(i="int64", f="float64", g="float32", s="string", t="datetime", n="string"))

    assert out["i"].to_list() == [1, None, 3]
    assert out["t"][0] == datetime(2013, 1, 1, 10, tzinfo=UTC)
    assert out["n"].dtype == pl.String


def test_times_of_another_zone_are_the_same_moments_in_utc() -> None:
    berlin = datetime(2013, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    frame = pl.DataFrame({"t": pl.Series([berlin]).dt.convert_time_zone("Europe/Berlin")})

    assert cast(frame, a_schema(t="datetime"))["t"][0] == berlin


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pl.Series([1.5]), "int64"),
        (pl.Series([float("nan")]), "int64"),
        (pl.Series([2**63], dtype=pl.UInt64), "int64"),
        (pl.Series([2**53 + 1]), "float64"),
        (pl.Series([0.1]), "float32"),
        (pl.Series(["12"]), "int64"),
        (pl.Series([1]), "bool"),
        (pl.Series([1]), "string"),
        (pl.Series([date(2013, 1, 1)]), "datetime"),
        (pl.Series([1], dtype=pl.Datetime("ns")), "datetime"),
    ],
)
def test_values_that_would_change_are_refused(values: pl.Series, kind: str) -> None:
    with pytest.raises(SchemaMismatch, match="'x'"):
        cast(pl.DataFrame({"x": values}), a_schema(x=kind))


def test_every_difference_is_named_at_once() -> None:
    frame = pl.DataFrame({"carier": ["AA"], "delay": ["late"], "extra": [1]})

    with pytest.raises(SchemaMismatch) as caught:
        conform(frame, a_schema(carrier="string", delay="float64", origin="string"))

    for part in (
        "'carrier' is missing (did you mean 'carier'?)",
        "'origin' is missing",
        "'extra' is not in",
        "'delay' is string",
        "late",
    ):
        assert part in caught.value.problem


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        (Column(name="x", dtype="float64"), [1.0, float("nan"), None], "2 missing values"),
        (
            Column(name="x", dtype="string", categories=("Berlin", "Basel")),
            ["Basel", "Berlni", "Berlni"],
            "2 rows with unseen categories Berlni (did you mean 'Berlin'?)",
        ),
        (Column(name="x", dtype="int64", minimum=0, maximum=9), [-1, 5, 10], "2 values outside [0, 9], e.g. -1"),
        (
            Column(name="x", dtype="float64", nullable=True, maximum=9),
            [float("nan"), None, 10.5],
            "1 values outside [-inf, 9]",
        ),
    ],
)
def test_values_outside_of_a_closed_column_are_refused(column: Column, values: list[object], words: str) -> None:
    with pytest.raises(SchemaMismatch) as caught:
        conform(pl.DataFrame({"x": values}, schema_overrides={}), Schema(columns=(column,)))

    assert words in caught.value.problem


def test_changes_say_what_breaks_readers_of_the_old_schema() -> None:
    old = Schema(
        columns=(
            Column(name="gone", dtype="int64"),
            Column(name="kind", dtype="int64"),
            Column(name="set", dtype="string", categories=("a", "b")),
            Column(name="null", dtype="int64"),
            Column(name="range", dtype="int64", minimum=0, maximum=9),
        ),
        key=("gone",),
    )
    new = Schema(
        columns=(
            Column(name="kind", dtype="float64"),
            Column(name="set", dtype="string", categories=("a",)),
            Column(name="null", dtype="int64", nullable=True),
            Column(name="range", dtype="int64", minimum=0),
            Column(name="new", dtype="int64"),
        ),
        time_column="new",
    )

    changes = {(c.column, c.change): c.breaking for c in schema_changes(old, new)}

    assert changes == {
        ("gone", "removed"): True,
        ("new", "added"): False,
        ("kind", "dtype"): True,
        ("set", "categories"): False,
        ("null", "nullable"): True,
        ("range", "range"): True,
        ("", "time_column"): False,
        ("", "key"): True,
    }
    assert schema_changes(new, new) == []
