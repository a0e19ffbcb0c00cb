"""Logged models over MLflow's protocol: their life, their measurements, finding them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.noria_server import Server, noria_server

DOCS = " See the API docs for more information about request parameters."
INVALID = "INVALID_PARAMETER_VALUE"
ABSENT = "RESOURCE_DOES_NOT_EXIST"


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    with noria_server() as server:
        yield server


@pytest.fixture
def server(process: Server) -> Server:
    process.reset()
    return process


def a_model(server: Server, **more: object) -> str:
    made = server.ok("POST", "logged-models", {"experiment_id": "0", **more})
    return str(made["model"]["info"]["model_id"])


def get(server: Server, model_id: str) -> dict[str, Any]:
    found: dict[str, Any] = server.ok("GET", f"logged-models/{model_id}")["model"]
    return found


def a_run(server: Server) -> str:
    return str(server.ok("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"])


def measure(server: Server, model_id: str, value: float = 0.5, dataset: str = "rows", digest: str = "d1") -> str:
    run_id = a_run(server)
    point = {"run_id": run_id, "key": "auc", "value": value, "timestamp": 5, "step": 1}
    about = {"model_id": model_id, "dataset_name": dataset, "dataset_digest": digest}
    server.ok("POST", "runs/log-metric", {**point, **about})
    return run_id


def search(server: Server, **asked: object) -> list[str]:
    answer = server.ok("POST", "logged-models/search", {"experiment_ids": ["0"], **asked})
    return [model["info"]["model_id"] for model in answer.get("models", [])]


def test_a_model_is_answered_as_it_was_made(server: Server) -> None:
    given = {
        "name": "trees",
        "model_type": "classifier",
        "source_run_id": a_run(server),
        "params": [{"key": "depth", "value": "3"}],
        "tags": [{"key": "team", "value": "blue"}],
    }

    made = server.ok("POST", "logged-models", {"experiment_id": "0", **given})["model"]

    info = made["info"]
    assert info["model_id"].startswith("m-")
    assert (info["name"], info["model_type"], info["source_run_id"]) == ("trees", "classifier", given["source_run_id"])
    assert info["status"] == "LOGGED_MODEL_PENDING"
    assert info["artifact_uri"] == f"mlflow-artifacts:/0/models/{info['model_id']}/artifacts"
    assert (made["data"]["params"], info["tags"]) == (given["params"], given["tags"])
    assert get(server, info["model_id"]) == made


def test_a_source_run_may_be_one_that_is_not_here(server: Server) -> None:
    model = get(server, a_model(server, source_run_id="elsewhere", tags=[{"key": "a", "value": "b"}]))

    assert model["info"]["source_run_id"] == "elsewhere"
    assert model["info"]["tags"] == [{"key": "a", "value": "b"}]


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b"])
def test_a_name_that_cannot_be_is_refused(server: Server, name: str) -> None:
    status, code, message = server.refusal("POST", "logged-models", {"experiment_id": "0", "name": name})

    assert (status, code) == (400, INVALID)
    assert message.startswith(
        f"Invalid model name ({name!r}) provided. Model name must be a non-empty string and cannot"
    )


def test_a_model_without_a_name_gets_one(server: Server) -> None:
    assert get(server, a_model(server))["info"]["name"].count("-") == 2
    missing = (400, INVALID, f"Missing value for required parameter 'experiment_id'.{DOCS}")
    assert server.refusal("POST", "logged-models", {}) == missing


def test_a_model_is_finished_by_word_or_number(server: Server) -> None:
    model_id = a_model(server)
    states = []
    for status in ("LOGGED_MODEL_READY", 3, "2"):
        given = {"model_id": model_id, "status": status}
        states.append(server.ok("PATCH", f"logged-models/{model_id}", given)["model"]["info"]["status"])

    assert states == ["LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED", "LOGGED_MODEL_READY"]
    refused = server.refusal("PATCH", f"logged-models/{model_id}", {"model_id": model_id, "status": "DONE"})
    assert refused[:2] == (400, INVALID)


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", "", None),
        ("DELETE", "", {}),
        ("PATCH", "", {"model_id": "m-absent", "status": 2}),
        ("PATCH", "/tags", {"tags": [{"key": "k", "value": "v"}]}),
        ("DELETE", "/tags/k", {}),
        ("POST", "/params", {"model_id": "m-absent", "params": [{"key": "k", "value": "v"}]}),
    ],
)
def test_an_unknown_model_is_not_found(server: Server, method: str, path: str, given: dict[str, object] | None) -> None:
    refused = server.refusal(method, f"logged-models/m-absent{path}", given)

    assert refused == (404, ABSENT, "Logged model with ID 'm-absent' not found.")


def test_tags_and_params_are_added(server: Server) -> None:
    model_id = a_model(server, tags=[{"key": "a", "value": "1"}])
    server.ok(
        "PATCH", f"logged-models/{model_id}/tags", {"tags": [{"key": "a", "value": "2"}, {"key": "b/c", "value": "3"}]}
    )
    params = {"model_id": model_id, "params": [{"key": "p", "value": "1"}]}
    for _ in range(2):
        server.ok("POST", f"logged-models/{model_id}/params", params)
    server.ok("DELETE", f"logged-models/{model_id}/tags/a")

    model = get(server, model_id)
    assert model["info"]["tags"] == [{"key": "b/c", "value": "3"}]
    assert model["data"]["params"] == params["params"]
    gone = server.refusal("DELETE", f"logged-models/{model_id}/tags/a")
    assert gone == (404, ABSENT, f"No tag with key 'a' found for model with ID '{model_id}'.")
    other = {"model_id": model_id, "params": [{"key": "p", "value": "2"}]}
    assert server.refusal("POST", f"logged-models/{model_id}/params", other)[:2] == (400, INVALID)


def test_a_point_of_a_run_measures_a_model(server: Server) -> None:
    model_id = a_model(server)

    run_id = measure(server, model_id)

    point = {"key": "auc", "value": 0.5, "timestamp": 5, "step": 1}
    about = {"model_id": model_id, "dataset_name": "rows", "dataset_digest": "d1", "run_id": run_id}
    assert get(server, model_id)["data"]["metrics"] == [{**point, **about}]
    assert server.ok("GET", "runs/get", {"run_id": run_id})["run"]["data"]["metrics"] == [point]


def test_runs_say_what_they_read_and_brought_forth(server: Server) -> None:
    run_id, model_id = a_run(server), a_model(server)
    for _ in range(2):
        server.ok("POST", "runs/outputs", {"run_id": run_id, "models": [{"model_id": model_id, "step": "3"}]})
        server.ok("POST", "runs/log-inputs", {"run_id": run_id, "models": [{"model_id": model_id}]})

    run = server.ok("GET", "runs/get", {"run_id": run_id})["run"]
    assert run["outputs"] == {"model_outputs": [{"model_id": model_id, "step": 3}]}
    assert run["inputs"] == {"model_inputs": [{"model_id": model_id}]}
    missing = server.refusal("POST", "runs/outputs", {"run_id": run_id})
    assert missing == (400, INVALID, f"Missing value for required parameter 'models'.{DOCS}")


def test_a_deleted_model_is_seen_only_by_who_asks_for_it(server: Server) -> None:
    model_id = a_model(server)

    server.ok("DELETE", f"logged-models/{model_id}")

    assert server.refusal("GET", f"logged-models/{model_id}")[0] == 404
    assert search(server) == []
    asked = server.ok("GET", f"logged-models/{model_id}", {"allow_deleted": "true"})
    assert asked["model"]["info"]["model_id"] == model_id


def test_models_are_found_by_words_measurements_and_datasets(server: Server) -> None:
    first, second = a_model(server, name="one", model_type="T"), a_model(server, name="two")
    measure(server, first, 0.5)
    measure(server, second, 0.7)
    measure(server, second, 0.9, "other", "d2")

    assert search(server, filter="name = 'one'") == [first]
    assert search(server, filter="model_type = 'T' AND status = 'PENDING'") == [first]
    assert sorted(search(server, filter="metrics.auc > 0.4")) == sorted([first, second])
    other, rows = [{"dataset_name": "other"}], [{"dataset_name": "rows", "dataset_digest": "d1"}]
    assert search(server, datasets=other) == [second]
    assert search(server, filter="metrics.auc > 0.8", datasets=rows) == []
    assert search(server, datasets=[{"dataset_name": "rows", "dataset_digest": "d9"}]) == []
    best = {"field_name": "metrics.auc", "ascending": False, "dataset_name": "rows"}
    assert search(server, order_by=[best]) == [second, first]
    assert search(server, order_by=[{"field_name": "name"}]) == [first, second]


@pytest.mark.parametrize("datasets", [[], [{"dataset_name": "rows"}]])
def test_pages_of_models_hold_each_once(server: Server, datasets: list[dict[str, str]]) -> None:
    made = [a_model(server, name=f"m{number}") for number in range(7)]
    for model_id in made[::2]:
        measure(server, model_id)
    asked: dict[str, Any] = {
        "experiment_ids": ["0"],
        "max_results": 3,
        "order_by": [{"field_name": "name"}],
        "datasets": datasets,
    }
    found: list[str] = []
    while True:
        page = server.ok("POST", "logged-models/search", asked)
        found += [model["info"]["model_id"] for model in page["models"]]
        if "next_page_token" not in page:
            break
        asked["page_token"] = page["next_page_token"]

    assert found == (made[::2] if datasets else made)


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ({"experiment_ids": "0"}, "Invalid value \"0\" for parameter 'experiment_ids' supplied"),
        ({"experiment_ids": None}, "Missing value for required parameter 'experiment_ids'."),
        ({"max_results": "x"}, "Invalid value \"x\" for parameter 'max_results' supplied"),
        ({"datasets": [{"dataset_digest": "d"}]}, "`dataset_name` in the `datasets` clause must be specified."),
        ({"order_by": [{"field_name": "zz"}]}, "Invalid order by field name: zz"),
        (
            {"order_by": [{"field_name": "params.p"}]},
            "Invalid order by field name: params.p. Only metrics are supported.",
        ),
        ({"filter": "zz.x = 1"}, "Invalid entity type 'zz'."),
        ({"page_token": "abc"}, "Invalid page token"),
        ({"page_token": "abc", "datasets": [{"dataset_name": "rows"}]}, "Invalid page token"),
    ],
)
def test_a_search_that_cannot_be_understood_is_refused(server: Server, asked: dict[str, object], begins: str) -> None:
    status, code, message = server.refusal("POST", "logged-models/search", {"experiment_ids": ["0"], **asked})

    assert (status, code) == (400, INVALID)
    assert message.startswith(begins)
