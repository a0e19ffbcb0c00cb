"""Requests and answers of MLflow's protocol as bytes: read as protobuf would, written as protobuf would, routed by method and path."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.server.mlflow.app import routes
from noria.server.mlflow.checks import fault_of_name
from noria.server.mlflow.errors import Refused
from noria.server.mlflow.routing import Request, Route, Table
from noria.server.mlflow.unsupported import refusal
from noria.server.mlflow.wire import Form, Int64, array, from_ms, intlike, number, required, string, to_ms

JSON = [(b"content-type", b"application/json")]
LAST = (
    datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
).total_seconds() * 1000


class Item(msgspec.Struct):
    name: str = ""


class Message(msgspec.Struct):
    run_id: str | None = None
    run_uuid: str | None = None
    step: Int64 | None = None
    value: float | None = None
    items: list[Item] | None = None
    flag: bool | None = None


FORM = Form(Message, run_id=(required, string), step=(intlike,), items=(array,))


def post(body: Any) -> Message:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return FORM.read(Request("POST", "/x", headers=JSON, body=content))


def get(query: str) -> Message:
    return FORM.read(Request("GET", "/x", query_string=query.encode()))


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_int64_is_the_same_as_number_and_as_text(step: int) -> None:
    assert (
        post({"run_id": "r", "step": step}) == post({"run_id": "r", "step": str(step)}) == get(f"run_id=r&step={step}")
    )


@given(st.floats())
def test_a_double_comes_back_through_its_own_text(value: float) -> None:
    read = post({"run_id": "r", "value": number(value)}).value

    assert read == value or (math.isnan(value) and read is not None and math.isnan(read))


@given(st.integers(0, int(LAST)))
def test_a_time_in_milliseconds_comes_back(milliseconds: int) -> None:
    assert to_ms(from_ms(milliseconds)) == milliseconds


@pytest.mark.parametrize("milliseconds", [int(LAST) + 1, 2**63 - 1, -(2**63)])
def test_a_time_beyond_the_calendar_is_refused(milliseconds: int) -> None:
    with pytest.raises(Refused):
        from_ms(milliseconds)


def test_null_is_absent_and_the_old_name_of_a_run_counts() -> None:
    assert post({"run_id": None, "run_uuid": "r", "step": None}).run_uuid == "r"
    with pytest.raises(Refused, match=r"Missing value for required parameter 'run_id'\."):
        post({"run_id": None, "step": 1})


def test_json_within_json_is_read() -> None:
    assert post(json.dumps({"run_id": "r"})).run_id == "r"


def test_a_bare_nan_is_read() -> None:
    value = post(b'{"run_id": "r", "value": NaN}').value

    assert value is not None
    assert math.isnan(value)


@pytest.mark.parametrize("body", [b'{"x":' + b"[" * 100_000, b'{"run_id":' + b"[" * 100_000])
def test_a_body_without_end_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="nested without end"):
        post(body)


def test_a_number_beyond_int64_is_shown_in_the_refusal() -> None:
    with pytest.raises(Refused, match=r"Invalid value 99999999999999999999 for parameter 'run_id' supplied"):
        post({"run_id": 99999999999999999999})


def test_the_first_field_that_fails_is_blamed() -> None:
    with pytest.raises(Refused, match="parameter 'step' supplied"):
        post({"items": "x", "step": "x", "run_id": "r"})


def test_a_list_in_a_query_is_a_list_even_of_one() -> None:
    class Several(msgspec.Struct):
        ids: list[str] | None = None

    form = Form(Several, ids=(required,))
    assert form.read(Request("GET", "/x", query_string=b"ids=a")).ids == ["a"]
    assert form.read(Request("GET", "/x", query_string=b"ids=a&ids=b&other=c")).ids == ["a", "b"]


@pytest.mark.parametrize(("text", "flag"), [("true", True), ("False", False)])
def test_a_boolean_in_a_query_is_a_word(text: str, flag: bool) -> None:
    assert get(f"run_id=r&flag={text}").flag is flag
    with pytest.raises(Refused, match="Invalid boolean value: maybe, must be 'true' or 'false'"):
        get("run_id=r&flag=maybe")


@given(st.text(max_size=30))
def test_a_good_name_is_its_own_path(name: str) -> None:
    if not fault_of_name(name):
        assert ".." not in name.split("/")
        assert not name.startswith("/")
        assert not name.endswith("/")


def _none(_: Request, __: object) -> None:
    return None


def test_a_table_finds_exact_paths_before_patterns() -> None:
    exact, pattern, rest = (
        Route("GET", "/mlflow/things/search", _none),
        Route("GET", "/mlflow/things/{id}", _none),
        Route("GET", "/mlflow/files/{path:path}", _none),
    )
    table = Table([pattern, exact, rest])

    assert table.find("GET", "/api/2.0/mlflow/things/search") == (exact, {})
    assert table.find("GET", "/ajax-api/2.0/mlflow/things/7") == (pattern, {"id": "7"})
    assert table.find("GET", "/api/2.0/mlflow/files/a/b") == (rest, {"path": "a/b"})
    assert table.find("GET", "/api/2.0/mlflow/things/7/8") is None
    assert table.find("POST", "/api/2.0/mlflow/things/7") is None
    assert table.methods("/api/2.0/mlflow/things/7") == ["GET"]


def test_no_operation_is_there_twice_and_none_is_refused_as_unsupported() -> None:
    seen = [(route.method, path) for route in routes() for path in route.paths()]

    assert len(seen) == len(set(seen))
    assert [path for method, path in seen if refusal(method, path) is not None] == []
