"""The one column form: lists to arrays and back without a changed bit, and whole tables in slices."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.domain.model import Field, Signature
from noria.errors import RequestInvalid
from noria.packaging.signature import checker
from noria.serving.batch import columns_of, score_table
from noria.serving.columns import from_lists, to_lists

FIELDS = (
    Field(name="x", datatype="FP64", nullable=True),
    Field(name="f", datatype="FP32"),
    Field(name="n", datatype="INT64"),
    Field(name="b", datatype="BOOL"),
    Field(name="t", datatype="BYTES", nullable=True),
    Field(name="pair", datatype="FP64", width=2),
)
SIGNATURE = Signature(inputs=FIELDS, outputs=(Field(name="sum", datatype="FP64"),))
ROWS = st.tuples(
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.floats(width=32, allow_nan=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.one_of(st.none(), st.text()),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
)


@given(st.lists(ROWS, min_size=1, max_size=8))
def test_lists_survive_the_way_through_arrays(rows):
    lists = {name: [row[i] for row in rows] for i, name in enumerate(("x", "f", "n", "b", "t", "pair.0", "pair.1"))}

    assert to_lists(from_lists(lists, SIGNATURE), FIELDS) == lists


@pytest.mark.parametrize(
    ("name", "value"), [("f", "1.5"), ("n", 1.5), ("n", None), ("b", 1), ("t", 3), ("x", True), ("n", 2**63)]
)
def test_a_value_of_another_type_is_refused_by_name(name, value):
    with pytest.raises(RequestInvalid, match=f"'{name}'"):
        from_lists({name: [value]}, SIGNATURE)


class Adds:
    """Adds x and n; remembers how many rows it saw at once."""

    def __init__(self):
        self.seen = []

    def predict(self, columns):
        self.seen.append(len(columns["x"]))
        return {"sum": columns["x"] + columns["n"]}


TABLE = pl.DataFrame({"x": [float(i) for i in range(25)], "n": range(25), "unused": ["a"] * 25})
ADDS = Signature(
    inputs=(Field(name="x", datatype="FP64"), Field(name="n", datatype="INT64")),
    outputs=(Field(name="sum", datatype="FP64"),),
)


def test_a_table_is_scored_in_slices_in_its_order():
    model = Adds()

    scores = score_table(model, TABLE, signature=ADDS, check=checker(ADDS), chunk_rows=10)

    assert scores["sum"].to_list() == [2.0 * i for i in range(25)]
    assert model.seen == [10, 10, 5]


def test_an_empty_table_gives_no_rows_but_the_columns():
    assert score_table(Adds(), TABLE.head(0), signature=ADDS).columns == ["sum"]


def test_rows_that_a_worker_would_refuse_are_refused():
    with pytest.raises(RequestInvalid, match="'x'"):
        score_table(Adds(), TABLE.with_columns(x=pl.lit(None, pl.Float64)), signature=ADDS, check=checker(ADDS))
    with pytest.raises(RequestInvalid, match="'n'"):
        score_table(Adds(), TABLE.drop("n"), signature=ADDS)
    with pytest.raises(RequestInvalid, match="'n'"):
        score_table(Adds(), TABLE.with_columns(n=pl.lit(0.5)), signature=ADDS)
    with pytest.raises(RequestInvalid, match="'x'"):
        score_table(Adds(), TABLE.with_columns(x=pl.lit("a")), signature=ADDS)


def test_columns_of_a_table_keep_their_types():
    found = columns_of(
        pl.DataFrame(
            {"a": [1, None], "b": [True, False], "c": ["x", None], "d": [[1.0, 2.0], [3.0, 4.0]]},
            schema_overrides={"d": pl.Array(pl.Float64, 2)},
        )
    )

    assert np.isnan(found["a"][1])
    assert found["b"].dtype == bool
    assert found["c"].tolist() == ["x", None]
    assert found["d"].shape == (2, 2)
