"""KServe's V1 protocol and CloudEvents around it, case by case as its pages and its own server state them.

KServe's own client (kserve.InferenceRESTClient 0.21.0) brings 450 MB with it and is run by hand: docs/capabilities.md says what was asked.
"""

import base64
import json
from datetime import datetime

import pytest

from tests.server.inference_rig import PLAIN, WIDE, Rig

ROW = {"distance": 1.5, "delay": 2.0, "speed": 2.5, "hour": 3, "late": True, "carrier": "AA", "note": "x"}
EVENT = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "shop.order", "time": "2026-01-01T00:00:00Z"}
BODY = {"instances": [ROW, ROW]}


@pytest.fixture(scope="module")
def rig():
    rig = Rig({"late": PLAIN, "wide": WIDE})
    yield rig
    rig.close()


def ask(rig, path, body, headers=None):
    status, told, content = rig.ask("POST", f"/v1/models/{path}", json.dumps(body).encode(), headers)
    return status, told, json.loads(content)


def test_models_are_listed_and_ready(rig):
    assert json.loads(rig.ask("GET", "/v1/models")[2]) == {"models": ["late", "wide"]}
    assert json.loads(rig.ask("GET", "/v1/models/late")[2])["ready"] is True
    assert json.loads(rig.ask("GET", "/")[2]) == {"status": "alive"}


def test_rows_are_objects_or_lists_in_the_signatures_order(rig):
    by_name = ask(rig, "late:predict", BODY)[2]
    by_place = ask(rig, "late:predict", {"instances": [list(ROW.values())] * 2})[2]
    as_inputs = ask(rig, "late:predict", {"inputs": [ROW, ROW]})[2]
    flat = ask(rig, "wide:predict", {"instances": [[1, 2, 3, 10]]})[2]
    apart = ask(rig, "wide:predict", {"instances": [[[1, 2, 3], 10]]})[2]

    assert by_name == by_place == as_inputs
    assert list(by_name) == ["predictions"]
    assert flat == apart == {"predictions": [[11.0, 12.0, 13.0]]}


def test_the_answer_says_in_headers_what_the_body_has_no_place_for(rig):
    _, headers, _ = ask(rig, "late:predict", BODY)

    assert headers["noria-model-version"] == "1"
    assert headers["noria-variant"] == "champion"
    assert rig.record(headers["noria-request-id"]).protocol == "v1"


def test_explain_is_clearly_not_supported(rig):
    status, _, answer = ask(rig, "late:explain", BODY)

    assert status == 501
    assert "no explanations" in answer["error"]
    assert ask(rig, "nope:explain", BODY)[0] == 404


def test_a_binary_event_is_answered_with_a_binary_event(rig):
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {"content-type": "application/json"}

    status, told, answer = ask(rig, "late:predict", BODY, headers)

    assert status == 200
    assert answer == ask(rig, "late:predict", BODY)[2]
    assert told["content-type"] == "application/json"
    assert told["ce-specversion"] == "1.0"
    assert told["ce-type"] == "io.kserve.inference.response"
    assert told["ce-source"] == "io.kserve.inference.late"
    assert told["ce-id"] == told["noria-request-id"]
    assert datetime.fromisoformat(told["ce-time"]).tzinfo is not None


ENVELOPES = {
    "data": EVENT | {"datacontenttype": "application/json", "data": BODY},
    "data as text": EVENT | {"data": json.dumps(BODY)},
    "data in base64": EVENT | {"data_base64": base64.b64encode(json.dumps(BODY).encode()).decode()},
}


@pytest.mark.parametrize("case", ENVELOPES)
def test_a_structured_event_is_answered_with_a_structured_event(rig, case):
    kind = {"content-type": "application/cloudevents+json; charset=utf-8"}

    status, told, answer = ask(rig, "late:predict", ENVELOPES[case], kind)

    assert status == 200
    assert told["content-type"] == "application/cloudevents+json"
    assert answer["data"] == ask(rig, "late:predict", BODY)[2]
    assert answer["id"] == told["noria-request-id"]
    assert {"specversion", "source", "type", "time"} < answer.keys()


def test_a_structured_event_is_known_by_its_attributes_too(rig):
    assert "data" in ask(rig, "late:predict", EVENT | {"data": BODY}, {"content-type": "application/json"})[2]


BAD = {
    "no type": ({k: v for k, v in EVENT.items() if k != "type"} | {"data": BODY}, "'type'"),
    "no version": ({**EVENT, "specversion": "9", "data": BODY}, "version"),
    "an id that is no text": ({**EVENT, "id": 1, "data": BODY}, "'id'"),
    "base64 that is none": (EVENT | {"data_base64": "*"}, "base64"),
    "no data": (EVENT, "not a JSON object"),
    "not an object": ([EVENT], "not a JSON object"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_event_is_a_400(rig, case):
    body, named = BAD[case]

    status, _, answer = ask(rig, "late:predict", body, {"content-type": "application/cloudevents+json"})

    assert status == 400
    assert named in answer["error"]


def test_a_bad_binary_event_and_a_batch_are_refused(rig):
    assert ask(rig, "late:predict", BODY, {"ce-specversion": "1.0", "ce-id": "1"})[0] == 400
    assert ask(rig, "late:predict", [EVENT], {"content-type": "application/cloudevents-batch+json"})[0] == 415
