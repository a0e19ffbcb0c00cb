"""The digest of a table: a function of its values, its schema and nothing else."""

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.domain.dataset import Column, Schema
from noria.domain.ids import Digest
from noria.wire.tables import column_digest, content_digest

COLUMNS = {
    pl.Int64(): st.integers(-(2**63), 2**63 - 1),
    pl.Float64(): st.floats(),
    pl.Float32(): st.floats(width=32),
    pl.String(): st.text(max_size=4),
    pl.Boolean(): st.booleans(),
    pl.Date(): st.dates(),
}


@st.composite
def columns(draw: st.DrawFn) -> pl.Series:
    kind = draw(st.sampled_from(list(COLUMNS)))
    return pl.Series("x", draw(st.lists(st.none() | COLUMNS[kind], max_size=8)), dtype=kind)


def written(series: pl.Series) -> list[str]:
    """The values as exact text; one NaN is like another."""
    return [str(v) for v in series.to_list()]


@settings(max_examples=300, deadline=None)
@given(columns(), columns())
def test_columns_share_a_digest_exactly_when_they_hold_the_same(a: pl.Series, b: pl.Series) -> None:
    same = a.dtype == b.dtype and written(a) == written(b)

    assert (column_digest(a) == column_digest(b)) == same


@settings(max_examples=200, deadline=None)
@given(columns(), st.integers(0, 8), st.integers(0, 3))
def test_chunks_slices_and_what_lies_under_a_null_do_not_count(series: pl.Series, cut: int, before: int) -> None:
    in_pieces = pl.concat([series[:cut], series[cut:]], rechunk=False)
    padding = pl.Series("x", [None] * before, dtype=series.dtype)
    a_slice = pl.concat([padding, series], rechunk=True)[before:]
    masked = pl.select(pl.when(series.is_not_null()).then(series.fill_null(strategy="forward"))).to_series()

    assert len({column_digest(s) for s in (series, in_pieces, a_slice, masked)}) == 1


def test_the_bounds_of_texts_count() -> None:
    assert column_digest(pl.Series(["ab", "c"])) != column_digest(pl.Series(["a", "bc"]))


def digest_of_one(**column: Any) -> Digest:
    schema = Schema(columns=(Column(name="x", dtype="int64", **column),))
    return content_digest(pl.DataFrame({"x": [1, 2]}), schema)


def test_the_schema_counts_but_not_how_a_bound_is_written() -> None:
    assert digest_of_one() != digest_of_one(nullable=True)
    assert digest_of_one(minimum=1) == digest_of_one(minimum=1.0) != digest_of_one(minimum=0)


def test_the_digest_is_the_same_in_every_release() -> None:
    """A pinned value: if this fails, every stored address is void."""
    assert digest_of_one(minimum=0) == PINNED


PINNED = Digest("blake3:293b3295bc2fb373622443420ac1a3dab915eed211f88e489aa7fa3771b4a3a4")
