"""Results as bytes: what comes back is what went in, and equal values have equal bytes."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.domain.interval import Interval
from noria.errors import InputInvalid, StoreCorrupt
from noria.pipeline.cache import Codec, Codecs

LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.datetimes(timezones=st.just(UTC)).map(lambda t: t.replace(fold=0)) | st.dates() | st.decimals(allow_nan=False) | st.uuids()
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda v: st.lists(v, max_size=3) | st.tuples(v, v) | st.dictionaries(st.text() | st.integers(0, 9), v, max_size=3),
    max_leaves=8,
)


def back(value: object) -> Any:
    return Codecs().decode(Codecs().encode(value))


@settings(max_examples=200)
@given(VALUES)
def test_values_come_back_as_they_were(value: object) -> None:
    again = back(value)

    assert again == value
    assert repr(again) == repr(value)  # 1 is not True, (1,) is not [1], -0.0 is not 0.0
    assert Codecs().encode(again) == Codecs().encode(value)


def test_what_is_not_a_number_is_kept() -> None:
    assert str(back({"a": [float("nan"), float("inf")]})) == "{'a': [nan, inf]}"


def test_structs_come_back_with_their_type() -> None:
    interval = Interval(value=1.0, low=0.5, high=1.5, n=3)

    assert back(("measured", {"auc": interval})) == ("measured", {"auc": interval})


@pytest.mark.parametrize(
    "array",
    [np.arange(6).reshape(2, 3), np.array(3.5), np.array(["a", "bc"]), np.zeros((0, 2)), np.arange(6).reshape(2, 3).T],
)
def test_arrays_come_back(array: np.ndarray[Any, Any]) -> None:
    again = back(array)

    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert np.array_equal(again, array)


def a_frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "i": [1, None, 3],
            "f": [0.0, float("nan"), None],
            "s": ["a", None, "ä"],
            "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "l": [[1], [], None],
            "t": [datetime(2013, 1, 1, tzinfo=UTC), None, None],
            "d": [date(2013, 1, 1), None, None],
            "u": [timedelta(1), None, None],
            "m": pl.Series([Decimal("1.50"), None, None], dtype=pl.Decimal(38, 2)),
        }
    )


def test_frames_come_back() -> None:
    frame = a_frame()

    again = back(frame)

    assert again.schema == frame.schema
    assert again.equals(frame, null_equal=True)


def test_equal_frames_have_equal_bytes_however_they_were_made() -> None:
    rows = pl.DataFrame({"x": [1.5, 2.5, None, 4.5], "s": ["a", "b", None, "a"]})
    in_pieces = pl.concat([rows[:1], rows[1:]], rechunk=False)
    filtered = pl.concat([rows, rows]).with_row_index("n").filter(pl.col("n") < 4).drop("n")
    masked = rows.fill_null(strategy="forward").with_columns(
        pl.when(pl.int_range(pl.len()) != 2).then(pl.col("x", "s")).name.keep()
    )

    assert len({Codecs().encode(f) for f in (rows, in_pieces, filtered, masked)}) == 1


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


POINT = Codec(
    name="point",
    accepts=lambda v: isinstance(v, Point),
    encode=lambda p: str(p.x).encode(),
    decode=lambda content: Point(int(content)),
)


def test_a_codec_of_the_caller_is_used_inside_of_other_values() -> None:
    codecs = Codecs([POINT])

    assert codecs.decode(codecs.encode({"p": (Point(7), 1)}))["p"][0].x == 7  # type: ignore[index]


def test_without_its_codec_a_result_cannot_be_read() -> None:
    with pytest.raises(InputInvalid, match="codec 'point'"):
        Codecs().decode(Codecs([POINT]).encode(Point(7)))


class Holder(msgspec.Struct):
    held: Any


@pytest.mark.parametrize(
    "value",
    [
        Point(7),
        {1, 2},
        2**70,
        lambda: 1,
        np.array([object()]),
        pl.DataFrame(),
        pl.DataFrame({"o": pl.Series([Point(1)], dtype=pl.Object)}),
        pl.LazyFrame({"a": [1]}),
        Holder(held=Point(1)),
    ],
)
def test_what_cannot_be_kept_says_so_and_is_never_pickled(value: object) -> None:
    with pytest.raises(InputInvalid) as caught:
        Codecs().encode(value)

    assert caught.value.remedy


def test_foreign_bytes_are_no_result() -> None:
    with pytest.raises(StoreCorrupt):
        Codecs().decode(b"PAR1")
