"""Signatures: what is inferred holds for what it was inferred from, and everything else is refused with the column's name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.domain.model import Field, Signature
from noria.errors import EmptyTable, RequestInvalid, SchemaMismatch
from noria.packaging.signature import check, flat, infer_signature, unseen_counter

OUT = {"probability": np.zeros(1, np.float32)}


def columns(**changes):
    given = {
        "age": np.array([31.0, 40.0]),
        "gap": np.array([1.0, np.nan]),
        "n": np.array([1, 2]),
        "member": np.array([True, False]),
        "city": np.array(["Rome", "Oslo"], object),
        "pair": np.array([[1.0, 2.0], [3.0, 4.0]]),
    }
    given.update(changes)
    return {k: v for k, v in given.items() if v is not None}


def signature():
    return infer_signature(columns(), OUT)


def test_types_widths_gaps_and_categories_are_inferred():
    fields = {f.name: f for f in signature().inputs}

    assert {n: f.datatype for n, f in fields.items()} == {
        "age": "FP64", "gap": "FP64", "n": "INT64", "member": "BOOL", "city": "BYTES", "pair": "FP64",
    }  # fmt: skip
    assert [n for n, f in fields.items() if f.nullable] == ["gap"]
    assert fields["city"].categories == ("Oslo", "Rome")
    assert fields["pair"].width == 2


def test_what_a_signature_was_inferred_from_passes_it():
    assert check(columns(), signature()) == 0


@given(
    st.lists(st.floats(allow_infinity=False, width=64), min_size=1, max_size=20),
    st.lists(st.one_of(st.none(), st.text(max_size=4)), min_size=1, max_size=20),
)
def test_any_columns_pass_the_signature_inferred_from_them(numbers, texts):
    rows = min(len(numbers), len(texts))
    given_columns = {"x": np.array(numbers[:rows]), "t": np.array(texts[:rows], object)}

    assert check(given_columns, infer_signature(given_columns, OUT)) == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"age": None}, "'age'"),
        ({"extra": np.array([1.0, 2.0])}, "'extra'"),
        ({"age": np.array(["a", "b"], object)}, "'age'"),
        ({"age": np.array([np.nan, 1.0])}, "'age' has no value in row 0"),
        ({"age": np.array([1.0, np.nan])}, "'age' has no value in row 1"),
        ({"age": np.array([[1.0], [2.0]])}, "'age' has shape"),
        ({"age": np.array([1.0])}, "rows"),
        ({"n": np.array([1.5, 2.0])}, "'n'"),
        ({"member": np.array([1, 0])}, "'member'"),
        ({"city": np.array(["Rome", None], object)}, "'city' has no value in row 1"),
        ({"city": np.array(["Rome", 3], object)}, "'city' holds 3 in row 1"),
        ({"pair": np.array([[1.0], [2.0]])}, "'pair' has shape"),
        ({"pair": np.array([[1.0, np.nan], [3.0, 4.0]])}, "'pair' has no value in row 0"),
    ],
)
def test_a_column_that_breaks_the_signature_is_refused_by_name(changes, named):
    with pytest.raises(RequestInvalid) as refused:
        check(columns(**changes), signature())

    assert named in str(refused.value)
    assert refused.value.remedy


def test_infinite_numbers_are_no_missing_values():
    assert check(columns(age=np.array([np.inf, -np.inf])), signature()) == 0


def test_unseen_categories_are_allowed_and_counted():
    unseen = columns(city=np.array(["Paris", "Rome"], object))

    assert check(unseen, signature()) == 1
    assert unseen_counter(signature())(unseen) == 1


def test_a_request_without_rows_is_refused():
    with pytest.raises(RequestInvalid, match="no rows"):
        check({k: v[:0] for k, v in columns().items()}, signature())


def test_numbers_that_break_the_type_are_found_among_good_ones():
    one = Signature(inputs=(Field(name="a", datatype="FP64"), Field(name="b", datatype="FP64")), outputs=())

    with pytest.raises(RequestInvalid, match="'b'"):
        check({"a": np.array([1.0]), "b": np.array([1.0, 2.0])}, one)


def test_columns_that_no_protocol_carries_are_refused():
    with pytest.raises(SchemaMismatch):
        infer_signature({"t": np.array(["2026-01-01"], "datetime64[s]")}, OUT)
    with pytest.raises(SchemaMismatch):
        infer_signature({"t": np.array(["a", 1.5], object)}, OUT)
    with pytest.raises(EmptyTable):
        infer_signature({}, OUT)


def test_the_range_of_each_number_that_training_saw_is_kept_and_never_enforced():
    seen = {
        "age": np.array([31.0, np.nan, 18.5, np.inf]),
        "rooms": np.array([3, 1, 2]),
        "nothing": np.array([np.nan, np.nan]),
        "city": np.array(["Rome", "Oslo"], object),
    }
    ranges = {f.name: (f.minimum, f.maximum) for f in infer_signature(seen, OUT).inputs}

    assert ranges == {"age": (18.5, 31.0), "rooms": (1.0, 3.0), "nothing": (None, None), "city": (None, None)}
    assert all(f.minimum is None for f in infer_signature(seen, OUT).outputs)
    assert check({"rooms": np.array([99, -1])}, infer_signature({"rooms": seen["rooms"]}, OUT)) == 0


def test_rows_with_dims_travel_flat():
    pictures = {"picture": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), "age": np.array([1.0, 2.0])}
    found = infer_signature(pictures, OUT)

    travelling = flat(pictures, found)

    assert (found.inputs[0].dims, found.inputs[0].width) == ((3, 2, 2), 12)
    assert (found.inputs[1].dims, found.inputs[1].width) == ((), 1)
    assert check(travelling, found) == 0
    with pytest.raises(RequestInvalid, match="picture"):
        check(pictures, found)


def test_a_signature_written_before_ranges_were_kept_is_read():
    import msgspec

    old = b'{"inputs":[{"name":"age","datatype":"FP64","width":1,"nullable":true,"categories":null}],"outputs":[]}'

    read = msgspec.json.decode(old, type=Signature)

    assert (read.inputs[0].minimum, read.inputs[0].maximum, read.inputs[0].dims) == (None, None, ())
