"""Requests that nobody meant, over REST and over gRPC: each is refused in the protocol's own shape, by name, and the next good one is answered."""

import gzip
import json
import zlib

import grpc
import numpy as np
import pytest

from noria.server.inference.grpc.schema import message
from noria.server.inference.limits import Limits
from tests.server.v2_factory import a_house, a_port, as_binary, as_json, as_message, ask, columns

pytestmark = pytest.mark.filterwarnings("error")
GOOD = columns(2, 5)
INFER = "/v2/models/echo/infer"


@pytest.fixture(scope="module")
def house():
    with a_house() as house:
        yield house


@pytest.fixture(scope="module")
def port(house):
    with a_port(house, body_limit=1 << 20) as address:
        yield address


def tensor(column, /, **change):
    """The good request with one tensor changed; a change of None takes the field away."""
    body = as_json(GOOD)
    for one in body["inputs"]:
        if one["name"] == column:
            one.update(change)
            for field in [field for field, value in change.items() if value is None]:
                del one[field]
    return body


def also(**more):
    return as_json(GOOD) | more


def outputs(*wanted):
    return also(outputs=list(wanted))


REST = {
    # what is no request at all
    "nothing": (b"", "JSON"),
    "half a request": (json.dumps(as_json(GOOD)).encode()[:-9], "JSON"),
    "two requests": (json.dumps(as_json(GOOD)).encode() * 2, "JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(as_json(GOOD)).encode(), "JSON"),
    "utf-16": (json.dumps(as_json(GOOD)).encode("utf-16"), "JSON"),
    "null": (b"null", "protocol"),
    "a number": (b"1", "protocol"),
    "a text": (b'"inputs"', "protocol"),
    "a list": (b"[]", "protocol"),
    "nested without end": (b'{"id":' + b"[" * 200_000, "protocol"),
    "a form": (b"inputs=1&x=2", "JSON"),
    # its fields
    "no inputs": ({}, "inputs"),
    "inputs of null": ({"inputs": None}, "inputs"),
    "inputs as object": ({"inputs": {}}, "inputs"),
    "empty inputs": ({"inputs": []}, "missing"),
    "an input of null": ({"inputs": [None]}, "inputs"),
    "id as number": (also(id=7), "id"),
    "id as list": (also(id=["7"]), "id"),
    "parameters as list": (also(parameters=[]), "parameters"),
    "parameters as text": (also(parameters="a"), "parameters"),
    "keys as number": (also(parameters={"keys": 4}), "keys"),
    "keys of numbers": (also(parameters={"keys": [1, 2]}), "keys"),
    "one key too many": (also(parameters={"keys": ["a", "b", "c"]}), "3 keys came with 2 rows"),
    "binary_data_output as text": (also(parameters={"binary_data_output": "yes"}), "binary_data_output"),
    "outputs as object": (also(outputs={}), "outputs"),
    "an output without name": (outputs({}), "name"),
    "an unknown output": (outputs({"name": "nope"}), "no output 'nope'"),
    "an output twice": (outputs({"name": "pair_out"}, {"name": "pair_out"}), "twice"),
    "binary_data as number": (outputs({"name": "pair_out", "parameters": {"binary_data": 1}}), "binary_data"),
    "classes as text": (outputs({"name": "pair_out", "parameters": {"classification": "2"}}), "classification"),
    "classes below zero": (outputs({"name": "pair_out", "parameters": {"classification": -1}}), "classification"),
    "classes of text": (outputs({"name": "text_out", "parameters": {"classification": 1}}), "classification"),
    "an output in shared memory": (
        outputs({"name": "pair_out", "parameters": {"shared_memory_region": "r"}}), "shared memory",
    ),
    # tensors
    "no name": (tensor("count", name=None), "name"),
    "no shape": (tensor("count", shape=None), "shape"),
    "no datatype": (tensor("count", datatype=None), "datatype"),
    "no data": (tensor("count", data=None), "no data"),
    "data of null": ({**as_json(GOOD), "inputs": [{**t, "data": None} for t in as_json(GOOD)["inputs"]]}, "data"),
    "data as object": (tensor("count", data={"0": 1, "1": 2}), "'count'"),
    "data as text": (tensor("text", data="ab"), "'text'"),
    "a tensor twice": ({"inputs": as_json(GOOD)["inputs"] * 2}, "twice"),
    "a surplus tensor": (
        {"inputs": [*as_json(GOOD)["inputs"], {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}]}, "'x'",
    ),
    "a missing tensor": ({"inputs": as_json(GOOD)["inputs"][1:]}, "'truth' is missing"),
    "an unknown datatype": (tensor("count", datatype="INT128"), "INT128"),
    "a datatype in lower case": (tensor("count", datatype="int64"), "int64"),
    "Triton's name of a type": (tensor("text", datatype="STRING"), "STRING"),
    "a wider datatype": (tensor("single", datatype="FP64"), "'single'"),
    "FP16 in JSON": (tensor("single", datatype="FP16"), "no FP16 in JSON"),
    "BF16 in JSON": (tensor("single", datatype="BF16"), "no BF16 in JSON"),
    "no dimension": (tensor("count", shape=[]), "shape"),
    "three dimensions": (tensor("count", shape=[2, 1, 1]), "shape"),
    "a dimension below zero": (tensor("count", shape=[-2]), "shape"),
    "a dimension as text": (tensor("count", shape=["2"]), "shape"),
    "a dimension as fraction": (tensor("count", shape=[2.5]), "shape"),
    "a dimension beyond 64 bits": (tensor("count", shape=[2**64]), "shape"),
    "another width": (tensor("pair", shape=[2, 3]), "[rows, 2]"),
    "a flat shape of a wide column": (tensor("pair", shape=[4]), "[rows, 2]"),
    "one row more in the shape": (tensor("count", shape=[3]), "shape"),
    "one row less in the data": (tensor("count", data=[1]), "1 values"),
    "rows of unequal width": (tensor("pair", data=[[1.0, 2.0, 3.0], [4.0]]), "row 0"),
    "a row nested too deep": (tensor("pair", data=[[[1.0, 2.0]], [[3.0, 4.0]]]), "'pair'"),
    "columns instead of rows": (tensor("pair", data=[[1.0], [2.0], [3.0], [4.0]]), "row 0"),
    # values
    "a truth as number": (tensor("truth", data=[0, 1]), "'truth'"),
    "a truth as text": (tensor("truth", data=["true", "false"]), "'truth'"),
    "a number as truth": (tensor("count", data=[True, False]), "'count'"),
    "a number as text": (tensor("count", data=["1", "2"]), "'count'"),
    "a fraction as whole number": (tensor("count", data=[1.5, 2]), "'count'"),
    "a whole number too large": (tensor("count", data=[2**63, 1]), "'count'"),
    "a whole number too small": (tensor("count", data=[-(2**63) - 1, 1]), "'count'"),
    "UINT64 beyond INT64": (tensor("count", datatype="UINT64", data=[2**63, 1]), "'count'"),
    "UINT64 below zero": (tensor("count", datatype="UINT64", data=[-1, 1]), "'count'"),
    "UINT8 of 256": (tensor("count", datatype="UINT8", data=[256, 1]), "values from 0 to 255"),
    "INT8 of -129": (tensor("count", datatype="INT8", data=[-129, 1]), "values from -128 to 127"),
    "UINT16 of -1": (tensor("count", datatype="UINT16", data=[-1, 1]), "values from 0 to 65535"),
    "INT16 of 32768": (tensor("count", datatype="INT16", data=[32768, 1]), "32767"),
    "UINT32 of 2^32": (tensor("count", datatype="UINT32", data=[2**32, 1]), "4294967295"),
    "INT32 of 2^31": (tensor("count", datatype="INT32", data=[2**31, 1]), "2147483647"),
    "FP32 of 1e39": (tensor("single", data=[1e39, 1.0]), "FP32"),
    "a null where none may be": (tensor("single", data=[None, 1.0]), "'single'"),
    "a null truth": (tensor("truth", data=[None, True]), "'truth'"),
    "a null whole number": (tensor("count", data=[None, 1]), "'count'"),
    "a null text": (tensor("text", data=[None, "a"]), "'text'"),
    "text as number": (tensor("text", data=[1, 2]), "'text'"),
    "shared memory": (tensor("count", data=None, parameters={"shared_memory_region": "r"}), "shared memory"),
    "data and bytes": (tensor("count", parameters={"binary_data_size": 0}), "one of the two"),
}  # fmt: skip

BODY, LENGTH = as_binary(GOOD)


def sized(size):
    """The good binary request whose tensor 'count' says another size."""
    head = json.loads(BODY[: int(LENGTH)])
    head["inputs"][1]["parameters"]["binary_data_size"] = size
    content = json.dumps(head).encode()
    return content + BODY[int(LENGTH) :], {"inference-header-content-length": str(len(content))}


def binary(name, content, *, datatype=None, shape=None):
    """The good binary request with one tensor's bytes changed."""
    held = json.loads(BODY[: int(LENGTH)])
    tail, at = [], int(LENGTH)
    for one in held["inputs"]:
        size = one["parameters"]["binary_data_size"]
        part, at = BODY[at : at + size], at + size
        if one["name"] == name:
            part = content
            one["parameters"]["binary_data_size"] = len(content)
            one.update({k: v for k, v in (("datatype", datatype), ("shape", shape)) if v is not None})
        tail.append(part)
    head = json.dumps(held).encode()
    return b"".join([head, *tail]), {"inference-header-content-length": str(len(head))}


def length(text):
    return BODY, {"inference-header-content-length": text}


BINARY = {
    "a length beyond the body": (*length("99999999"), "Inference-Header-Content-Length"),
    "a length below zero": (*length("-1"), "Inference-Header-Content-Length"),
    "a length as word": (*length("ten"), "Inference-Header-Content-Length"),
    "a length of other digits": (*length("\u0662"), "Inference-Header-Content-Length"),
    "a length as fraction": (*length("1.0"), "Inference-Header-Content-Length"),
    "a length that cuts the JSON": (*length(str(int(LENGTH) - 1)), "JSON"),
    "a length that takes bytes along": (*length(str(int(LENGTH) + 1)), "JSON"),
    "no length": (BODY, {}, "JSON"),
    "no JSON for several inputs": (*length("0"), "several inputs"),
    "a size beyond the body": (*sized(10**9), "binary_data_size"),
    "a size below zero": (*sized(-16), "binary_data_size"),
    "a size as text": (*sized("16"), "binary_data_size"),
    "a size as truth": (*sized(True), "binary_data_size"),
    "a size as fraction": (*sized(16.0), "binary_data_size"),
    "a size too small": (*sized(8), "follow"),
    "bytes that are left over": (BODY + b"x", {"inference-header-content-length": LENGTH}, "follow"),
    "bytes that are missing": (BODY[:-1], {"inference-header-content-length": LENGTH}, "binary_data_size"),
    "a truth of 2": (*binary("truth", b"\x02\x00"), "a byte is 2"),
    "half a number": (*binary("count", b"\x00" * 15), "15 bytes"),
    "UINT64 beyond INT64": (*binary("count", b"\xff" * 16, datatype="UINT64"), "does not fit"),
    "FP64 for FP32": (*binary("single", b"\x00" * 16, datatype="FP64"), "FP64"),
    "NaN where none may be": (*binary("single", np.array([np.nan, 1], "<f4").tobytes()), "'single' has no value"),
    "text without length": (*binary("text", b"abc"), "whole texts"),
    "text with a length too long": (*binary("text", b"\xff\xff\xff\xffab"), "whole texts"),
    "one text of two": (*binary("text", b"\x01\x00\x00\x00a"), "1 whole texts"),
    "three texts of two": (*binary("text", b"\x00\x00\x00\x00" * 3), "2 whole texts in 8 of 12 bytes"),
    "text that is not UTF-8": (*binary("text", b"\x01\x00\x00\x00\xff\x00\x00\x00\x00"), "not UTF-8"),
    "half a surrogate": (*binary("text", b"\x03\x00\x00\x00\xed\xa0\x80\x00\x00\x00\x00"), "not UTF-8"),
    "no rows": (*binary("count", b"", shape=[0]), "rows"),
    "gzip that is none": (BODY, {"inference-header-content-length": LENGTH, "content-encoding": "gzip"}, "gzip"),
    "gzip that is torn": (gzip.compress(BODY)[:-5], {"content-encoding": "gzip"}, "gzip"),
    "deflate that is none": (b"x", {"content-encoding": "deflate"}, "deflate"),
    "an encoding without a name": (zlib.compress(BODY), {"content-encoding": "zip"}, "zip"),
}  # fmt: skip


def refused(house, path, body, headers=None):
    status, told, content = house.http(
        "POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers
    )
    error = json.loads(content)
    assert list(error) == ["error"]
    assert isinstance(error["error"], str)
    assert "Traceback" not in error["error"]
    assert ".py" not in error["error"]
    assert told["content-type"] == "application/json"
    return status, error["error"]


@pytest.mark.parametrize("case", REST)
def test_a_malformed_json_request_is_a_400(house, case):
    body, named = REST[case]

    status, error = refused(house, INFER, body)

    assert status == 400
    assert named in error
    assert house.http("POST", INFER, json.dumps(as_json(GOOD)).encode())[0] == 200


@pytest.mark.parametrize("case", BINARY)
def test_a_malformed_binary_request_is_a_400(house, case):
    body, headers, named = BINARY[case]

    status, error = refused(house, INFER, body, headers)

    assert status == 400
    assert named in error
    assert house.http("POST", INFER, BODY, {"inference-header-content-length": LENGTH})[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v2/models/nope/infer", b"{}", 404),
        ("POST", "/v2/models/nope/versions/1/infer", b"{}", 404),
        ("POST", "/v2/models/soon/infer", b"{}", 503),
        ("GET", "/v2/models/soon/ready", b"", 503),
        ("GET", "/v2/models/nope", b"", 404),
        ("GET", "/v2/models/echo/versions/9", b"", 404),
        ("GET", "/v2/models/echo/versions/9/ready", b"", 404),
        ("GET", "/v2/models/echo/versions/9/stats", b"", 404),
        ("GET", "/v2/models/nope/stats", b"", 404),
        ("GET", "/v2/models/echo/infer", b"", 405),
        ("POST", "/v2/models/echo", b"", 405),
        ("POST", "/v2/health/live", b"", 405),
        ("GET", "/v2/repository/index", b"", 405),
        ("GET", "/v2/repository/models/echo/load", b"", 405),
        ("POST", "/v2/repository/index", b"[]", 400),
        ("POST", "/v2/repository/index", b'{"ready":"yes"}', 400),
        ("POST", "/v2/repository/index", b"\xff", 400),
        ("POST", "/v2/repository/models/nope/load", b"", 404),
        ("POST", "/v2/repository/models/nope/unload", b"{}", 404),
        ("POST", "/v2/repository/models/echo/load", b"{", 400),
        ("POST", "/v2/repository/models/echo/load", b'{"parameters":{"config":"{}"}}', 400),
        ("POST", "/v2/repository/models/echo/load", b'{"parameters":{"file:1/model.onnx":"AAAA"}}', 400),
        ("POST", "/v2/repository/models/echo/unload", b'{"parameters":7}', 400),
        ("GET", "/v2/models/echo/config", b"", 501),
        ("GET", "/v2/models/echo/trace/setting", b"", 501),
        ("POST", "/v2/trace/setting", b"{}", 501),
        ("POST", "/v2/logging", b"{}", 501),
        ("GET", "/v2/systemsharedmemory/status", b"", 501),
        ("POST", "/v2/cudasharedmemory/region/r/register", b"{}", 501),
        ("GET", "/v2/nothing", b"", 404),
        ("GET", "/v2/models", b"", 404),
        ("GET", "/v2/models/echo/nothing", b"", 404),
        ("GET", "/v2/models/echo/versions", b"", 404),
    ],
)  # fmt: skip
def test_a_path_that_leads_nowhere_says_so(house, method, path, body, status):
    got, _, content = house.http(method, path, body)

    assert got == status
    assert list(json.loads(content)) == ["error"]


def infer(*, is_raw=False, **more):
    return as_message(GOOD, is_raw=is_raw, **more)


def grpc_tensor(column, /, *, is_raw=False, contents=None, content=None, **change):
    """The good message with one tensor changed."""
    request = infer(is_raw=is_raw)
    for i, one in enumerate(request.inputs):
        if one.name == column:
            if "shape" in change:
                del one.shape[:]
                one.shape.extend(change.pop("shape"))
            for field, value in change.items():
                setattr(one, field, value)
            if contents is not None:
                one.ClearField("contents")
                for field, values in contents.items():
                    getattr(one.contents, field).extend(values)
            if content is not None:
                request.raw_input_contents[i] = content
    return request


def changed(request, change):
    change(request)
    return request


def wanted(output_name, /, **parameters):
    def change(request):
        output = request.outputs.add(name=output_name)
        for parameter, (choice, value) in parameters.items():
            setattr(output.parameters[parameter], choice, value)

    return changed(infer(), change)


def parameter(name, choice, value):
    return changed(infer(), lambda request: setattr(request.parameters[name], choice, value))


def as_region(request):
    request.inputs[0].parameters["shared_memory_region"].string_param = "r"


GRPC = {
    "what is no message": (b"\xff\xff\xff", "no ModelInferRequest"),
    "half a message": (infer().SerializeToString()[:-3], "no ModelInferRequest"),
    "JSON": (json.dumps(as_json(GOOD)).encode(), "no ModelInferRequest"),
    "no inputs": (message("ModelInferRequest")(model_name="echo"), "missing"),
    "a missing tensor": (changed(infer(), lambda r: r.inputs.pop(0)), "'truth' is missing"),
    "a surplus tensor": (changed(infer(), lambda r: r.inputs.add(name="x")), "'x' is unknown"),
    "a tensor twice": (changed(infer(), lambda r: r.inputs.append(r.inputs[0])), "twice"),
    "a tensor without name": (grpc_tensor("count", name=""), "'count' is missing"),
    "raw and typed": (changed(infer(is_raw=True), lambda r: r.inputs[0].contents.bool_contents.append(True)), "one of the two"),
    "raw and empty typed": (changed(infer(is_raw=True), lambda r: r.inputs[0].contents.SetInParent()), "one of the two"),
    "one raw part too few": (changed(infer(is_raw=True), lambda r: r.raw_input_contents.pop()), "5 parts for 6"),
    "one raw part too many": (changed(infer(is_raw=True), lambda r: r.raw_input_contents.append(b"")), "7 parts for 6"),
    "no contents at all": (grpc_tensor("count", contents={}), "0 values"),
    "contents of another type": (grpc_tensor("count", contents={"int_contents": [1, 2]}), "int_contents"),
    "contents of two types": (grpc_tensor("count", contents={"int64_contents": [1, 2], "fp64_contents": [1.0]}), "fp64_contents"),
    "FP32 in FP64's field": (grpc_tensor("single", contents={"fp64_contents": [1.0, 2.0]}), "fp64_contents"),
    "one value too few": (grpc_tensor("count", contents={"int64_contents": [1]}), "1 values"),
    "one value too many": (grpc_tensor("count", contents={"int64_contents": [1, 2, 3]}), "3 values"),
    "an unknown datatype": (grpc_tensor("count", datatype="INT128"), "INT128"),
    "no datatype": (grpc_tensor("count", datatype=""), "datatype"),
    "a datatype in lower case": (grpc_tensor("count", datatype="int64"), "int64"),
    "another datatype": (grpc_tensor("single", datatype="FP64", contents={"fp64_contents": [1.0, 2.0]}), "FP64"),
    "FP16 typed": (grpc_tensor("single", datatype="FP16"), "FP16"),
    "BF16 typed": (grpc_tensor("single", datatype="BF16"), "BF16"),
    "no shape": (grpc_tensor("count", shape=[]), "shape []"),
    "a shape below zero": (grpc_tensor("count", shape=[-1]), "shape"),
    "the least shape there is": (grpc_tensor("count", shape=[-(2**63)]), "shape"),
    "a shape that is too long": (grpc_tensor("count", shape=[3]), "shape"),
    "a shape without end": (grpc_tensor("count", shape=[2**62]), "shape"),
    "three dimensions": (grpc_tensor("count", shape=[2, 1, 1]), "shape"),
    "another width": (grpc_tensor("pair", shape=[2, 3]), "[rows, 2]"),
    "a flat shape of a wide column": (grpc_tensor("pair", shape=[4]), "[rows, 2]"),
    "no rows": (grpc_tensor("truth", shape=[0], contents={}), "rows"),
    "unequal rows": (grpc_tensor("count", shape=[1], contents={"int64_contents": [1]}), "rows"),
    "UINT8 of 256": (grpc_tensor("count", datatype="UINT8", contents={"uint_contents": [256, 1]}), "0 to 255"),
    "INT8 of -129": (grpc_tensor("count", datatype="INT8", contents={"int_contents": [-129, 1]}), "-128 to 127"),
    "UINT16 of 65536": (grpc_tensor("count", datatype="UINT16", contents={"uint_contents": [65536, 1]}), "65535"),
    "INT16 of 32768": (grpc_tensor("count", datatype="INT16", contents={"int_contents": [32768, 1]}), "32767"),
    "UINT64 beyond INT64": (grpc_tensor("count", datatype="UINT64", contents={"uint64_contents": [2**63, 1]}), "does not fit"),
    "NaN where none may be": (grpc_tensor("single", contents={"fp32_contents": [float("nan"), 1.0]}), "'single'"),
    "text that is not UTF-8": (grpc_tensor("text", contents={"bytes_contents": [b"\xff", b""]}), "not UTF-8"),
    "half a surrogate": (grpc_tensor("text", contents={"bytes_contents": [b"\xed\xa0\x80", b""]}), "not UTF-8"),
    "raw: half a number": (grpc_tensor("count", is_raw=True, content=b"\x00" * 15), "15 bytes"),
    "raw: nothing": (grpc_tensor("count", is_raw=True, content=b""), "0 bytes"),
    "raw: a truth of 2": (grpc_tensor("truth", is_raw=True, content=b"\x02\x01"), "a byte is 2"),
    "raw: text without length": (grpc_tensor("text", is_raw=True, content=b"abc"), "whole texts"),
    "raw: text too long": (grpc_tensor("text", is_raw=True, content=b"\xff\xff\xff\xffa"), "whole texts"),
    "raw: text that is not UTF-8": (
        grpc_tensor("text", is_raw=True, content=b"\x01\x00\x00\x00\xff\x00\x00\x00\x00"), "not UTF-8",
    ),
    "raw: NaN where none may be": (
        grpc_tensor("single", is_raw=True, content=np.array([np.nan, 1], "<f4").tobytes()), "'single'",
    ),
    "raw: UINT64 beyond INT64": (grpc_tensor("count", is_raw=True, datatype="UINT64", content=b"\xff" * 16), "does not fit"),
    "an unknown output": (wanted("nope"), "no output 'nope'"),
    "an output without name": (wanted(""), "no output ''"),
    "an output twice": (changed(wanted("pair_out"), lambda r: r.outputs.add(name="pair_out")), "twice"),
    "classes below zero": (wanted("pair_out", classification=("int64_param", -1)), "classification"),
    "classes as text": (wanted("pair_out", classification=("string_param", "2")), "classification"),
    "classes of text": (wanted("text_out", classification=("int64_param", 1)), "classification"),
    "an output in shared memory": (wanted("pair_out", shared_memory_region=("string_param", "r")), "shared memory"),
    "shared memory": (changed(infer(), as_region), "shared memory"),
    "keys as number": (parameter("keys", "int64_param", 3), "keys"),
    "keys of numbers": (parameter("keys", "string_param", "[1, 2]"), "keys"),
    "one key for two rows": (parameter("keys", "string_param", "a"), "1 keys came with 2 rows"),
    "a text that is not UTF-8 in the message": (b"\x0a\x01\xff", "no ModelInferRequest"),
}  # fmt: skip


@pytest.mark.parametrize("case", GRPC)
def test_a_malformed_message_is_an_invalid_argument(port, case):
    request, named = GRPC[case]

    with pytest.raises(grpc.RpcError) as caught:
        ask(port, "ModelInfer", request)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert named in caught.value.details()
    assert "remedy:" in caught.value.details()
    assert "Traceback" not in caught.value.details()
    assert ask(port, "ModelInfer", infer()).model_name == "echo"


def named(kind, /, **fields):
    return kind.removesuffix("Request"), message(kind)(**fields)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("ModelInfer", as_message(GOOD, is_raw=True, name="nope")), "NOT_FOUND"),
        (("ModelInfer", as_message(GOOD, is_raw=True, name="")), "NOT_FOUND"),
        (("ModelInfer", as_message(GOOD, is_raw=True, model_version="9")), "NOT_FOUND"),
        (("ModelInfer", as_message(GOOD, is_raw=True, name="soon")), "UNAVAILABLE"),
        (named("ModelMetadataRequest", name="nope"), "NOT_FOUND"),
        (named("ModelMetadataRequest", name="echo", version="9"), "NOT_FOUND"),
        (named("ModelMetadataRequest", name="soon"), "UNAVAILABLE"),
        (named("ModelStatisticsRequest", name="nope"), "NOT_FOUND"),
        (named("ModelStatisticsRequest", name="echo", version="9"), "NOT_FOUND"),
        (named("RepositoryModelLoadRequest", model_name="nope"), "NOT_FOUND"),
        (named("RepositoryModelUnloadRequest", model_name=""), "NOT_FOUND"),
        (named("RepositoryModelLoadRequest", model_name="echo", parameters={"config": {"string_param": "{}"}}), "INVALID_ARGUMENT"),
        (named("RepositoryModelUnloadRequest", model_name="echo", parameters={"x": {"bool_param": True}}), "INVALID_ARGUMENT"),
        (("Check", message("HealthCheckRequest")(service="nobody")), "NOT_FOUND"),
        (("ModelConfig", b""), "UNIMPLEMENTED"),
        (("TraceSetting", b""), "UNIMPLEMENTED"),
        (("Nothing", b""), "UNIMPLEMENTED"),
        (("ModelMetadata", b"\xff"), "INVALID_ARGUMENT"),
        (("RepositoryIndex", b"\xff"), "INVALID_ARGUMENT"),
        (("ServerMetadata", b"\xff"), "INVALID_ARGUMENT"),
        (("ModelInfer", infer(id="x" * (2 << 20))), "RESOURCE_EXHAUSTED"),
    ],
)  # fmt: skip
def test_a_call_that_leads_nowhere_has_its_status(port, call, code):
    with pytest.raises(grpc.RpcError) as caught:
        ask(port, *call)

    assert caught.value.code().name == code
    assert ask(port, "ServerLive", message("ServerLiveRequest")()).live


def test_a_faulty_message_of_a_stream_is_told_and_the_stream_goes_on(port):
    bodies = [
        request.SerializeToString() if not isinstance(request, bytes) else request for request, _ in GRPC.values()
    ]
    good = infer(id="last").SerializeToString()

    with grpc.insecure_channel(port) as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        answers = [
            message("ModelStreamInferResponse").FromString(got) for got in call(iter([*bodies, good]), timeout=30)
        ]

    assert [named in answer.error_message for answer, (_, named) in zip(answers, GRPC.values(), strict=False)] == [
        True
    ] * len(GRPC)
    assert answers[-1].error_message == ""
    assert answers[-1].infer_response.id == "last"


def test_a_stream_that_asks_for_statuses_ends_with_one(port):
    with grpc.insecure_channel(port) as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b"\xff"]), metadata=(("triton_grpc_error", "true"),), timeout=30))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_worker_that_has_enough_to_do_sheds_with_a_pause(house):
    with a_port(house, limits=Limits(in_flight=0)) as address, grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        with pytest.raises(grpc.RpcError) as caught:
            call(infer().SerializeToString(), timeout=20)

        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"


def test_a_deadline_that_is_over_is_kept_and_nothing_is_recorded(house):
    before = house.recorder.flush() and house.recorder.status().written

    with a_port(house, limits=Limits(deadline_s=1e-9)) as address, pytest.raises(grpc.RpcError) as caught:
        ask(address, "ModelInfer", infer())

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert house.recorder.flush()
    assert house.recorder.status().written == before


def test_a_message_that_swells_beyond_the_limit_is_refused(port):
    swelling = infer(id="x" * (64 << 20)).SerializeToString()
    options = [("grpc.max_send_message_length", -1)]

    with grpc.insecure_channel(port, options=options, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(swelling, timeout=30)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ask(port, "ModelInfer", infer()).model_name == "echo"
