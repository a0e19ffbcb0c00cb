"""Binary tensors read in a few calls give what reading each with care gives: the same columns, the same records, the same refusals."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.domain.model import Field, Signature
from noria.errors import RequestInvalid
from noria.server.inference.v2_binary import read_binary, usual_binary
from noria.server.inference.v2_question import V2Question
from tests.server.v2_factory import raw, served

PLAIN = Signature(
    inputs=(
        Field(name="one", datatype="FP32"),
        Field(name="two", datatype="FP32", nullable=True),
        Field(name="text", datatype="BYTES"),
        Field(name="other", datatype="BYTES"),
        Field(name="count", datatype="INT64"),
        Field(name="wide", datatype="FP64", nullable=True),
    ),
    outputs=(Field(name="one_out", datatype="FP32"),),
)
KINDS = {f.name: f.datatype for f in PLAIN.inputs}
SERVED = served(PLAIN, number=77)


def values(rows: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(rows)
    return {
        "one": rng.normal(size=rows).astype(np.float32),
        "two": rng.normal(size=rows).astype(np.float32),
        "text": np.array([f"ä{i}" * (i % 3) for i in range(rows)], object),
        "other": np.array(["x"] * rows, object),
        "count": rng.integers(-(2**63), 2**63 - 1, rows),
        "wide": rng.normal(0, 1e300, rows),
    }


def body(held: dict[str, Any], *, extra: dict[str, Any] | None = None, **changes: Any) -> tuple[bytes, str]:
    """A request and the length of its JSON. extra: further parameters of the first tensor; changes: of its description."""
    inputs = [
        {
            "name": n,
            "datatype": KINDS.get(n, "FP32"),
            "shape": list(v.shape),
            "parameters": {"binary_data_size": len(raw(v))},
        }
        for n, v in held.items()
    ]
    inputs[0] |= changes
    inputs[0]["parameters"] |= extra or {}
    head = msgspec.json.encode({"inputs": inputs, "id": "7"})
    return head + b"".join(raw(v) for v in held.values()), str(len(head))


def outcome(content: bytes, length: str) -> Any:
    """Columns with their records as lists, or the refusal."""
    try:
        read = V2Question(content, header_length=length).columns(SERVED)
    except RequestInvalid as error:
        return str(error)
    recorded = {name: list(value) for names, block in read.blocks for name, value in zip(names, block, strict=True)}
    return (
        {n: None if v is None else (str(v.dtype), str(v.tolist())) for n, v in read.columns.items()},
        {n: str(v) for n, v in recorded.items()},
        read.known_good,
    )


def is_usual(content: bytes, length: str) -> bool:
    request = usual_binary(content[: int(length)])
    return request is not None and read_binary(request, memoryview(content)[int(length) :], SERVED) is not None


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_a_usual_request_is_read_in_a_few_calls_and_means_what_it_means_with_care(rows: int) -> None:
    usual, careful = body(values(rows)), body(values(rows), extra={"note": 1})

    assert is_usual(*usual)
    assert not is_usual(*careful)
    assert outcome(*usual) == outcome(*careful)


def test_neighbouring_columns_of_one_type_are_not_copied() -> None:
    content, length = body(values())
    request = usual_binary(content[: int(length)])
    assert request is not None
    read = read_binary(request, memoryview(content)[int(length) :], SERVED)

    assert read is not None
    assert [names for names, _ in read.blocks] == [["one", "two"], ["text", "other"], ["count"], ["wide"]]
    assert np.shares_memory(np.frombuffer(content, np.uint8), read.blocks[0][1])


GAPS = values() | {"two": np.array([1, np.nan, 2], np.float32)}
UNUSUAL: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (GAPS, {}),
    (values() | {"wide": np.array([np.inf, -np.inf, 1.0])}, {}),
    (dict(reversed(values().items())), {}),
    ({n: v for n, v in values().items() if n != "count"}, {}),
    (values() | {"more": np.ones(3, np.float32)}, {}),
    (values() | {"one": np.ones(2, np.float32)}, {}),
    (values(), {"shape": [4]}),
    (values(), {"shape": [3, 1]}),
    (values(), {"shape": [3, 1, 1]}),
    (values(), {"shape": []}),
    (values(), {"shape": [-3]}),
    (values(), {"datatype": "FP64"}),
    (values(), {"parameters": {"binary_data_size": -12}}),
    (values(), {"parameters": {"binary_data_size": 13}}),
    (values(), {"parameters": {"binary_data_size": True}}),
    (values(), {"parameters": {"shared_memory_region": "r"}}),
    (values(), {"data": [1.0, 2.0, 3.0]}),
    (values(0), {}),
]


@pytest.mark.parametrize(("held", "changes"), UNUSUAL)
def test_whatever_is_unusual_is_said_as_when_it_is_read_with_care(
    held: dict[str, Any], changes: dict[str, Any]
) -> None:
    parameters = {"parameters": {**changes.get("parameters", {}), "note": 1}} if "parameters" in changes else {}
    content, length = body(held, **changes)
    careful, careful_length = body(held, extra={"note": 1}, **(changes | parameters))

    assert outcome(content, length) == outcome(careful, careful_length)


@given(cut=st.integers(0, 400), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_bytes_that_were_changed_or_lost_are_refused_or_read_alike(cut: int, at: int, byte: int) -> None:
    content, length = body(values())
    careful, careful_length = body(values(), extra={"note": 1})
    tail = bytearray(content[int(length) :])
    tail[at % len(tail)] = byte
    damaged = bytes(tail[: len(tail) - cut % len(tail)] if cut % 3 else tail)

    head, careful_head = content[: int(length)], careful[: int(careful_length)]
    assert outcome(head + damaged, length) == outcome(careful_head + damaged, careful_length)
