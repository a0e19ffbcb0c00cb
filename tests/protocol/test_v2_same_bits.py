"""Laws of the Open Inference Protocol V2: whichever way values come, JSON, binary, raw or typed gRPC, the model sees and says the same bits."""

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noria.server.inference.grpc.answer import respond
from noria.server.inference.grpc.question import GrpcQuestion
from noria.server.inference.grpc.schema import message
from noria.server.inference.v2_tensors import from_bytes
from tests.server.v2_factory import FIELDS, a_house, a_port, as_binary, as_json, as_message, ask, columns, raw

SHAPES = {"pair": 2}
finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
finite64 = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
whole = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def house():
    with a_house() as house:
        yield house


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 5))

    def several(values, count=rows):
        return draw(st.lists(values, min_size=count, max_size=count))

    return {
        "truth": np.array(several(st.booleans()), bool),
        "count": np.array(several(whole), np.int64),
        "single": np.array(several(finite32), np.float32),
        "double": np.array(several(finite64 | st.just(float("nan"))), np.float64),
        "text": np.array([*several(texts), ""], object)[:-1],
        "pair": np.array(several(finite32, rows * 2), np.float32).reshape(rows, 2),
    }


def by_json(house, values):
    body = as_json(values)
    for tensor in body["inputs"]:
        if tensor["name"] == "double":
            tensor["data"] = [None if v != v else v for v in tensor["data"]]
    return house.rest(body)[0]["outputs"]


def bits_of_json(outputs):
    held = {}
    for tensor, field in zip(outputs, FIELDS, strict=True):
        dtype = {"BOOL": bool, "INT64": np.int64, "FP32": np.float32, "FP64": np.float64, "BYTES": object}
        data = [float("nan") if v is None else v for v in tensor["data"]]
        held[tensor["name"]] = raw(np.array([*data, None], object)[:-1].astype(dtype[field.datatype]))
    return held


def bits_of_binary(house, values):
    body, length = as_binary(values, parameters={"binary_data_output": True})
    head, reply = house.rest(body, inference_header_content_length=length)
    tail, held = reply.body[int(dict(reply.headers)["inference-header-content-length"]) :], {}
    for tensor in head["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        held[tensor["name"]], tail = tail[:size], tail[size:]
    assert tail == b""
    return held


def answered(house, request):
    from noria.server.inference.answering import Told

    question = GrpcQuestion(message("ModelInferRequest").FromString(request.SerializeToString()))
    answer = house.answering.answer(house.board.get("echo"), question, Told(), started=0)
    return respond(answer, question)


def bits_of_raw(house, values):
    response = answered(house, as_message(values, is_raw=True))
    return {tensor.name: part for tensor, part in zip(response.outputs, response.raw_output_contents, strict=True)}


def bits_of_typed(house, values):
    held = {}
    for tensor, field in zip(answered(house, as_message(values, is_raw=False)).outputs, FIELDS, strict=True):
        assert len(tensor.contents.ListFields()) == 1
        plain = list(tensor.contents.ListFields()[0][1])
        dtype = {"BOOL": bool, "INT64": np.int64, "FP32": np.float32, "FP64": np.float64, "BYTES": object}
        if field.datatype == "BYTES":
            plain = [text.decode() for text in plain]
        held[tensor.name] = raw(np.array([*plain, None], object)[:-1].astype(dtype[field.datatype]))
    return held


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=tables())
def test_json_binary_and_grpc_give_the_same_bits(house, values):
    expected = {f"{name}_out": raw(held) for name, held in values.items()}
    canonical = np.array([v if v == v else float("nan") for v in values["double"]], np.float64).tobytes()

    assert bits_of_binary(house, values) == bits_of_raw(house, values) == expected
    assert bits_of_typed(house, values) == expected
    assert bits_of_json(by_json(house, values)) == expected | {"double_out": canonical}


@given(values=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=8))
def test_bf16_is_the_upper_half_of_fp32(values):
    given_bits = np.array(values, "<u2").tobytes()

    widened = from_bytes(given_bits, "x", "BF16", [len(values)])

    assert (widened.view(np.uint32) >> 16).tolist() == values
    assert not (widened.view(np.uint32) & 0xFFFF).any()


@given(values=st.lists(st.floats(width=16), min_size=1, max_size=8))
def test_fp16_goes_into_wider_columns_without_loss(values):
    half = np.array(values, np.float16)

    widened = from_bytes(half.tobytes(), "x", "FP16", [len(values)])

    np.testing.assert_array_equal(widened.astype(np.float64), half.astype(np.float64))


@pytest.mark.parametrize("way", ["json", "binary", "raw", "typed"])
def test_the_variant_that_a_text_falls_to_is_the_same_whichever_way_it_comes(house, way):
    for seed in range(8):
        values = columns(1, seed) | {"text": np.array([f"row {seed}"], object)}
        expected = house.rest(as_json(values), name="split")[0]["model_version"]

        if way == "json":
            got = house.rest(as_json(values, id="x"), name="split")[0]["model_version"]
        elif way == "binary":
            body, length = as_binary(values)
            got = house.rest(body, name="split", inference_header_content_length=length)[0]["model_version"]
        else:
            from noria.server.inference.answering import Told

            question = GrpcQuestion(as_message(values, is_raw=way == "raw"))
            got = str(
                house.answering.answer(house.board.get("split"), question, Told(), started=0).served.variant.number
            )

        assert got == expected


def test_what_is_recorded_is_the_same_whichever_way_it_came(house):
    values = columns(4, 9) | {"double": np.array([1.5, np.nan, -0.0, 1e300])}
    body, length = as_binary(values)
    ids = [
        by["parameters"]["request_id"]
        for by in (
            house.rest(
                as_json(values)
                | {
                    "inputs": [
                        t if t["name"] != "double" else t | {"data": [1.5, None, -0.0, 1e300]}
                        for t in as_json(values)["inputs"]
                    ]
                }
            )[0],
            house.rest(body, inference_header_content_length=length)[0],
        )
    ]
    ids += [
        answered(house, as_message(values, is_raw=is_raw)).parameters["request_id"].string_param
        for is_raw in (True, False)
    ]

    assert house.recorder.flush()
    table = pl.DataFrame(house.log.scan("echo")).sort("row")
    kept = [name for name in table.columns if name.startswith(("in.", "out."))]
    recorded = [table.filter(pl.col("request_id") == one).select(sorted(kept)).to_dict(as_series=False) for one in ids]
    assert [repr(one) for one in recorded[1:]] == [repr(recorded[0])] * 3
    assert recorded[0]["in.double"] == [1.5, None, -0.0, 1e300]


def test_a_port_gives_the_bits_that_the_codec_gives(house):
    values = columns(5, 3)

    with a_port(house) as address:
        response = ask(address, "ModelInfer", as_message(values, is_raw=True, id="42"))

    assert response.id == "42"
    assert list(response.raw_output_contents) == [raw(held) for held in values.values()]
