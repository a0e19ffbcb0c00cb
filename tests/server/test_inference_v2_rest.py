"""What Triton's extensions of the Open Inference Protocol promise over REST: encodings, raw requests, classes, the repository, counts; and over gRPC
what only it has."""

import gzip
import json
import subprocess
import zlib

import grpc
import numpy as np
import pytest

from noria.errors import BundleCorrupt
from noria.server.inference.access import Keys
from noria.server.inference.grpc.schema import message
from noria.server.inference.tls import Certificates
from noria.server.inference.v2_answer import SMALL_BYTES
from tests.server.v2_factory import a_house, a_port, as_binary, as_json, as_message, ask, columns, raw

INFER = "/v2/models/echo/infer"


@pytest.fixture
def house():
    with a_house() as house:
        yield house


def body(rows=2, **more):
    return json.dumps(as_json(columns(rows), **more)).encode()


@pytest.mark.parametrize(
    ("accepts", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("GZIP", "gzip"),
        ("gzip;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=no", None),
        ("identity", None),
        ("br", None),
        ("", None),
        ("*", "gzip"),
    ],
)
def test_an_answer_is_encoded_as_the_client_means(house, accepts, encoding):
    plain = house.http("POST", INFER, body())[2]
    _, headers, content = house.http("POST", INFER, body(), {"accept-encoding": accepts})

    assert headers.get("content-encoding") == encoding
    opened = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[encoding](content)
    assert json.loads(opened)["outputs"] == json.loads(plain)["outputs"]


def test_a_client_that_only_can_decode_gets_small_answers_plain_and_large_ones_encoded(house):
    able = {"accept-encoding": "gzip, deflate, br"}

    assert "content-encoding" not in house.http("POST", INFER, body(1), able)[1]
    _, headers, content = house.http("POST", INFER, body(500), able)

    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "accept-encoding"
    assert len(content) < len(gzip.decompress(content))
    assert len(gzip.decompress(content)) > SMALL_BYTES


def test_the_length_of_the_json_counts_before_encoding(house):
    content, length = as_binary(columns(2), parameters={"binary_data_output": True})
    told = {"inference-header-content-length": length, "accept-encoding": "deflate"}

    _, headers, encoded = house.http("POST", INFER, content, told)

    opened = zlib.decompress(encoded)
    size = int(headers["inference-header-content-length"])
    outputs = json.loads(opened[:size])["outputs"]
    assert sum(o["parameters"]["binary_data_size"] for o in outputs) == len(opened) - size


def test_a_body_needs_no_content_type_and_its_word_is_not_taken(house):
    for told in ({}, {"content-type": "text/plain"}, {"content-type": "application/octet-stream"}):
        assert house.http("POST", INFER, body(), told)[0] == 200


def test_one_input_may_come_without_json(house):
    pair = columns(3)["pair"]

    status, headers, content = house.http(
        "POST", "/v2/models/one/infer", raw(pair), {"inference-header-content-length": "0"}
    )

    size = int(headers["inference-header-content-length"])
    assert status == 200
    assert json.loads(content[:size])["outputs"][0]["shape"] == [3, 2]
    assert content[size:] == raw(pair)


def test_outputs_come_in_the_order_they_are_asked_for_each_in_its_form(house):
    wanted = [
        {"name": "pair_out", "parameters": {"binary_data": True}},
        {"name": "count_out"},
        {"name": "text_out", "parameters": {"binary_data": True}},
    ]
    values = columns(2)

    head, reply = house.rest(as_json(values, outputs=wanted))

    assert [o["name"] for o in head["outputs"]] == ["pair_out", "count_out", "text_out"]
    assert head["outputs"][1]["data"] == values["count"].tolist()
    tail = reply.body[int(dict(reply.headers)["inference-header-content-length"]) :]
    assert tail == raw(values["pair"]) + raw(values["text"])


def test_binary_for_all_yields_to_what_an_output_says(house):
    head, _ = house.rest(
        as_json(
            columns(2),
            parameters={"binary_data_output": True},
            outputs=[{"name": "count_out", "parameters": {"binary_data": False}}, {"name": "pair_out"}],
        )
    )

    assert "data" in head["outputs"][0]
    assert head["outputs"][1]["parameters"] == {"binary_data_size": 16}


def test_classes_are_the_highest_values_with_their_places(house):
    pair = np.array([[0.25, 0.75], [2.5, 2.5]], np.float32)
    values = columns(2) | {"pair": pair}

    head, _ = house.rest(as_json(values, outputs=[{"name": "pair_out", "parameters": {"classification": 2}}]))
    (first,) = head["outputs"]

    assert (first["datatype"], first["shape"]) == ("BYTES", [2, 2])
    assert first["data"] == ["0.750000:1", "0.250000:0", "2.500000:0", "2.500000:1"]
    head, _ = house.rest(as_json(values, outputs=[{"name": "pair_out", "parameters": {"classification": 9}}]))
    assert head["outputs"][0]["shape"] == [2, 2]


def test_the_id_comes_back_and_is_not_invented(house):
    assert house.rest(as_json(columns(1), id=""))[0]["id"] == ""
    assert house.rest(as_json(columns(1), id="a b"))[0]["id"] == "a b"
    assert "id" not in house.rest(as_json(columns(1)))[0]


def test_a_version_in_the_path_answers(house):
    for number in ("4", "5"):
        assert house.rest(as_json(columns(1)), name="split", version=number)[0]["model_version"] == number


def test_the_index_tells_every_state_and_why(house):
    house.board.wanted("broken", BundleCorrupt("file 'model.onnx' differs"))
    assert house.tell("POST", "/v2/repository/models/one/unload")[0] == 200

    rows = house.tell("POST", "/v2/repository/index", b"")[1]

    told = {(row["name"], row.get("version")): (row["state"], row["reason"]) for row in rows}
    assert told["echo", "1"] == ("READY", "")
    assert told["split", "4"] == told["split", "5"] == ("READY", "")
    assert told["soon", None] == ("LOADING", "")
    assert told["one", None] == ("UNAVAILABLE", "unloaded")
    assert told["broken", None][0] == "UNAVAILABLE"
    assert "differs" in told["broken", None][1]
    ready = house.tell("POST", "/v2/repository/index", b'{"ready": true}')[1]
    assert {row["name"] for row in ready} == {"echo", "split"}


def test_what_is_unloaded_answers_again_when_it_is_loaded(house):
    house.tell("POST", "/v2/repository/models/echo/unload", b'{"parameters": {"unload_dependents": true}}')
    assert house.http("POST", INFER, body())[0] == 404
    assert house.http("GET", "/v2/models/echo/ready")[0] == 404

    assert house.tell("POST", "/v2/repository/models/echo/load") == (200, {})

    assert house.http("POST", INFER, body())[0] == 200


def test_counts_are_those_of_what_was_answered_in_any_protocol(house):
    house.http("POST", INFER, body(3))
    house.http("POST", INFER, b"{}")
    with a_port(house) as address:
        ask(address, "ModelInfer", as_message(columns(2), is_raw=True))

    (told,) = house.tell("GET", "/v2/models/echo/stats")[1]["model_stats"]

    assert (told["name"], told["version"]) == ("echo", "1")
    assert (told["inference_count"], told["execution_count"]) == (5, 2)
    assert told["inference_stats"]["success"]["count"] == 2
    assert told["inference_stats"]["success"]["ns"] > 0
    assert told["inference_stats"]["fail"]["count"] == 1
    assert told["last_inference"] > 1_500_000_000_000
    every = house.tell("GET", "/v2/models/stats")[1]["model_stats"]
    assert [(s["name"], s["version"]) for s in every] == [("echo", "1"), ("one", "3"), ("split", "4"), ("split", "5")]
    assert house.tell("GET", "/v2/models/split/versions/5/stats")[1]["model_stats"][0]["inference_count"] == 0


def test_halves_and_small_numbers_go_into_wider_columns_over_grpc(house):
    values = columns(2) | {
        "single": np.array([0.5, -2.0], np.float32),
        "count": np.array([7, 255]),
        "double": np.array([3.0, 4.0]),
    }
    request = as_message(values, is_raw=True)
    for tensor, i in zip(request.inputs, range(len(request.inputs)), strict=True):
        narrow = {"single": ("FP16", np.float16), "count": ("UINT8", np.uint8), "double": ("INT32", np.int32)}
        if tensor.name in narrow:
            tensor.datatype, kind = narrow[tensor.name]
            request.raw_input_contents[i] = values[tensor.name].astype(kind).tobytes()

    with a_port(house) as address:
        response = ask(address, "ModelInfer", request)

    assert list(response.raw_output_contents) == [raw(held) for held in values.values()]


def test_health_is_what_kubernetes_asks_for(house):
    with a_port(house, keys=Keys({"ci": "a secret of the ci"})) as address:
        assert ask(address, "Check", message("HealthCheckRequest")()).status == 2  # 'soon' is wanted and not there
        house.board.remove("soon")
        assert ask(address, "Check", message("HealthCheckRequest")()).status == 1
        assert ask(address, "ServerReady", message("ServerReadyRequest")()).ready
        with pytest.raises(grpc.RpcError) as refused:
            ask(address, "ModelInfer", as_message(columns(1), is_raw=True))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        known = (("x-api-key", "a secret of the ci"),)
        assert ask(address, "ModelInfer", as_message(columns(1), is_raw=True), metadata=known).model_name == "echo"


def test_keys_and_repeats_are_known_over_grpc_too(house):
    request = as_message(columns(2), is_raw=True)
    request.parameters["keys"].string_param = '["a", "b"]'
    again = (("noria-request-key", "order 7"), ("noria-variant", "champion"))

    with a_port(house) as address:
        first, second = (ask(address, "ModelInfer", request, metadata=again) for _ in range(2))

    assert first.parameters["request_id"].string_param == second.parameters["request_id"].string_param
    assert house.recorder.flush()
    assert set(house.log.scan("echo")["key"].to_list()) == {"a", "b"}


def test_what_a_durable_worker_has_answered_is_written(tmp_path):
    with a_house(durable=True) as house, a_port(house) as address:
        response = ask(address, "ModelInfer", as_message(columns(1), is_raw=True))

        written = house.log.scan("echo")["request_id"].to_list()

    assert written == [response.parameters["request_id"].string_param]


def test_a_port_with_a_certificate_is_answered_over_tls_only(house, tmp_path):
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    made = [
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    try:
        subprocess.run(["openssl", *words, *made], cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("the program openssl is not installed")
    held = Certificates(cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))
    live = message("ServerLiveRequest")()

    with a_port(house, certificates=held) as address:
        trusted = grpc.ssl_channel_credentials((tmp_path / "cert.pem").read_bytes())
        with grpc.secure_channel(address, trusted) as channel:
            content = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=20)
        with pytest.raises(grpc.RpcError):
            ask(address, "ServerLive", live, timeout=5.0)

    assert message("ServerLiveResponse").FromString(content).live
