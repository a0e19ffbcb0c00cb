"""The point-in-time join against a brute-force oracle: every left row, in order, with the newest value known before it."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.data.join import join_asof
from noria.errors import InputInvalid, SchemaMismatch

KEY = st.none() | st.sampled_from(["a", "b"])
TIME = st.none() | st.integers(0, 8)
LEFT = st.lists(st.tuples(KEY, TIME, st.integers(0, 99)), max_size=10)
RIGHT = st.lists(st.tuples(KEY, TIME, st.none() | st.integers(0, 2), st.integers(0, 99)), max_size=14)


def left_table(rows: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"key": pl.String, "t": pl.Int64, "id": pl.Int64}, orient="row").with_columns(
        pl.from_epoch("t", "d").cast(pl.Datetime("us"))
    )


def right_table(rows: list[Any]) -> pl.DataFrame:
    schema = {"key": pl.String, "s": pl.Int64, "written": pl.Int64, "value": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.from_epoch("s", "d").cast(pl.Datetime("us")))


def oracle(left: list[Any], right: list[Any], *, strict: bool, tolerance: int | None) -> list[int | None]:
    """The value of the best right row for each left row; ties: greatest (written, value), a null smallest."""
    out = []
    for key, t, _ in left:
        best = None
        for other, s, written, value in right:
            if None in (key, t, other, s) or other != key or s > t or (strict and s == t):
                continue
            if tolerance is not None and t - s > tolerance:
                continue
            rank = (s, -1 if written is None else written, value)
            best = rank if best is None or rank > best else best
        out.append(None if best is None else best[2])
    return out


@settings(max_examples=200, deadline=None)
@given(LEFT, RIGHT, st.booleans(), st.none() | st.integers(0, 3), st.randoms(use_true_random=False))
def test_each_row_gets_what_the_oracle_gives_it(
    left: list[Any], right: list[Any], strict: bool, tolerance: int | None, random: Any
) -> None:
    expected = oracle(left, right, strict=strict, tolerance=tolerance)
    shuffled = random.sample(right, len(right))

    for rows in (right, shuffled):
        joined = join_asof(
            left_table(left),
            right_table(rows),
            left_on="t",
            right_on="s",
            by=["key"],
            tolerance=None if tolerance is None else timedelta(days=tolerance),
            strictly_before=strict,
            tie_break=["written"],
        )

        assert joined.frame["id"].to_list() == [row[2] for row in left]
        assert joined.frame["value"].to_list() == expected
        assert joined.matched == sum(value is not None for value in expected)
        assert joined.coverage == (joined.matched / len(left) if left else 1.0)


def test_without_by_the_newest_of_all_is_taken() -> None:
    joined = join_asof(
        left_table([("a", 5, 1)]), right_table([("b", 4, 0, 7), ("a", 1, 0, 8)]), left_on="t", right_on="s"
    )

    assert joined.frame["value"].to_list() == [7]


def test_ties_without_a_rule_are_refused() -> None:
    right = right_table([("a", 1, 0, 7), ("a", 1, 1, 8)])

    with pytest.raises(InputInvalid, match="1 rows share"):
        join_asof(left_table([("a", 5, 1)]), right, left_on="t", right_on="s", by=["key"])


def test_columns_that_do_not_fit_are_named() -> None:
    with pytest.raises(SchemaMismatch, match="no column 'z'"):
        join_asof(left_table([]), right_table([]), left_on="z", right_on="s")
    with pytest.raises(SchemaMismatch, match="'id' is Int64"):
        join_asof(left_table([]), right_table([]), left_on="id", right_on="s")


def test_columns_of_the_same_name_are_both_kept() -> None:
    right = right_table([("a", 1, 0, 7)]).with_columns(id=pl.lit(5, dtype=pl.Int64))

    joined = join_asof(left_table([("a", 5, 1)]), right, left_on="t", right_on="s", by=["key"])

    assert joined.frame.select("id", "id_right").row(0) == (1, 5)
