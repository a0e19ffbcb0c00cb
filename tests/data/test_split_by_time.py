"""Cuts by time: no label that was unknown takes part, no row is on both sides."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.data.schema import infer_schema
from noria.data.split import TimeSplit, split_by_time
from noria.errors import EmptyTable, LeakDetected, SchemaMismatch
from noria.wire.tables import content_digest

START = datetime(2013, 1, 1, tzinfo=UTC)


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def a_table(rows: list[tuple[int, int | None]]) -> pl.DataFrame:
    """(time, how many hours later its label was known or None: never)."""
    return pl.DataFrame(
        {
            "id": list(range(len(rows))),
            "when": [hours(t) for t, _ in rows],
            "known": [None if lag is None else hours(t + lag) for t, lag in rows],
        },
        schema={"id": pl.Int64, "when": pl.Datetime("us", "UTC"), "known": pl.Datetime("us", "UTC")},
    )


def cut(frame: pl.DataFrame, at: float, known_by: float) -> TimeSplit:
    return split_by_time(frame, time_column="when", at=hours(at), known_column="known", known_by=hours(known_by))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 9)), max_size=20),
    st.integers(1, 12),
    st.integers(1, 9),
)
def test_nothing_unknown_and_nothing_later_is_in_train(rows: list[tuple[int, int | None]], at: int, more: int) -> None:
    known_by = at + more
    frame = a_table([(0, 0), (at, 0), *rows])

    both = cut(frame, at, known_by)

    for row in [*both.train.to_dicts(), *both.test.to_dicts()]:
        assert row["known"] is not None
        assert row["known"] <= hours(known_by)
    assert all(t < hours(at) for t in both.train["when"])
    assert all(t >= hours(at) for t in both.test["when"])
    kept = {*both.train["id"], *both.test["id"]}
    dropped = frame.filter(~pl.col("id").is_in(list(kept)))
    assert all(k is None or k > hours(known_by) for k in dropped["known"])
    assert len(kept) == both.train.height + both.test.height == both.split.train_rows + both.split.test_rows


def test_the_noun_addresses_both_halves() -> None:
    frame = a_table([(0, 1), (5, 1), (9, 1)])

    both = cut(frame, 5, 20)

    schema = infer_schema(frame)
    assert both.split.train == content_digest(both.train, schema)
    assert both.split.test == content_digest(both.test, schema)
    assert (both.split.at, both.split.known_by) == (hours(5), hours(20))


def test_a_test_whose_labels_cannot_be_known_is_a_leak() -> None:
    with pytest.raises(LeakDetected, match="the test rows begin"):
        cut(a_table([(0, 1), (5, 1)]), 5, 5)


def test_a_label_older_than_its_row_is_a_leak() -> None:
    with pytest.raises(LeakDetected, match="1 rows know their label"):
        cut(a_table([(0, 1), (5, -1), (9, 1)]), 5, 20)


@pytest.mark.parametrize(("at", "half"), [(-1, "train"), (30, "test")])
def test_a_cut_that_leaves_nothing_is_refused(at: int, half: str) -> None:
    with pytest.raises(EmptyTable, match=f"no row to {half}"):
        cut(a_table([(0, 1), (5, 1)]), at, 40)


def test_columns_that_hold_no_times_are_refused() -> None:
    frame = a_table([(0, 1)])

    with pytest.raises(SchemaMismatch, match="'known' is missing"):
        cut(frame.drop("known"), 5, 9)
    with pytest.raises(SchemaMismatch, match="'when' is Int64"):
        cut(frame.with_columns(pl.col("id").alias("when")), 5, 9)
    with pytest.raises(SchemaMismatch, match="without a time"):
        cut(frame.with_columns(pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("when")), 5, 9)
