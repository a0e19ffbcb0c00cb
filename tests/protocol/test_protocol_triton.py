"""Triton's own HTTP client, unmodified, against a real worker: JSON tensors and the binary tensors that it sends by default."""

import numpy as np
import pytest

from tests.serving.worker_factory import a_home, a_worker, arrays, boosting, flights

http = pytest.importorskip("tritonclient.http")
pytestmark = pytest.mark.filterwarnings("ignore")

TABLE = flights(6)
KINDS = {"distance": "FP64", "delay": "FP64", "hour": "INT64", "carrier": "BYTES", "origin": "BYTES"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    home, _, _ = a_home(tmp_path_factory.mktemp("triton"))
    with a_worker(home) as worker:
        client = http.InferenceServerClient(f"{worker.host}:{worker.port}")
        yield client
        client.close()


def inputs(*, binary, without_gaps=False):
    made = []
    for name, values in arrays(TABLE).items():
        if without_gaps and name == "delay":
            values = np.nan_to_num(values)
        tensor = http.InferInput(name, [len(values)], KINDS[name])
        tensor.set_data_from_numpy(values, binary_data=binary)
        made.append(tensor)
    return made


def expected(table=TABLE):
    return boosting().predict_proba(table)[:, 1]


def test_the_server_and_its_model_introduce_themselves(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "1")
    assert not client.is_model_ready("nope")
    assert client.get_server_metadata()["name"] == "noria"
    assert [t["name"] for t in client.get_model_metadata("late")["inputs"]] == TABLE.columns


@pytest.mark.parametrize("output_binary", [True, False])
def test_binary_tensors_which_are_the_clients_default_are_answered(client, output_binary):
    result = client.infer(
        "late",
        inputs(binary=True),
        outputs=[http.InferRequestedOutput("probability", binary_data=output_binary)],
        request_id="7",
    )

    assert result.as_numpy("probability") == pytest.approx(expected(), abs=1e-6)
    assert result.get_response()["id"] == "7"
    assert result.get_response()["parameters"]["request_id"].startswith("r")


def test_json_tensors_are_answered(client):
    import polars as pl

    result = client.infer(
        "late",
        inputs(binary=False, without_gaps=True),
        outputs=[http.InferRequestedOutput("probability", binary_data=False)],
    )

    filled = TABLE.with_columns(pl.col("delay").fill_nan(0.0))
    assert result.as_numpy("probability") == pytest.approx(expected(filled), abs=1e-6)


def test_json_and_binary_give_the_same_bits(client):
    wanted = [http.InferRequestedOutput("probability", binary_data=False)]

    by_json = client.infer("late", inputs(binary=False, without_gaps=True), outputs=wanted).as_numpy("probability")
    by_bytes = client.infer("late", inputs(binary=True, without_gaps=True), outputs=wanted).as_numpy("probability")

    assert by_json.tobytes() == by_bytes.tobytes()


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_requests_are_answered(client, compression):
    result = client.infer("late", inputs(binary=True), request_compression_algorithm=compression)

    assert result.as_numpy("probability") == pytest.approx(expected(), abs=1e-6)


def test_versions_are_answered_and_unknown_ones_are_errors(client):
    assert client.infer("late", inputs(binary=True), model_version="1").get_response()["model_version"] == "1"
    with pytest.raises(Exception, match="version '9'"):
        client.infer("late", inputs(binary=True), model_version="9")


def test_errors_reach_the_client_as_text(client):
    wrong = inputs(binary=True)[1:]

    with pytest.raises(Exception, match="'distance' is missing"):
        client.infer("late", wrong)
