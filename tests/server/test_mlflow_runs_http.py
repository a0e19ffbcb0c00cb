"""Runs over MLflow's protocol: their life, what is logged to them, finding them, what they read. Series are test_mlflow_series_http.py."""

from __future__ import annotations

import json
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


def a_run(server: Server, **more: object) -> str:
    given = {"experiment_id": "0", "start_time": 123, **more}
    return str(server.ok("POST", "runs/create", given)["run"]["info"]["run_id"])


def get(server: Server, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = server.ok("GET", "runs/get", {"run_id": run_id})["run"]
    return found


def pairs(run: dict[str, Any], kind: str) -> dict[str, str]:
    return {item["key"]: item["value"] for item in run["data"].get(kind, [])}


def found(server: Server, **asked: object) -> list[str]:
    answer = server.ok("POST", "runs/search", {"experiment_ids": ["0"], **asked})
    return [run["info"]["run_id"] for run in answer.get("runs", [])]


def test_a_run_is_answered_as_it_was_made(server: Server) -> None:
    tags = [{"key": "mlflow.user", "value": "ada"}, {"key": "mlflow.parentRunId", "value": "7"}]
    given = {"experiment_id": 0, "start_time": "123", "user_id": "ada", "run_name": "first", "tags": tags}

    made = server.ok("POST", "runs/create", given)["run"]

    run_id = made["info"]["run_id"]
    assert made["info"] == {
        "run_id": run_id,
        "run_uuid": run_id,
        "run_name": "first",
        "experiment_id": "0",
        "user_id": "ada",
        "status": "RUNNING",
        "start_time": 123,
        "artifact_uri": f"mlflow-artifacts:/0/{run_id}/artifacts",
        "lifecycle_stage": "active",
    }
    assert pairs(made, "tags") == {"mlflow.user": "ada", "mlflow.parentRunId": "7", "mlflow.runName": "first"}
    assert get(server, run_id) == made


def test_a_run_without_a_name_gets_one(server: Server) -> None:
    run = get(server, a_run(server))

    assert run["info"]["run_name"].count("-") == 2
    assert pairs(run, "tags") == {"mlflow.runName": run["info"]["run_name"]}


def test_a_name_may_come_as_a_tag_but_not_as_two_names(server: Server) -> None:
    tag = [{"key": "mlflow.runName", "value": "tagged"}]

    assert get(server, a_run(server, tags=tag))["info"]["run_name"] == "tagged"
    refused = server.refusal("POST", "runs/create", {"experiment_id": "0", "run_name": "other", "tags": tag})
    assert refused == (
        400,
        INVALID,
        "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
        "(run_name='other', mlflow.runName='tagged').",
    )


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        ({"start_time": "soon"}, "Invalid value \"soon\" for parameter 'start_time' supplied"),
        ({"run_name": 5}, "Invalid value 5 for parameter 'run_name' supplied"),
        ({"experiment_id": 5.5}, "Invalid value 5.5 for parameter 'experiment_id' supplied"),
        ({"tags": "x"}, "Invalid request: "),
        ({"start_time": 10**17}, "Invalid value 100000000000000000 for parameter 'start_time' supplied"),
    ],
)
def test_a_run_that_cannot_be_is_refused(server: Server, given: dict[str, object], begins: str) -> None:
    status, code, message = server.refusal("POST", "runs/create", given)

    assert (status, code) == (400, INVALID)
    assert message.startswith(begins)


def test_a_run_ends_is_corrected_and_resumed(server: Server) -> None:
    run_id = a_run(server)
    states = []
    for change in (
        {"status": "FINISHED", "end_time": 200},
        {"status": "FAILED"},
        {"status": 5, "end_time": "300"},
        {"status": "RUNNING"},
        {"status": "SCHEDULED"},
        {"run_name": "other"},
        {"run_name": ""},
        {"status": "KILLED", "end_time": 400},
    ):
        info = server.ok("POST", "runs/update", {"run_id": run_id, **change})["run_info"]
        states.append((info["status"], info.get("end_time"), info["run_name"]))

    name = states[0][2]
    assert states == [
        ("FINISHED", 200, name),
        ("FAILED", 200, name),
        ("KILLED", 300, name),
        ("RUNNING", None, name),
        ("SCHEDULED", None, name),
        ("SCHEDULED", None, "other"),
        ("SCHEDULED", None, "other"),
        ("KILLED", 400, "other"),
    ]
    assert get(server, run_id)["info"] == server.ok("POST", "runs/update", {"run_uuid": run_id})["run_info"]


def test_a_run_that_ends_without_a_time_ends_now(server: Server) -> None:
    info = server.ok("POST", "runs/update", {"run_id": a_run(server), "status": "FINISHED"})["run_info"]

    assert info["end_time"] > 1_600_000_000_000


def test_an_unknown_status_changes_nothing(server: Server) -> None:
    run_id = a_run(server)

    for status in ("DONE", 9, 0):
        refused = server.refusal("POST", "runs/update", {"run_id": run_id, "status": status})
        assert refused[1] == INVALID
    assert get(server, run_id)["info"]["status"] == "RUNNING"


WRITES = [
    ("runs/log-metric", {"key": "k", "value": 1, "timestamp": 1}),
    ("runs/log-parameter", {"key": "k", "value": "1"}),
    ("runs/set-tag", {"key": "k", "value": "1"}),
    ("runs/set-tag", {"key": "mlflow.runName", "value": "n"}),
    ("runs/delete-tag", {"key": "k"}),
    ("runs/log-batch", {"metrics": [{"key": "k", "value": 1, "timestamp": 1}]}),
    ("runs/log-inputs", {"datasets": [{"dataset": {"name": "n", "digest": "d"}}]}),
    ("runs/outputs", {"models": [{"model_id": "m"}]}),
    ("runs/update", {"status": "FINISHED"}),
    (
        "runs/log-model",
        {"model_json": json.dumps({"artifact_path": "m", "flavors": {}, "utc_time_created": "t", "run_id": "r"})},
    ),
]


@pytest.mark.parametrize(("path", "given"), [*WRITES, ("runs/delete", {}), ("runs/restore", {})])
def test_an_unknown_run_is_not_found(server: Server, path: str, given: dict[str, object]) -> None:
    refused = server.refusal("POST", path, {"run_id": "absent", **given})

    assert refused == (404, ABSENT, "Run with id=absent not found")


@pytest.mark.parametrize(("path", "given"), WRITES)
def test_a_deleted_run_is_not_written_to(server: Server, path: str, given: dict[str, object]) -> None:
    run_id = a_run(server)
    server.ok("POST", "runs/delete", {"run_id": run_id})
    before = get(server, run_id)

    refused = server.refusal("POST", path, {"run_id": run_id, **given})

    inactive = f"The run {run_id} must be in the 'active' state. Current state is deleted."
    assert refused == (400, INVALID, inactive)
    assert get(server, run_id) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "runs/get"),
        *(("POST", path) for path, _ in WRITES),
        ("POST", "runs/delete"),
        ("POST", "runs/restore"),
    ],
)
def test_a_request_without_a_run_says_what_is_missing(server: Server, method: str, path: str) -> None:
    for given in ({}, {"run_id": ""}):
        refused = server.refusal(method, path, given)

        assert refused == (400, INVALID, f"Missing value for required parameter 'run_id'.{DOCS}")


def test_deleted_runs_are_found_only_where_they_are_looked_for(server: Server) -> None:
    kept, gone = a_run(server), a_run(server)
    for _ in range(2):
        server.ok("POST", "runs/delete", {"run_id": gone})

    assert found(server) == [kept]
    assert found(server, run_view_type="DELETED_ONLY") == [gone]
    assert sorted(found(server, run_view_type="ALL")) == sorted([kept, gone])
    for _ in range(2):
        server.ok("POST", "runs/restore", {"run_id": gone})
    assert sorted(found(server)) == sorted([kept, gone])


def test_a_param_keeps_its_first_value(server: Server) -> None:
    run_id = a_run(server)
    for _ in range(2):
        server.ok("POST", "runs/log-parameter", {"run_id": run_id, "key": "depth", "value": "3"})

    other = server.refusal("POST", "runs/log-parameter", {"run_uuid": run_id, "key": "depth", "value": "4"})
    several = [{"key": "depth", "value": "4"}, {"key": "new", "value": "1"}]
    batch = server.refusal("POST", "runs/log-batch", {"run_id": run_id, "params": several})

    assert other == (
        400,
        INVALID,
        f"Changing param values is not allowed. Param with key='depth' was already logged with value='3' for run ID='{run_id}'. "
        "Attempted logging new value '4'.",
    )
    assert batch == (
        400,
        INVALID,
        "Changing param values is not allowed. Params were already logged="
        f"'[{{'key': 'depth', 'old_value': '3', 'new_value': '4'}}]' for run ID='{run_id}'.",
    )
    assert pairs(get(server, run_id), "params") == {"depth": "3"}


def test_values_are_kept_as_they_are_up_to_their_limits(server: Server) -> None:
    run_id = a_run(server)
    server.ok("POST", "runs/log-parameter", {"run_id": run_id, "key": "empty"})
    server.ok("POST", "runs/log-parameter", {"run_id": run_id, "key": "digits", "value": "1e-3"})
    server.ok("POST", "runs/log-parameter", {"run_id": run_id, "key": "long", "value": "x" * 7000})
    server.ok("POST", "runs/set-tag", {"run_id": run_id, "key": "empty", "value": ""})
    server.ok("POST", "runs/set-tag", {"run_id": run_id, "key": "long", "value": "x" * 9000})

    run = get(server, run_id)

    assert pairs(run, "params") == {"empty": "", "digits": "1e-3", "long": "x" * 6000}
    assert {key: value for key, value in pairs(run, "tags").items() if "mlflow" not in key} == {
        "empty": "",
        "long": "x" * 8000,
    }


def test_tags_are_overwritten_and_taken_away_and_one_is_the_name(server: Server) -> None:
    run_id = a_run(server, run_name="before")
    for value in ("1", "2"):
        server.ok("POST", "runs/set-tag", {"run_uuid": run_id, "key": "k", "value": value})
    server.ok("POST", "runs/set-tag", {"run_id": run_id, "key": "mlflow.runName", "value": "after"})
    set_so_far = get(server, run_id)
    server.ok("POST", "runs/delete-tag", {"run_id": run_id, "key": "k"})

    assert set_so_far["info"]["run_name"] == "after"
    assert pairs(set_so_far, "tags") == {"k": "2", "mlflow.runName": "after"}
    assert pairs(get(server, run_id), "tags") == {"mlflow.runName": "after"}
    gone = server.refusal("POST", "runs/delete-tag", {"run_id": run_id, "key": "k"})
    assert gone == (404, ABSENT, f"No tag with name: k in run with id {run_id}")


def test_a_page_of_runs_follows_the_one_before(server: Server) -> None:
    made = sorted(a_run(server, start_time=1) for _ in range(10))
    pages: list[list[str]] = []
    asked: dict[str, object] = {"experiment_ids": ["0"], "max_results": 4}
    while True:
        answer = server.ok("POST", "runs/search", asked)
        pages.append([run["info"]["run_id"] for run in answer["runs"]])
        if "next_page_token" not in answer:
            break
        asked["page_token"] = answer["next_page_token"]

    assert pages == [made[:4], made[4:8], made[8:]]


def test_runs_are_found_by_what_clients_know_of_them(server: Server) -> None:
    first, second = a_run(server, run_name="one", user_id="ada"), a_run(server, run_name="two")
    server.ok("POST", "runs/log-metric", {"run_id": first, "key": "auc", "value": 0.5, "timestamp": 9, "step": 4})
    server.ok("POST", "runs/log-metric", {"run_id": second, "key": "auc", "value": "NaN", "timestamp": 9})
    server.ok("POST", "runs/update", {"run_id": second, "status": "FINISHED", "end_time": 500})

    assert found(server, filter="metrics.auc > 0.4") == [first]
    assert found(server, order_by=["metrics.auc DESC"]) == [first, second]
    assert found(server, filter="attributes.status = 'FINISHED' AND end_time = 500") == [second]
    assert found(server, filter="tags.`mlflow.runName` = 'one'") == [first]
    assert found(server, filter="run_name = 'one' and user_id = 'ada'") == [first]
    assert found(server, filter=f"artifact_uri = 'mlflow-artifacts:/0/{second}/artifacts'") == [second]
    assert found(server, filter=f"run_id NOT IN ('{first}')") == [second]
    assert found(server, experiment_ids=[]) == []
    assert found(server, experiment_ids=["999"]) == []
    answer = server.ok("POST", "runs/search", {"experiment_ids": [0], "filter": "metrics.auc > 0.4"})
    assert answer["runs"][0]["data"]["metrics"] == [{"key": "auc", "value": 0.5, "timestamp": 9, "step": 4}]


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ({"max_results": 123456789}, "Invalid value 123456789 for parameter 'max_results' supplied"),
        ({"max_results": 0}, "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer"),
        ({"experiment_ids": "0"}, "Invalid value \"0\" for parameter 'experiment_ids' supplied"),
        ({"order_by": [5]}, "Invalid value [5] for parameter 'order_by' supplied"),
        ({"filter": "foo.x = 1"}, "Invalid entity type 'foo'. Valid values are ['metric', 'parameter', 'tag', "),
        ({"filter": "attribute.zz = 'x'"}, "Invalid attribute key 'zz' specified"),
        ({"filter": "metrics.auc = 'x'"}, "Invalid filter string: expected a number"),
        ({"page_token": "abc"}, "Invalid page token, could not base64-decode"),
    ],
)
def test_a_search_that_cannot_be_understood_is_refused(server: Server, asked: dict[str, object], begins: str) -> None:
    status, code, message = server.refusal("POST", "runs/search", asked)

    assert (status, code) == (400, INVALID)
    assert message.startswith(begins)


def a_dataset(name: str = "rows", **more: object) -> dict[str, object]:
    dataset = {"name": name, "digest": "d1", "source_type": "local", "source": "{}", **more}
    return {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "training"}]}


def test_datasets_are_linked_once_and_found_by_experiment(server: Server) -> None:
    run_id = a_run(server)
    for _ in range(2):
        server.ok("POST", "runs/log-inputs", {"run_id": run_id, "datasets": [a_dataset(schema="s"), a_dataset()]})
    server.ok("POST", "runs/log-inputs", {"run_id": a_run(server), "datasets": [a_dataset(), a_dataset("other")]})

    linked = get(server, run_id)["inputs"]["dataset_inputs"]
    answers = [
        server.ask("POST", path, {"experiment_ids": ["0"]}).json["dataset_summaries"]
        for path in (
            "/ajax-api/2.0/mlflow/experiments/search-datasets",
            "/api/2.0mlflow/experiments/search-datasets",
            "/api/2.0/mlflow/experiments/search-datasets",
        )
    ]

    assert linked == [a_dataset(schema="s")]
    assert answers[0] == answers[1] == answers[2]
    assert sorted(answers[0], key=lambda summary: summary["name"]) == [
        {"experiment_id": "0", "name": name, "digest": "d1", "context": "training"} for name in ("other", "rows")
    ]
    assert found(server, filter="dataset.name = 'other'") != [run_id]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"name": "n" * 501}, "'name' exceeds the maximum length of 500 characters"),
        ({"digest": "d" * 37}, "'digest' exceeds the maximum length of 36 characters"),
        ({"source": "s" * 65_536}, "'source' exceeds the maximum length of 65535 characters"),
    ],
)
def test_a_dataset_that_is_too_long_is_refused(server: Server, dataset: dict[str, object], message: str) -> None:
    given = {"run_id": a_run(server), "datasets": [a_dataset(**{"name": "x", **dataset})]}

    assert server.refusal("POST", "runs/log-inputs", given) == (400, INVALID, message)


@pytest.mark.parametrize(
    ("experiments", "begins"),
    [
        ([], "SearchDatasets request must specify at least one experiment_id."),
        ([str(n) for n in range(21)], "SearchDatasets request cannot specify more than 20 experiment_ids. Received 21"),
    ],
)
def test_datasets_are_searched_in_some_experiments(server: Server, experiments: list[str], begins: str) -> None:
    refused = server.refusal("POST", "experiments/search-datasets", {"experiment_ids": experiments})

    assert refused[:2] == (400, INVALID)
    assert refused[2].startswith(begins)


def test_old_clients_tell_of_their_models_by_a_tag(server: Server) -> None:
    run_id = a_run(server)
    model = {"artifact_path": "m", "flavors": {"f": {"config": {}, "x": 1}}, "utc_time_created": "t", "run_id": run_id}
    for _ in range(2):
        server.ok("POST", "runs/log-model", {"run_id": run_id, "model_json": json.dumps(model)})

    history = json.loads(pairs(get(server, run_id), "tags")["mlflow.log-model.history"])
    broken = server.refusal("POST", "runs/log-model", {"run_id": run_id, "model_json": "{"})
    bare = server.refusal("POST", "runs/log-model", {"run_id": run_id, "model_json": "{}"})

    assert history == [{**model, "flavors": {"f": {"x": 1}}}] * 2
    assert broken == (400, INVALID, "Malformed model info. \n { \n is not a valid JSON.")
    assert bare[2].startswith("Model json is missing mandatory fields: ")
