"""Vertex AI's contract with a custom container, as its page "Custom container requirements for prediction" states it."""

import json

import pytest

from noria.errors import SettingInvalid
from noria.server.inference.protocols import codecs
from tests.server.inference_rig import PLAIN, SEVERAL, Rig
from tests.serving.worker_factory import a_home, a_worker, flights

ROW = {"distance": 1.5, "delay": 2.0, "speed": 2.5, "hour": 3, "late": True, "carrier": "AA", "note": "x"}
DEFAULT = {
    "AIP_PREDICT_ROUTE": "/v1/endpoints/17/deployedModels/3:predict",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/17/deployedModels/3",
}
OWN = {"AIP_PREDICT_ROUTE": "/infer", "AIP_HEALTH_ROUTE": "/healthy"}


@pytest.fixture(scope="module", params=[DEFAULT, OWN], ids=["default routes", "routes of their own"])
def vertex(request):
    rig = Rig({"late": PLAIN}, codecs=codecs(request.param))
    yield rig, request.param["AIP_PREDICT_ROUTE"], request.param["AIP_HEALTH_ROUTE"]
    rig.close()


def ask(vertex, body, **headers):
    rig, route, _ = vertex
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return rig.ask("POST", route, body if isinstance(body, bytes) else json.dumps(body).encode(), named)


def test_instances_become_predictions_and_nothing_else(vertex):
    for instances in ([ROW, ROW], [list(ROW.values())] * 2):
        status, headers, content = ask(
            vertex, {"instances": instances, "parameters": {}}, content_type="application/json"
        )

        answer = json.loads(content)
        assert status == 200
        assert answer.keys() == {"predictions"}
        assert len(answer["predictions"]) == 2
        assert vertex[0].record(headers["noria-request-id"]).protocol == "vertex"


def test_several_outputs_are_objects():
    rig = Rig({"several": SEVERAL}, codecs=codecs(OWN))
    content = rig.ask("POST", "/infer", json.dumps({"instances": [ROW]}).encode())[2]
    rig.close()

    assert json.loads(content)["predictions"][0].keys() == {"probability", "hour", "word", "raw_bytes", "late"}


def test_health_is_told_at_its_route(vertex):
    rig, _, route = vertex

    assert rig.ask("GET", route)[0] == 200


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps([ROW]).encode()),
        ("application/jsonlines", json.dumps(ROW).encode() + b"\n"),
        ("text/csv", b"1.5,2.0,2.5,3,true,AA,x\n"),
    ],
)
def test_raw_bodies_are_answered_in_their_own_form(vertex, kind, body):
    status, headers, content = ask(vertex, body, content_type=kind)

    assert (status, headers["content-type"]) == (200, kind)
    assert b"predictions" not in content


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"{}", b'{"instances": []}', b'{"instances": {}}', b'{"instances": [1]}']
)
def test_bad_bodies_are_400_with_an_error_text(vertex, body):
    status, _, content = ask(vertex, body, content_type="application/json")

    assert status == 400
    assert json.loads(content).keys() == {"error"}


def test_parameters_that_the_model_does_not_take_are_refused(vertex):
    assert ask(vertex, {"instances": [ROW], "parameters": {"t": 1}})[0] == 400


def test_a_route_that_is_no_path_is_refused():
    with pytest.raises(SettingInvalid, match="AIP_PREDICT_ROUTE"):
        codecs({"AIP_PREDICT_ROUTE": "infer"})


def test_other_paths_under_the_same_root_stay_with_their_protocol():
    rig = Rig({"late": PLAIN}, codecs=codecs(DEFAULT))
    models = rig.ask("GET", "/v1/models")
    rig.close()

    assert json.loads(models[2]) == {"models": ["late"]}


def test_a_worker_takes_its_routes_from_the_environment(tmp_path):
    home, _, _ = a_home(tmp_path)
    rows = flights(3).fill_nan(None).to_dicts()

    with a_worker(home, env=DEFAULT) as worker:
        status, answer = worker.json("POST", DEFAULT["AIP_PREDICT_ROUTE"], {"instances": rows})
        assert (status, len(answer["predictions"])) == (200, 3)
        assert worker.ask("GET", DEFAULT["AIP_HEALTH_ROUTE"])[0] == 200
