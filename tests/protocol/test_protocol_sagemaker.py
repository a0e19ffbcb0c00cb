"""SageMaker's container contract, case by case as its developer guide states it ("Common data formats for inference", "InvokeEndpoint")."""

import json

import pytest

from noria.errors import SettingInvalid
from noria.server.inference.protocols import codecs
from tests.server.inference_rig import ONE, PLAIN, SEVERAL, WIDE, Rig

ROW = {"distance": 1.5, "delay": 2.0, "speed": 2.5, "hour": 3, "late": True, "carrier": "AA", "note": "x"}
LINE = b"1.5,2.0,2.5,3,true,AA,x\n"
VALUES = list(ROW.values())


@pytest.fixture(scope="module")
def rig():
    rig = Rig({"late": PLAIN}, codecs=codecs({"NORIA_INVOCATIONS": "sagemaker"}))
    yield rig
    rig.close()


def ask(rig, body, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return rig.ask("POST", "/invocations", body if isinstance(body, bytes) else json.dumps(body).encode(), named)


def score(rig):
    return json.loads(ask(rig, [VALUES], content_type="application/json")[2])["predictions"][0]


def test_csv_has_no_header_row_unless_the_first_row_is_the_names(rig):
    header = ",".join(ROW).encode() + b"\n"
    mixed = b"hour,late,distance,delay,speed,note,carrier\n3,true,1.5,2.0,2.5,x,AA\n"

    for body, rows in ((LINE, 1), (LINE * 3, 3), (header + LINE * 2, 2), (mixed, 1), (b"\xef\xbb\xbf" + LINE, 1)):
        status, _, content = ask(rig, body, content_type="text/csv")
        assert (status, json.loads(content)) == (200, {"predictions": [score(rig)] * rows})


def test_an_empty_cell_is_a_missing_value(rig):
    status, headers, _ = ask(rig, b"1.5,,2.5,3,true,AA,\n", content_type="text/csv; label_size=0")

    assert status == 200
    assert rig.record(headers["noria-request-id"]).inputs["delay"] == [None]
    assert ask(rig, b",2.0,2.5,3,true,AA,x\n", content_type="text/csv")[0] == 400


JSON_BODIES = {
    "rows": [VALUES, VALUES],
    "objects": [ROW, ROW],
    "instances": {"instances": [ROW, ROW]},
    "features": {"instances": [{"features": VALUES}, {"features": VALUES}]},
    "dense": {"instances": [{"data": {"features": {"values": VALUES}}}] * 2},
    "dense with configuration": {"instances": [{"configuration": {}, "data": {"features": {"values": VALUES}}}] * 2},
    "mlflow's form": {"dataframe_split": {"columns": list(ROW), "data": [VALUES, VALUES]}},
}


@pytest.mark.parametrize("case", JSON_BODIES)
def test_json_comes_in_the_common_formats(rig, case):
    status, _, content = ask(rig, JSON_BODIES[case], content_type="application/json")

    assert (status, json.loads(content)) == (200, {"predictions": [score(rig)] * 2})


@pytest.mark.parametrize("line", [{"features": VALUES}, {"data": {"features": {"values": VALUES}}}, ROW, VALUES])
@pytest.mark.parametrize("kind", ["application/jsonlines", "application/x-ndjson"])
def test_json_lines(rig, line, kind):
    body = (json.dumps(line) + "\n").encode() * 2

    status, _, content = ask(rig, body, content_type=kind)

    assert (status, json.loads(content)) == (200, {"predictions": [score(rig)] * 2})


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/json", "application/json"),
        ("text/csv", "text/csv"),
        ("application/jsonlines", "application/jsonlines"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.1, application/jsonlines;q=0.9", "application/jsonlines"),
        ("image/png, */*;q=0.1", "application/json"),
    ],
)
def test_the_answer_has_the_form_that_accept_asks_for(rig, accept, form):
    status, headers, content = ask(rig, LINE * 2, content_type="text/csv", accept=accept)

    answer = score(rig)
    assert status == 200
    assert headers["content-type"] == form
    if form == "text/csv":
        assert content == f"{answer!r}\n{answer!r}\n".encode()
    elif form == "application/jsonlines":
        assert [json.loads(line) for line in content.splitlines()] == [{"probability": answer}] * 2
    else:
        assert json.loads(content) == {"predictions": [answer, answer]}


def test_several_outputs_in_every_form():
    rig = Rig({"several": SEVERAL}, codecs=codecs({"SAGEMAKER_BIND_TO_PORT": "8080"}))
    rows = json.loads(ask(rig, [ROW], content_type="application/json")[2])["predictions"]
    lines = ask(rig, [ROW], content_type="application/json", accept="application/jsonlines")[2]
    table = ask(rig, [ROW], content_type="application/json", accept="text/csv")[2].decode()
    rig.close()

    assert json.loads(lines) == rows[0]
    assert table == f'{rows[0]["probability"]!r},3,"AA,""x""","AA,""x""",True\n'


def test_what_is_not_read_or_not_given_is_415_and_406(rig):
    assert ask(rig, b"x", content_type="application/x-recordio-protobuf")[0] == 415
    assert ask(rig, LINE, content_type="text/csv; charset=latin-1")[0] == 415
    status, _, content = ask(rig, LINE, content_type="text/csv", accept="image/png")
    assert status == 406
    assert json.loads(content).keys() == {"error_code", "message"}


def test_custom_attributes_come_back_as_they_came(rig):
    status, headers, _ = ask(
        rig, LINE, content_type="text/csv", **{"x-amzn-sagemaker-custom-attributes": "trace=7; shop"}
    )

    assert (status, headers["x-amzn-sagemaker-custom-attributes"]) == (200, "trace=7; shop")
    assert ask(rig, LINE, content_type="text/csv", **{"x-amzn-sagemaker-custom-attributes": "x" * 1025})[0] == 400


def test_its_headers_alone_choose_dialect_model_and_variant():
    rig = Rig({"late": PLAIN, "wide": WIDE, "half": ONE})
    told = {"x-amzn-sagemaker-target-model": "late", "x-amzn-sagemaker-target-variant": "challenger"}
    status, headers, content = ask(rig, LINE, content_type="text/csv", **told)
    plain = ask(rig, LINE, content_type="text/csv", **{"noria-deployment": "late"})
    unknown = ask(rig, LINE, content_type="text/csv", **{**told, "x-amzn-sagemaker-target-model": "nope"})
    record = rig.record(headers["noria-request-id"])
    rig.close()

    assert status == 200, content
    assert (headers["noria-variant"], headers["noria-model-version"]) == ("challenger", "2")
    assert (record.protocol, record.deployment) == ("sagemaker", "late")
    assert plain[0] == 400, "without its headers, and without the setting, a CSV has a header row"
    assert unknown[0] == 404


def test_ping_is_200_when_everything_is_loaded(rig):
    assert rig.ask("GET", "/ping")[0] == 200


def test_an_unknown_dialect_is_refused():
    with pytest.raises(SettingInvalid, match="NORIA_INVOCATIONS"):
        codecs({"NORIA_INVOCATIONS": "azure"})
