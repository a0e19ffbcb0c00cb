"""TensorFlow Serving's REST API, case by case as its page (g3doc/api_rest.md) states it."""

import base64
import json
import math

import pytest

from tests.server.inference_rig import ONE, PLAIN, SEVERAL, TEXT, VECTOR, WIDE, Rig

ROW = {"distance": 1.5, "delay": 2.0, "speed": 2.5, "hour": 3, "late": True, "carrier": "AA", "note": "x"}
OTHER = {**ROW, "distance": 7.25, "late": False}


@pytest.fixture(scope="module")
def rig():
    rig = Rig({"half": ONE, "late": PLAIN, "several": SEVERAL, "wide": WIDE, "vector": VECTOR, "text": TEXT})
    yield rig
    rig.close()


def ask(rig, path, body):
    status, _, content = rig.ask("POST", f"/v1/models/{path}", json.dumps(body).encode())
    return status, json.loads(content)


def test_a_models_state_is_told_as_both_protocols_expect_it(rig):
    answer = json.loads(rig.ask("GET", "/v1/models/half")[2])

    fine = {"error_code": "OK", "error_message": ""}
    assert answer == {
        "name": "half",
        "ready": True,
        "model_version_status": [{"version": v, "state": "AVAILABLE", "status": fine} for v in ("1", "2")],
    }


@pytest.mark.parametrize(
    ("path", "version"),
    [("versions/1", "1"), ("versions/2", "2"), ("labels/champion", "1"), ("labels/challenger", "2")],
)
def test_versions_and_labels_are_told_and_answer(rig, path, version):
    told = json.loads(rig.ask("GET", f"/v1/models/half/{path}")[2])
    status, headers, _ = rig.ask("POST", f"/v1/models/half/{path}:predict", b'{"instances": [1.0]}')

    assert [v["version"] for v in told["model_version_status"]] == [version]
    assert (status, headers["noria-model-version"]) == (200, version)


def test_the_signature_is_told_in_tensorflows_words(rig):
    answer = json.loads(rig.ask("GET", "/v1/models/wide/metadata")[2])

    assert answer["model_spec"] == {"name": "wide", "signature_name": "", "version": "1"}
    defined = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert defined["method_name"] == "tensorflow/serving/predict"
    assert defined["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}], "unknown_rank": False},
        "name": "x:0",
    }
    assert {n: t["dtype"] for n, t in defined["inputs"].items()} == {"x": "DT_FLOAT", "n": "DT_INT64"}
    assert json.loads(rig.ask("GET", "/v1/models/half/versions/2/metadata")[2])["model_spec"]["version"] == "2"


PREDICTED = {
    "values of the only input": ("half", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [3.5, 4.0, 5.5]}),
    "the default signature by name": (
        "half",
        {"signature_name": "serving_default", "instances": [1.0]},
        {"predictions": [3.5]},
    ),
    "lists of the only input": ("half", {"instances": [[1.0], [2.0]]}, {"predictions": [3.5, 4.0]}),
    "objects": ("half", {"instances": [{"x": 1.0}, {"x": [2.0]}]}, None),
    "objects of one kind": ("half", {"instances": [{"x": [1.0]}, {"x": [2.0]}]}, {"predictions": [3.5, 4.0]}),
    "one bare value": ("half", {"instances": 1.0}, {"predictions": [3.5]}),
    "a vector a row": ("vector", {"instances": [[3, 1], [5, 1]]}, {"predictions": [2.0, 4.0]}),
    "a vector a row, one deeper": ("vector", {"instances": [[[3, 1]], [[5, 1]]]}, {"predictions": [2.0, 4.0]}),
    "a vector as an object": ("vector", {"instances": [{"x": [3, 1]}]}, {"predictions": [2.0]}),
    "several inputs": (
        "wide",
        {"instances": [{"x": [1, 2, 3], "n": 1}, {"x": [0, 0, 0], "n": 2}]},
        {"predictions": [[2.0, 3.0, 4.0], [2.0, 2.0, 2.0]]},
    ),
    "columns": (
        "wide",
        {"inputs": {"x": [[1, 2, 3], [0, 0, 0]], "n": [1, 2]}},
        {"outputs": [[2.0, 3.0, 4.0], [2.0, 2.0, 2.0]]},
    ),
    "the only input as a column": ("half", {"inputs": [1.0, 2.0]}, {"outputs": [3.5, 4.0]}),
    "the only input as a column of lists": ("half", {"inputs": [[1.0], [2.0]]}, {"outputs": [3.5, 4.0]}),
    "text": ("text", {"instances": ["foo", "bar"]}, {"predictions": [{"b64": "Zm9vIQ=="}, {"b64": "YmFyIQ=="}]}),
    "bytes": ("text", {"instances": [{"b64": "Zm9v"}]}, {"predictions": [{"b64": "Zm9vIQ=="}]}),
    "bytes by name": ("text", {"instances": [{"x": {"b64": "Zm9v"}}]}, {"predictions": [{"b64": "Zm9vIQ=="}]}),
    "bytes as a column": ("text", {"inputs": {"x": [{"b64": "Zm9v"}]}}, {"outputs": [{"b64": "Zm9vIQ=="}]}),
    "bytes and text": (
        "text",
        {"instances": [{"b64": "Zm9v"}, "bar"]},
        {"predictions": [{"b64": "Zm9vIQ=="}, {"b64": "YmFyIQ=="}]},
    ),
}


@pytest.mark.parametrize("case", PREDICTED)
def test_predict(rig, case):
    model, body, expected = PREDICTED[case]

    status, answer = ask(rig, f"{model}:predict", body)

    if expected is None:
        assert status == 400
        assert answer.keys() == {"error"}
    else:
        assert (status, answer) == (200, expected)


def test_several_outputs_are_objects_by_row_and_lists_by_column(rig):
    by_row = ask(rig, "several:predict", {"instances": [ROW, OTHER]})[1]["predictions"]
    by_column = ask(rig, "several:predict", {"inputs": {name: [ROW[name], OTHER[name]] for name in ROW}})[1]["outputs"]

    assert [row["hour"] for row in by_row] == [3, 3]
    assert [row["late"] for row in by_row] == [True, False]
    assert base64.b64decode(by_row[0]["raw_bytes"]["b64"]).decode() == by_row[0]["word"] == 'AA,"x"'
    assert {name: [row[name] for row in by_row] for name in by_row[0]} == by_column


def test_nan_and_infinity_are_numbers_as_the_page_allows(rig):
    body = json.dumps({"instances": [{**ROW, "delay": math.nan}, {**ROW, "distance": math.inf}]}).encode()

    status, headers, content = rig.ask("POST", "/v1/models/late:predict", body)

    assert status == 200, content
    inputs = rig.record(headers["noria-request-id"]).inputs
    assert inputs["delay"] == [None, 2.0]
    assert inputs["distance"] == [1.5, math.inf]


def test_classify_gives_labels_and_scores(rig):
    late = ask(rig, "late:classify", {"examples": [ROW]})[1]
    wide = ask(rig, "wide:classify", {"context": {"n": 1}, "examples": [{"x": [1, 2, 3]}, {"x": [0, 0, 0]}]})[1]

    score = ask(rig, "late:predict", {"instances": [ROW]})[1]["predictions"][0]
    assert late["result"] == [[["0", 1 - score], ["1", score]]]
    assert wide["result"] == [[["0", 2.0], ["1", 3.0], ["2", 4.0]], [["0", 1.0], ["1", 1.0], ["2", 1.0]]]
    assert wide["results"] == wide["result"]


def test_regress_gives_values(rig):
    body = {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": [2.0]}]}

    assert ask(rig, "half:regress", {**body, "examples": [{"x": 1.0}, {"x": 2.0}]})[1]["results"] == [3.5, 4.0]
    assert ask(rig, "late:regress", {"context": {"hour": 3}, "examples": [{**ROW}]})[0] == 400
    row = {name: value for name, value in ROW.items() if name != "hour"}
    assert ask(rig, "late:regress", {"context": {"hour": 3}, "examples": [row]})[0] == 200


REFUSED = {
    "unknown signature": ("half:predict", {"signature_name": "other", "instances": [1.0]}, "no signature 'other'"),
    "both": ("half:predict", {"instances": [1.0], "inputs": [1.0]}, "2 of"),
    "neither": ("half:predict", {}, "0 of"),
    "not an object": ("half:predict", [1.0], "not a JSON object"),
    "empty": ("half:predict", {"instances": []}, "rows"),
    "objects and values": ("half:predict", {"instances": [{"x": 1.0}, 2.0]}, "object"),
    "other columns": ("late:predict", {"instances": [ROW, {**ROW, "more": 1}]}, "row 1"),
    "unequal columns": ("wide:predict", {"inputs": {"x": [[1, 2, 3]], "n": [1, 2]}}, "rows"),
    "a vector too short": ("vector:predict", {"instances": [[1]]}, "'x'"),
    "text for a number": ("half:predict", {"instances": ["a"]}, "'x'"),
    "b64 that is none": ("text:predict", {"instances": [{"b64": "*"}]}, "b64"),
    "b64 of no text": ("text:predict", {"instances": [{"b64": "/w=="}]}, "b64"),
    "context and example": (
        "wide:classify",
        {"context": {"n": 1}, "examples": [{"n": 1, "x": [1, 2, 3]}]},
        "feature 'n'",
    ),
    "no examples": ("wide:classify", {"instances": [1]}, "'examples'"),
    "no classes": ("half:classify", {"examples": [{"x": 1.0}]}, "no probabilities"),
    "no one value": ("several:regress", {"examples": [ROW]}, "one number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_requests_are_400_with_an_error_text_and_are_not_recorded(rig, case):
    path, body, named = REFUSED[case]
    before = len(rig.log.records)

    status, answer = ask(rig, path, body)

    assert rig.recorder.flush()
    assert status == 400
    assert answer.keys() == {"error"}
    assert named in answer["error"]
    assert "Traceback" not in answer["error"]
    assert len(rig.log.records) == before


@pytest.mark.parametrize("path", ["nope", "nope/metadata", "half/versions/9", "half/versions/x", "half/what"])
def test_what_is_not_there_is_404(rig, path):
    status, _, content = rig.ask("GET", f"/v1/models/{path}")

    assert status == 404
    assert json.loads(content).keys() == {"error"}


def test_a_method_that_is_not_answered_is_405(rig):
    assert rig.ask("GET", "/v1/models/half:predict")[0] == 405
    assert rig.ask("POST", "/v1/models/half", b"{}")[0] == 405
