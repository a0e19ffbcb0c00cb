"""A real worker over HTTP: both protocols answer, every bad request is a 4xx with its cause and never a traceback, routing is sticky."""

import gzip
import json
import re
import zlib

import msgspec
import pytest

from noria.errors import SettingInvalid
from noria.serving import desired
from tests.serving.worker_factory import (
    a_home,
    a_worker,
    boosting,
    deployment,
    eventually,
    flights,
    logged,
    open_blobs,
    request_of,
    variant,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One worker for all tests that change nothing: deployment 'late', the champion alone."""
    home, champion, challenger = a_home(tmp_path_factory.mktemp("http"))
    both = [variant(champion, weight=0.5), variant(challenger, name="challenger", number=2, weight=0.5)]
    desired.publish(open_blobs(home), deployment(*both, name="split", sticky_by="carrier"))
    desired.publish(open_blobs(home), deployment(*both, name="keyed", sticky_by="key"))
    with a_worker(home, "--replay-clock") as worker:
        yield worker, home


@pytest.fixture
def worker(served):
    return served[0]


TABLE = flights(5)


def test_answers_are_the_models_own(worker):
    status, answer = worker.infer(request_of(TABLE) | {"id": "mine"})

    assert status == 200
    assert answer["model_name"] == "late"
    assert answer["model_version"] == "1"
    assert answer["id"] == "mine"
    output = answer["outputs"][0]
    assert (output["name"], output["datatype"], output["shape"]) == ("probability", "FP32", [5])
    assert output["data"] == pytest.approx(boosting().predict_proba(TABLE)[:, 1].tolist(), abs=1e-6)


@pytest.mark.parametrize("shape", [[5, 1], [5]])
@pytest.mark.parametrize("nested", [True, False])
def test_data_may_be_nested_or_flat(worker, shape, nested):
    hours = TABLE["hour"].to_list()
    body = request_of(TABLE, hour={"shape": shape, "data": [[h] for h in hours] if nested else hours})

    status, answer = worker.infer(body)

    assert status == 200
    assert answer["outputs"][0]["data"] == worker.infer(request_of(TABLE))[1]["outputs"][0]["data"]


def test_narrower_tensors_fit_into_wider_columns(worker):
    status, answer = worker.infer(request_of(TABLE, hour={"datatype": "INT32"}, distance={"datatype": "FP32"}))

    assert status == 200
    assert answer["outputs"][0]["data"] == pytest.approx(
        worker.infer(request_of(TABLE))[1]["outputs"][0]["data"], abs=1e-3
    )


def test_a_batch_is_answered_as_its_rows_are(worker):
    together = worker.infer(request_of(TABLE))[1]["outputs"][0]["data"]

    alone = [worker.infer(request_of(TABLE[i]))[1]["outputs"][0]["data"][0] for i in range(5)]

    assert together == alone


BAD = {
    "not json": (b"{", 'not valid JSON'),
    "not utf-8": (b'{"inputs": [], "id": "\xff"}', "JSON"),
    "empty": (b"", "JSON"),
    "not an object": (b"[1]", "does not follow the protocol"),
    "no inputs": (b"{}", "inputs"),
    "deep": (b'{"parameters":{"a":' + b"[" * 100_000 + b'}}', "JSON"),
    "deep data": (
        b'{"inputs":[{"name":"distance","shape":[1],"datatype":"FP64","data":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}", "JSON"
    ),
    "half a surrogate": (json.dumps(request_of(TABLE[0], carrier={"data": ["X"]})).replace("X", "\\ud800").encode(), "JSON"),
    "a number for a name": ({"inputs": [{"name": 1, "shape": [1], "datatype": "FP64", "data": [1]}]}, "name"),
    "wrong datatype": (request_of(TABLE, distance={"datatype": "BYTES"}), "'distance' has datatype 'BYTES'"),
    "unknown datatype": (request_of(TABLE, distance={"datatype": "FP99"}), "'FP99'"),
    "lossy datatype": (request_of(TABLE, distance={"datatype": "INT64"}), "'distance'"),
    "text for numbers": (request_of(TABLE, distance={"data": ["a"] * 5}), "'distance'"),
    "numbers for text": (request_of(TABLE, carrier={"data": [1] * 5}), "'carrier'"),
    "fractions for integers": (request_of(TABLE, hour={"data": [1.5] * 5}), "'hour'"),
    "integers out of range": (request_of(TABLE, hour={"datatype": "INT8", "data": [300] * 5}), "'hour'"),
    "integers beyond 64 bits": (request_of(TABLE, hour={"data": [2**70] * 5}), "'hour'"),
    "shape too long": (request_of(TABLE, distance={"shape": [6]}), "'distance' says shape [6]"),
    "shape too wide": (request_of(TABLE, distance={"shape": [5, 2]}), "'distance' has shape"),
    "negative shape": (request_of(TABLE, distance={"shape": [-1]}), "'distance' has shape"),
    "huge shape": (request_of(TABLE, distance={"shape": [2**62]}), "'distance' says shape"),
    "unequal rows": (request_of(TABLE, distance={"shape": [1], "data": [1.0]}), "rows"),
    "no rows": (request_of(TABLE.head(0)), "no rows"),
    "missing column": (request_of(TABLE, distance=None), "'distance' is missing"),
    "surplus column": (
        {"inputs": [*request_of(TABLE)["inputs"], {"name": "x", "shape": [5], "datatype": "FP64", "data": [1.0] * 5}]},
        "'x' is unknown",
    ),
    "column twice": ({"inputs": request_of(TABLE)["inputs"] * 2}, "twice"),
    "no data": ({"inputs": [{"name": "distance", "shape": [5], "datatype": "FP64"}, *request_of(TABLE)["inputs"][1:]]}, "there is no data"),
    "missing value": (request_of(TABLE, distance={"data": [None, 1.0, 2.0, 3.0, 4.0]}), "'distance' has no value in row 0"),
    "missing integer": (request_of(TABLE, hour={"data": [1, None, 2, 3, 4]}), "'hour' has no value in row 1"),
    "missing text": (request_of(TABLE, carrier={"data": ["AA", "UA", None, "DL", "AA"]}), "'carrier' has no value in row 2"),
    "unknown output": (request_of(TABLE) | {"outputs": [{"name": "label"}]}, "no output 'label'"),
    "keys of another length": (request_of(TABLE) | {"parameters": {"keys": ["a"]}}, "1 keys came with 5 rows"),
    "keys that are no texts": (request_of(TABLE) | {"parameters": {"keys": [1]}}, "'keys'"),
    "binary that is not there": (request_of(TABLE, hour={"parameters": {"binary_data_size": 8}}), "binary_data_size"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_a_400_that_names_what_is_wrong(worker, case):
    body, named = BAD[case]

    status, _, content = worker.ask(
        "POST", "/v2/models/late/infer", body if isinstance(body, bytes) else json.dumps(body).encode()
    )

    error = json.loads(content)["error"]
    assert status == 400
    assert named in error
    assert "remedy:" in error
    assert "Traceback" not in error
    assert ".py" not in error


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_does_not_know_are_refused_not_guessed(worker, literal):
    body = json.dumps(request_of(TABLE[0], distance={"data": [123456.0]})).replace("123456.0", literal).encode()

    status, _, content = worker.ask("POST", "/v2/models/late/infer", body)

    assert status == 400
    assert "error" in json.loads(content)


def test_a_null_in_a_nullable_column_is_a_missing_value(worker):
    assert worker.infer(request_of(TABLE[0], delay={"data": [None]}))[0] == 200


def test_unseen_categories_are_answered_and_counted(worker):
    status, _ = worker.infer(request_of(TABLE[0], carrier={"data": ["Noria Air"]}))

    metrics = worker.ask("GET", "/metrics")[2].decode()

    assert status == 200
    assert re.search(r'noria_unseen_values_total\{deployment="late",[^}]*\} [1-9]', metrics)


def test_unknown_models_versions_and_paths_are_404(worker):
    for method, path in (
        ("POST", "/v2/models/nope/infer"),
        ("POST", "/v2/models/late/versions/9/infer"),
        ("GET", "/v2/models/nope"),
        ("GET", "/v2/models/nope/ready"),
        ("GET", "/v2/models/late/versions/9"),
        ("GET", "/v2/models/late/what/ever"),
        ("GET", "/nothing"),
        ("POST", "/nothing"),
    ):
        status, body = worker.json(method, path, request_of(TABLE) if method == "POST" else None)
        assert status == 404, path
        assert body["error"]


def test_other_methods_are_405(worker):
    assert worker.ask("DELETE", "/v2/models/late")[0] == 405


def test_health_and_metadata_are_as_the_protocol_says(worker):
    assert worker.ask("GET", "/v2/health/live")[0] == 200
    assert worker.json("GET", "/v2/health/ready") == (200, {"ready": True})
    assert worker.json("GET", "/v2")[1]["name"] == "noria"
    assert worker.json("GET", "/v2/models/late/ready") == (200, {"name": "late", "ready": True})
    assert worker.json("GET", "/v2/models/late/versions/1/ready")[0] == 200
    status, described = worker.json("GET", "/v2/models/late")
    assert status == 200
    assert described["versions"] == ["1"]
    assert described["inputs"][0] == {"name": "distance", "datatype": "FP64", "shape": [-1]}
    assert described["outputs"] == [{"name": "probability", "datatype": "FP32", "shape": [-1]}]
    assert worker.ask("GET", "/ping")[0] == 200
    assert worker.ask("GET", "/version")[0] == 200


def test_a_version_in_the_path_answers_with_it(worker):
    for version, name in (("1", "champion"), ("2", "challenger")):
        status, answer = worker.json("POST", f"/v2/models/split/versions/{version}/infer", request_of(TABLE))
        assert (status, answer["model_version"], answer["parameters"]["variant"]) == (200, version, name)


def test_a_header_chooses_the_variant_and_an_unknown_one_is_refused(worker):
    chosen = worker.infer(request_of(TABLE), name="split", headers={"Noria-Variant": "challenger"})
    unknown = worker.infer(request_of(TABLE), headers={"Noria-Variant": "challenger"})

    assert chosen[1]["parameters"]["variant"] == "challenger"
    assert unknown[0] == 400
    assert "'champion'" in unknown[1]["error"]


def test_the_same_column_value_or_key_keeps_its_variant(worker):
    by_carrier = {
        c: {
            worker.infer(request_of(TABLE[0], carrier={"data": [c]}), name="split")[1]["model_version"]
            for _ in range(5)
        }
        for c in "ABCDEFGH"
    }
    by_key = {
        k: {
            worker.infer(request_of(TABLE[0]) | {"parameters": {"keys": [k]}}, name="keyed")[1]["model_version"]
            for _ in range(5)
        }
        for k in "abcdefgh"
    }

    for seen in (by_carrier, by_key):
        assert all(len(versions) == 1 for versions in seen.values())
        assert len({next(iter(v)) for v in seen.values()}) == 2


def test_requests_without_the_sticky_value_are_split_by_their_id(worker):
    assert len({worker.infer(request_of(TABLE[0]), name="keyed")[1]["model_version"] for _ in range(40)}) == 2


def test_the_request_id_is_in_answer_header_and_log(served):
    worker, home = served
    status, headers, content = worker.ask(
        "POST",
        "/v2/models/late/infer",
        json.dumps(request_of(TABLE) | {"parameters": {"keys": list("abcde")}}).encode(),
    )
    answer = json.loads(content)

    assert worker.flush()
    request_id = answer["parameters"]["request_id"]
    rows = logged(home).filter(request_id=request_id).sort("row")
    assert status == 200
    assert headers["noria-request-id"] == request_id
    assert re.fullmatch(r"r[0-9a-f]{32}", request_id)
    assert rows["prediction_id"].to_list() == [f"{request_id}.{i}" for i in range(5)]
    assert rows["out.probability"].to_list() == answer["outputs"][0]["data"]
    assert rows["key"].to_list() == list("abcde")
    assert rows["in.carrier"].to_list() == TABLE["carrier"].to_list()
    assert rows["in.delay"].to_list() == [None if d != d else d for d in TABLE["delay"].to_list()]
    assert rows["protocol"].unique().to_list() == ["v2"]


def test_the_same_request_key_is_the_same_request_and_is_logged_once(served):
    worker, home = served
    headers = {"Noria-Request-Key": "order-17"}

    ids = {worker.infer(request_of(TABLE), headers=headers)[1]["parameters"]["request_id"] for _ in range(3)}
    other = worker.infer(request_of(TABLE), headers=headers, name="keyed")[1]["parameters"]["request_id"]

    assert worker.flush()
    assert len(ids) == 1
    assert other not in ids
    assert len(logged(home).filter(request_id=next(iter(ids)))) == 5


def test_a_replayed_time_is_the_time_of_the_record(served):
    worker, home = served
    status, answer = worker.infer(request_of(TABLE), headers={"Noria-Time": "2013-02-01T07:30:00+01:00"})

    assert worker.flush()
    at = logged(home).filter(request_id=answer["parameters"]["request_id"])["at"][0]
    assert status == 200
    assert at.isoformat() == "2013-02-01T06:30:00+00:00"
    assert worker.infer(request_of(TABLE), headers={"Noria-Time": "yesterday"})[0] == 400
    assert worker.infer(request_of(TABLE), headers={"Noria-Time": "2013-02-01T07:30:00"})[0] == 400


def test_bodies_may_be_compressed(worker):
    body = json.dumps(request_of(TABLE)).encode()
    plain = worker.infer(request_of(TABLE))[1]["outputs"]

    for encoding, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("identity", body)):
        status, _, content = worker.ask("POST", "/v2/models/late/infer", packed, {"Content-Encoding": encoding})
        assert (status, json.loads(content)["outputs"]) == (200, plain)


def test_a_bomb_or_a_torn_or_an_unknown_encoding_is_refused(worker):
    bomb = gzip.compress(b" " * (64 << 20))

    assert worker.ask("POST", "/v2/models/late/infer", bomb, {"Content-Encoding": "gzip"})[0] == 413
    assert (
        worker.ask("POST", "/v2/models/late/infer", gzip.compress(b"{}")[:-4], {"Content-Encoding": "gzip"})[0] == 400
    )
    assert worker.ask("POST", "/v2/models/late/infer", b"{}", {"Content-Encoding": "gzip"})[0] == 400
    assert worker.ask("POST", "/v2/models/late/infer", b"{}", {"Content-Encoding": "br"})[0] == 400


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_of_50_megabytes_is_413_and_the_worker_lives(worker, chunked):
    size = 50 << 20
    body = (b"x" * (1 << 20) for _ in range(50)) if chunked else b"x" * size

    status, _, content = worker.ask("POST", "/v2/models/late/infer", body)

    assert status == 413
    assert "larger than" in json.loads(content)["error"]
    assert worker.infer(request_of(TABLE))[0] == 200


def test_a_chunked_body_is_read(worker):
    body = json.dumps(request_of(TABLE)).encode()

    assert worker.ask("POST", "/v2/models/late/infer", (body[i : i + 100] for i in range(0, len(body), 100)))[0] == 200


def test_metrics_count_answers_and_refusals(worker):
    worker.infer(request_of(TABLE))
    worker.infer({})

    text = worker.ask("GET", "/metrics")[2].decode()

    assert re.search(
        r'noria_requests_total\{deployment="late",version="1",variant="champion",protocol="v2",status="200"\} \d+', text
    )
    assert re.search(
        r'noria_requests_total\{deployment="late",version="",variant="",protocol="v2",status="400"\} \d+', text
    )
    assert re.search(
        r'noria_request_seconds_bucket\{deployment="late",version="1",variant="champion",protocol="v2",le="\+Inf"\} \d+',
        text,
    )
    assert "noria_ring_rows " in text
    assert "noria_log_rows_dropped_total 0" in text
    assert 'deployment="nope"' not in text


def test_status_says_what_answers(worker):
    status, told = worker.json("GET", "/noria/status")

    assert status == 200
    assert told["deployments"]["late"]["loaded"]
    assert [v["weight"] for v in told["deployments"]["split"]["variants"]] == [0.5, 0.5]
    assert told["ring"]["dropped"] == 0


def test_nothing_heavy_is_imported(worker):
    modules = set(worker.json("GET", "/noria/status?modules=1")[1]["modules"])

    assert not modules & {
        "sqlalchemy",
        "alembic",
        "sqlite3",
        "polars",
        "pandas",
        "sklearn",
        "scipy",
        "lightgbm",
        "litestar",
        "rich",
        "onnx",
        "skops",
    }


MLFLOW = {
    "split": {"dataframe_split": {"columns": TABLE.columns, "data": [list(r) for r in TABLE.fill_nan(None).rows()]}},
    "split without names": {"dataframe_split": {"data": [list(r) for r in TABLE.fill_nan(None).rows()]}},
    "records": {"dataframe_records": TABLE.fill_nan(None).to_dicts()},
    "instances of rows": {"instances": TABLE.fill_nan(None).to_dicts()},
    "instances of lists": {"instances": [list(r) for r in TABLE.fill_nan(None).rows()]},
    "inputs by column": {"inputs": TABLE.fill_nan(None).to_dict(as_series=False)},
}


@pytest.mark.parametrize("form", [*MLFLOW, "csv"])
def test_mlflow_scoring_answers_every_form_alike(worker, form):
    expected = worker.infer(request_of(TABLE))[1]["outputs"][0]["data"]
    body = TABLE.fill_nan(None).write_csv().encode() if form == "csv" else json.dumps(MLFLOW[form]).encode()
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"

    status, headers, content = worker.ask(
        "POST", "/invocations", body, {"Content-Type": kind, "Noria-Deployment": "late"}
    )

    assert status == 200, content
    assert json.loads(content) == {"predictions": expected}
    assert headers["noria-request-id"]


MLFLOW_BAD = {
    "not json": (b"{", "application/json", "JSON"),
    "a list": (b"[]", "application/json", "JSON"),
    "no form": ({}, "application/json", "0 of the forms"),
    "two forms": ({"inputs": {}, "instances": []}, "application/json", "2 of the forms"),
    "params": ({"instances": [{}], "params": {"t": 1}}, "application/json", "params"),
    "empty": ({"instances": []}, "application/json", "list of rows"),
    "ragged": ({"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}, "application/json", "row 0 has 1 values"),
    "columns twice": (
        {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}},
        "application/json",
        "different names",
    ),
    "mixed rows": ({"dataframe_records": [{"a": 1}, {"b": 1}]}, "application/json", "row 1"),
    "missing column": ({"dataframe_records": [{"distance": 1.0}]}, "application/json", "missing"),
    "surplus column": (
        {"dataframe_records": [{**TABLE.fill_nan(None).to_dicts()[0], "x": 1}]},
        "application/json",
        "'x' is unknown",
    ),
    "wrong type": (
        {"dataframe_records": [{**TABLE.fill_nan(None).to_dicts()[0], "hour": "noon"}]},
        "application/json",
        "'hour'",
    ),
    "missing value": (
        {"dataframe_records": [{**TABLE.fill_nan(None).to_dicts()[0], "distance": None}]},
        "application/json",
        "'distance'",
    ),
    "csv without rows": (b"distance,delay\n", "text/csv", "no rows"),
    "csv with words for numbers": (
        b"distance,delay,hour,carrier,origin\nfar,1,2,AA,JFK\n",
        "text/csv",
        "'distance' holds 'far'",
    ),
    "csv that is not text": (b"\xff\xfe\x00", "text/csv", "CSV"),
}


@pytest.mark.parametrize("case", MLFLOW_BAD)
def test_a_bad_scoring_request_is_a_400_in_mlflows_form(worker, case):
    body, kind, named = MLFLOW_BAD[case]

    status, _, content = worker.ask(
        "POST",
        "/invocations",
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        {"Content-Type": kind, "Noria-Deployment": "late"},
    )

    answer = json.loads(content)
    assert status == 400
    assert answer["error_code"] == "BAD_REQUEST"
    assert named in answer["message"]
    assert "Traceback" not in answer["message"]


def test_scoring_without_saying_which_of_several_is_refused(worker):
    status, answer = worker.json("POST", "/invocations", MLFLOW["records"])

    assert status == 400
    assert "Noria-Deployment" in answer["message"]


def test_an_address_beyond_this_machine_needs_a_key(tmp_path):
    from noria.server.inference.run import serve
    from noria.server.inference.run_options import Options

    with pytest.raises(SettingInvalid, match="API key"):
        serve(Options(home=str(tmp_path), host="0.0.0.0", port=0))


def test_with_a_key_only_those_who_know_it_are_answered(tmp_path):
    home, _, _ = a_home(tmp_path)

    with a_worker(home, "--host", "0.0.0.0", env={"NORIA_API_KEY": "sesame"}) as worker:
        worker.host = "127.0.0.1"
        assert worker.infer(request_of(TABLE))[0] == 401
        assert worker.infer(request_of(TABLE), headers={"Authorization": "Bearer wrong"})[0] == 401
        assert worker.infer(request_of(TABLE), headers={"Authorization": "Bearer sesame"})[0] == 200
        assert worker.ask("GET", "/v2/health/ready")[0] == 200


def test_a_taken_port_is_refused(tmp_path):
    from noria.server.inference.run import serve
    from noria.server.inference.run_options import Options

    home, _, _ = a_home(tmp_path)
    with a_worker(home) as worker, pytest.raises(SettingInvalid, match="cannot be served"):
        serve(Options(home=str(home), port=worker.port))


def test_a_worker_that_is_started_first_serves_what_is_published_later(tmp_path):
    home, champion, _ = a_home(tmp_path)
    for document in (home / "blobs" / "documents" / "serving").iterdir():
        document.unlink()

    with a_worker(home) as worker:
        assert worker.json("GET", "/v2/health/ready")[0] == 503
        desired.publish(open_blobs(home), deployment(variant(champion)))
        assert eventually(lambda: worker.infer(request_of(TABLE))[0] == 200)


def test_a_deployment_that_is_asked_for_and_not_published_is_503(tmp_path):
    home, _, _ = a_home(tmp_path)

    with a_worker(home, "--deployment", "soon") as worker:
        status, headers, _ = worker.ask("POST", "/v2/models/soon/infer", b"{}")
        assert status == 503
        assert headers["retry-after"] == "1"
        assert worker.infer(request_of(TABLE))[0] == 404


def test_without_the_replay_clock_the_header_is_not_believed(tmp_path):
    home, _, _ = a_home(tmp_path)

    with a_worker(home) as worker:
        worker.infer(request_of(TABLE), headers={"Noria-Time": "2013-02-01T07:30:00Z"})
        assert worker.flush()
        assert logged(home)["at"][0].year > 2013


def test_durable_answers_are_in_the_log_when_they_are_given(tmp_path):
    home, _, _ = a_home(tmp_path)

    with a_worker(home, "--durable") as worker:
        for count in range(1, 4):
            worker.infer(request_of(TABLE[0]))
            assert len(logged(home)) == count


def test_what_was_answered_can_be_recomputed_from_the_log_bit_for_bit(tmp_path):
    from noria.app.worker import Flavors
    from noria.packaging.bundle import open_bundle
    from noria.serving.predict import answer

    home, champion, _ = a_home(tmp_path)
    with a_worker(home) as worker:
        worker.infer(request_of(flights(50, seed=3)))
        assert worker.flush()
    rows = logged(home).sort("row")
    inputs = {c.removeprefix("in."): rows[c].to_list() for c in rows.columns if c.startswith("in.")}

    again = answer(open_bundle(champion, blobs=open_blobs(home), cache=tmp_path / "cache", flavors=Flavors()), inputs)

    assert msgspec.msgpack.encode(again["probability"]) == msgspec.msgpack.encode(rows["out.probability"].to_list())
