"""Bytes to nouns and back: exact for what fits, an error that names the field for what does not."""

import math
from datetime import UTC, datetime

import pytest

from noria.domain.interval import Interval
from noria.domain.query import Comparison, Condition, Field
from noria.domain.run import Metric, Run
from noria.errors import InputInvalid, RequestInvalid, StoreCorrupt
from noria.wire import nouns

AT = datetime(2013, 3, 1, 1, 2, 3, 4, tzinfo=UTC)


def test_a_packed_noun_comes_back_with_infinities_types_and_order():
    run = Run(
        id="a",
        experiment="e",
        name="n",
        status="running",
        started_at=AT,
        params={"z": 1, "a": 1.0, "m": True},
        metrics={"auc": math.inf},
    )

    back = nouns.unpack(nouns.pack(run), Run, what="a run")

    assert back == run
    assert list(back.params) == ["z", "a", "m"]
    assert [type(value) for value in back.params.values()] == [int, float, bool]


def test_a_noun_comes_back_from_json():
    interval = Interval(value=0.5, low=0.25, high=1e-9, n=3)

    assert nouns.from_json(nouns.to_json(interval), Interval, what="an interval") == interval


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", nouns.pack({"key": 1}), nouns.pack({"key": "a", "value": "b", "at": AT})]
)
def test_stored_bytes_that_are_no_noun_are_corrupt(data):
    with pytest.raises(StoreCorrupt, match="a metric"):
        nouns.unpack(data, Metric, what="a metric")


def test_a_wrong_field_is_named():
    with pytest.raises(StoreCorrupt) as stored:
        nouns.from_json(b'{"key": 1}', Metric, what="a metric")
    with pytest.raises(InputInvalid) as given:
        nouns.from_json_input(b'{"key": "a", "value": []}', Metric, what="a metric")
    with pytest.raises(RequestInvalid) as sent:
        nouns.unpack_request(nouns.pack({"key": None}), Metric, what="a metric")

    assert "$.key" in stored.value.cause
    assert "$.value" in given.value.cause
    assert "$.key" in sent.value.cause


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "\ud800", object()])
def test_what_cannot_be_packed_is_refused(value):
    with pytest.raises(InputInvalid):
        nouns.pack({"a": value})


def test_a_fingerprint_tells_types_apart_but_not_orders():
    assert nouns.fingerprint({"a": 1, "b": math.nan}) == nouns.fingerprint({"b": math.nan, "a": 1})
    assert len({nouns.fingerprint(value) for value in (1, 1.0, True, "1", None)}) == 5


def test_what_is_nested_without_end_is_refused():
    condition = Comparison(field=Field(scope="tag", key="a"), operator="is null")
    begin = b"\x82" + nouns.pack({"type": "Not"})[1:] + nouns.pack("term")

    with pytest.raises(RequestInvalid):
        nouns.unpack_request(begin * 100_000 + nouns.pack(condition), Condition, what="a condition")
