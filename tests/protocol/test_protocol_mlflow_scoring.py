"""MLflow's scoring protocol, as its server (mlflow 3.17.2, pyfunc/scoring_server) takes and answers it, and its own client against a real worker."""

import io
import json
import os
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tests.server.inference_rig import ONE, PLAIN, SEVERAL, Rig
from tests.serving.worker_factory import a_home, a_worker, flights

FLOW = Path(__file__).parent / "flows" / "scoring.py"
PYTHON = Path(__file__).resolve().parents[2] / ".make" / "peers" / "bin" / "python"
ROW = {"distance": 1.5, "delay": 2.0, "speed": 2.5, "hour": 3, "late": True, "carrier": "AA", "note": "x"}
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def rig():
    rig = Rig({"late": PLAIN})
    yield rig
    rig.close()


def ask(rig, body, kind=JSON, **more):
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, content = rig.ask("POST", "/invocations", sent, {"content-type": kind, **more})
    return status, json.loads(content)


def parquet(frame):
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


@pytest.mark.slow
def test_mlflows_own_client_notices_no_difference(tmp_path):
    home, _, _ = a_home(tmp_path)
    rows = flights(6).fill_nan(None).to_dicts()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTHON"))}

    with a_worker(home) as worker:
        expected = worker.json("POST", "/invocations", {"dataframe_records": rows})[1]["predictions"]
        done = subprocess.run(
            [str(PYTHON), str(FLOW), worker.url, json.dumps(rows), json.dumps(expected)],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
            env={**kept, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )

    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("ok ")


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; profile=x",
        "text/csv; header=present",
    ],
)
def test_other_types_charsets_and_parameters_are_415(rig, kind):
    status, answer = ask(rig, {"instances": [ROW]}, kind)

    assert status == 415
    assert answer["error_code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"', ""]
)
def test_json_is_read_whatever_the_case_of_its_type(rig, kind):
    assert ask(rig, {"instances": [ROW]}, kind)[0] == 200


@pytest.mark.parametrize("params", [None, {}])
def test_empty_params_are_fine_and_others_refused(rig, params):
    assert ask(rig, {"instances": [ROW], "params": params})[0] == 200
    assert ask(rig, {"instances": [ROW], "params": {"temperature": 1}})[0] == 400


def test_csv_has_a_header_row_in_any_order_of_columns(rig):
    body = b"note,carrier,late,hour,speed,delay,distance\nx,AA,true,3,2.5,2.0,1.5\n"

    assert ask(rig, body, CSV) == ask(rig, {"instances": [ROW]})
    assert ask(rig, body.split(b"\n")[1] + b"\n", CSV)[0] == 400


def test_parquet_is_answered_with_json(rig):
    assert ask(rig, parquet(pl.DataFrame([ROW, ROW])), PARQUET) == ask(rig, {"instances": [ROW, ROW]})
    status, answer = ask(rig, b"PAR1", PARQUET)
    assert (status, answer["error_code"]) == (400, "BAD_REQUEST")
    assert ask(rig, parquet(pl.DataFrame([ROW])), "application/x-parquet")[0] == 415, "MLflow knows one name for it"


def test_a_bare_value_and_several_outputs_are_answered():
    rig = Rig({"one": ONE, "several": SEVERAL})
    alone = ask(rig, {"inputs": {"x": 1.0}}, **{"noria-deployment": "one"})
    several = ask(rig, {"dataframe_records": [ROW, ROW]}, **{"noria-deployment": "several"})
    rig.close()

    assert alone == (200, {"predictions": [3.5]})
    assert [row.keys() for row in several[1]["predictions"]] == [
        {"probability", "hour", "word", "raw_bytes", "late"}
    ] * 2


def test_health_is_a_line_and_the_version_a_text(rig):
    assert rig.ask("GET", "/ping")[::2] == (200, b"\n")
    assert rig.ask("GET", "/health")[::2] == (200, b"\n")
    assert rig.ask("GET", "/version")[0] == 200
    assert rig.ask("GET", "/invocations")[0] == 405


def test_an_unknown_deployment_is_told_in_mlflows_words(rig):
    status, answer = ask(rig, {"instances": [ROW]}, **{"noria-deployment": "nope"})

    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
