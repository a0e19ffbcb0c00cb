"""Experiments over MLflow's protocol, request by request: answers, codes and texts that its clients rely on."""

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


def an_experiment(server: Server, name: str = "churn", **more: object) -> str:
    return str(server.ok("POST", "experiments/create", {"name": name, **more})["experiment_id"])


def get(server: Server, experiment: str) -> dict[str, Any]:
    found: dict[str, Any] = server.ok("GET", "experiments/get", {"experiment_id": experiment})["experiment"]
    return found


def names(server: Server, **asked: object) -> list[str]:
    found = server.ok("POST", "experiments/search", {"max_results": 100, **asked})
    return [experiment["name"] for experiment in found.get("experiments", [])]


def test_the_default_experiment_is_always_there(server: Server) -> None:
    default = get(server, "0")

    assert default["name"] == "Default"
    assert default["lifecycle_stage"] == "active"
    assert default["artifact_location"] == "mlflow-artifacts:/0"
    assert names(server) == ["Default"]


def test_an_experiment_is_answered_as_it_was_made(server: Server) -> None:
    made = get(server, an_experiment(server, tags=[{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]))

    assert made["name"] == "churn"
    assert made["tags"] == [{"key": "a", "value": "2"}]
    assert made["artifact_location"] == f"mlflow-artifacts:/{made['experiment_id']}"
    assert isinstance(made["creation_time"], int)
    assert made["last_update_time"] == made["creation_time"]
    by_name = server.ok("GET", "experiments/get-by-name", {"experiment_name": "churn"})
    assert by_name["experiment"] == made


def test_both_prefixes_and_both_methods_of_search_answer_alike(server: Server) -> None:
    an_experiment(server)

    answers = [
        server.ask("GET", f"/{root}/2.0/mlflow/experiments/search", query={"max_results": 5}).json
        for root in ("api", "ajax-api")
    ]
    posted = server.ok("POST", "experiments/search", {"max_results": "5"})

    assert answers == [posted, posted]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, f"Missing value for required parameter 'name'.{DOCS}"),
        ({"name": ""}, f"Missing value for required parameter 'name'.{DOCS}"),
        ({"name": 123}, f"Invalid value 123 for parameter 'name' supplied:  Hint: Value was of type 'int'.{DOCS}"),
        (
            {"name": "x", "artifact_location": 9.0},
            f"Invalid value 9.0 for parameter 'artifact_location' supplied:  Hint: Value was of type 'float'.{DOCS}",
        ),
        (
            {"name": "x", "tags": "5"},
            f"Invalid value \"5\" for parameter 'tags' supplied:  Hint: Value was of type 'str'.{DOCS}",
        ),
        ({"name": "x" * 501}, "'name' exceeds the maximum length of 500 characters"),
        (
            {"name": "x", "artifact_location": "s3://b/x#part"},
            "'artifact_location' URL can't include fragments or params.",
        ),
        ({"name": "x", "artifact_location": "s3://b/x?a=../y"}, "Invalid query string"),
        ({"name": "x", "artifact_location": "s3://b/x?a=%252e%252e/y"}, "Invalid query string"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused_in_mlflows_words(
    server: Server, given: dict[str, object], message: str
) -> None:
    assert server.refusal("POST", "experiments/create", given) == (400, INVALID, message)
    assert names(server) == ["Default"]


def test_a_location_outside_is_kept_as_a_text_and_runs_stand_below_it(server: Server) -> None:
    experiment = an_experiment(server, artifact_location="s3://bucket/x?region=eu")

    run = server.ok("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]

    assert get(server, experiment)["artifact_location"] == "s3://bucket/x?region=eu"
    assert run["artifact_uri"] == f"s3://bucket/x/{run['run_id']}/artifacts?region=eu"


def test_an_experiment_may_choose_its_place_in_this_store(server: Server) -> None:
    experiment = an_experiment(server, artifact_location="mlflow-artifacts:/chosen/place")
    run = server.ok("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]
    root = f"chosen/place/{run['run_id']}/artifacts"

    server.ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{root}/notes/a.txt", b"hello")

    listed = server.ok("GET", "artifacts/list", {"run_id": run["run_id"], "path": "notes"})
    assert listed["files"] == [{"path": "notes/a.txt", "is_dir": False, "file_size": 5}]
    assert run["artifact_uri"] == listed["root_uri"] == f"mlflow-artifacts:/{root}"
    elsewhere = an_experiment(server, "other", artifact_location="mlflow-artifacts://host:80/x")
    other = server.ok("POST", "runs/create", {"experiment_id": elsewhere})["run"]["info"]["run_id"]
    assert server.refusal("GET", "artifacts/list", {"run_id": other})[:2] == (501, "NOT_IMPLEMENTED")


def test_a_name_is_taken_until_its_experiment_is_deleted(server: Server) -> None:
    first = an_experiment(server)
    taken = server.refusal("POST", "experiments/create", {"name": "churn"})
    server.ok("POST", "experiments/delete", {"experiment_id": first})

    second = an_experiment(server)

    assert taken[:2] == (400, "RESOURCE_ALREADY_EXISTS")
    assert taken[2].startswith("Experiment(name=churn) already exists.")
    assert second != first
    assert (
        server.ok("GET", "experiments/get-by-name", {"experiment_name": "churn"})["experiment"]["experiment_id"]
        == second
    )
    assert server.refusal("POST", "experiments/restore", {"experiment_id": first})[1] == "RESOURCE_ALREADY_EXISTS"


def test_deleting_takes_the_runs_along_and_restoring_brings_them_back(server: Server) -> None:
    experiment = an_experiment(server)
    run = server.ok("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]

    server.ok("POST", "experiments/delete", {"experiment_id": experiment})
    deleted = server.ok("GET", "runs/get", {"run_id": run})["run"]["info"]["lifecycle_stage"]
    listed = names(server), names(server, view_type="DELETED_ONLY"), names(server, view_type="ALL")
    server.ok("POST", "experiments/restore", {"experiment_id": experiment})

    assert deleted == "deleted"
    assert listed == (["Default"], ["churn"], ["churn", "Default"])
    assert server.ok("GET", "runs/get", {"run_id": run})["run"]["info"]["lifecycle_stage"] == "active"


def test_what_is_deleted_is_not_written_to(server: Server) -> None:
    experiment = an_experiment(server)
    server.ok("POST", "experiments/delete", {"experiment_id": experiment})
    inactive = f"The experiment {experiment} must be in the 'active' state. Current state is deleted."

    assert server.refusal("POST", "runs/create", {"experiment_id": experiment}) == (400, INVALID, inactive)
    assert server.refusal("POST", "logged-models", {"experiment_id": experiment}) == (400, INVALID, inactive)
    tag = {"experiment_id": experiment, "key": "k", "value": "v"}
    assert server.refusal("POST", "experiments/set-experiment-tag", tag) == (400, INVALID, inactive)
    rename = {"experiment_id": experiment, "new_name": "x"}
    assert server.refusal("POST", "experiments/update", rename) == (
        500,
        "INVALID_STATE",
        "Cannot rename a non-active experiment.",
    )
    again = server.refusal("POST", "experiments/delete", {"experiment_id": experiment})
    assert again == (404, ABSENT, f"No Experiment with id={experiment} exists")


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", "experiments/get", {}),
        ("POST", "experiments/delete", {}),
        ("POST", "experiments/restore", {}),
        ("POST", "experiments/update", {"new_name": "x"}),
        ("POST", "experiments/set-experiment-tag", {"key": "k", "value": "v"}),
        ("POST", "experiments/delete-experiment-tag", {"key": "k"}),
        ("POST", "runs/create", {}),
        ("POST", "logged-models", {}),
    ],
)
def test_an_unknown_experiment_is_not_found(server: Server, method: str, path: str, given: dict[str, str]) -> None:
    for experiment in ("999999", "no-number"):
        found = server.refusal(method, path, {"experiment_id": experiment, **given})

        assert found == (404, ABSENT, f"No Experiment with id={experiment} exists")


def test_an_experiment_can_be_renamed(server: Server) -> None:
    experiment = an_experiment(server)

    server.ok("POST", "experiments/update", {"experiment_id": experiment, "new_name": "leavers"})

    assert get(server, experiment)["name"] == "leavers"
    missing = (400, INVALID, f"Missing value for required parameter 'new_name'.{DOCS}")
    assert server.refusal("POST", "experiments/update", {"experiment_id": experiment}) == missing


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"value": "v"}, f"Missing value for required parameter 'key'.{DOCS}"),
        ({"key": "k" * 251, "value": "v"}, "'key' exceeds the maximum length of 250 characters"),
        ({"key": "k", "value": "v" * 5001}, "'value' exceeds the maximum length of 5000 characters"),
        (
            {"key": "a\nb", "value": "v"},
            "Invalid value \"a\\nb\" for parameter 'key' supplied: Names may only contain alphanumerics, underscores (_), "
            "dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).",
        ),
    ],
)
def test_a_tag_that_cannot_be_is_refused(server: Server, given: dict[str, str], message: str) -> None:
    found = server.refusal("POST", "experiments/set-experiment-tag", {"experiment_id": "0", **given})

    assert found == (400, INVALID, message)


def test_tags_are_set_overwritten_and_taken_away(server: Server) -> None:
    for value in ("one", "", "two\nlines"):
        server.ok("POST", "experiments/set-experiment-tag", {"experiment_id": 0, "key": "k", "value": value})

        assert get(server, "0")["tags"] == [{"key": "k", "value": value}]
    server.ok("POST", "experiments/delete-experiment-tag", {"experiment_id": "0", "key": "k"})
    assert "tags" not in get(server, "0")
    gone = server.refusal("POST", "experiments/delete-experiment-tag", {"experiment_id": "0", "key": "k"})
    assert gone == (404, ABSENT, "No tag with name: k in experiment with id 0")


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ({"max_results": 0}, "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer"),
        ({"max_results": 50_001}, "Invalid value 50001 for parameter 'max_results' supplied. It must be at most 50000"),
        ({"max_results": "many"}, "Invalid value \"many\" for parameter 'max_results' supplied"),
        ({"filter": 5}, "Invalid value 5 for parameter 'filter' supplied"),
        ({"filter": "foo = 'x'"}, "Invalid attribute key 'foo' specified"),
        ({"order_by": ["foo"]}, "Invalid attribute key 'foo' specified"),
        ({"page_token": "abc"}, "Invalid page token, could not base64-decode"),
        ({"view_type": "SOME"}, "Invalid value \"SOME\" for parameter 'view_type' supplied"),
    ],
)
def test_a_search_that_cannot_be_understood_is_refused(server: Server, asked: dict[str, object], begins: str) -> None:
    status, code, message = server.refusal("POST", "experiments/search", asked)

    assert (status, code) == (400, INVALID)
    assert message.startswith(begins)


def test_pages_of_experiments_hold_each_once(server: Server) -> None:
    for number in range(7):
        an_experiment(server, f"e{number}")
    found: list[str] = []
    asked: dict[str, object] = {"max_results": 3, "filter": "name LIKE 'e%'", "order_by": ["name DESC"]}
    while True:
        page = server.ok("POST", "experiments/search", asked)
        found += [experiment["name"] for experiment in page["experiments"]]
        if "next_page_token" not in page:
            break
        asked["page_token"] = page["next_page_token"]

    assert found == [f"e{number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/3.0/mlflow/traces"),
        ("GET", "/api/2.0/mlflow/traces/x/info"),
        ("POST", "/ajax-api/3.0/mlflow/scorers/register"),
        ("POST", "/api/3.0/mlflow/datasets/create"),
    ],
)
def test_what_generative_models_need_is_clearly_not_there(server: Server, method: str, path: str) -> None:
    answer = server.ask(method, path, {} if method == "POST" else None)

    assert answer.status == 501
    assert answer.json["error_code"] == "NOT_IMPLEMENTED"
    assert "not supported by Noria" in answer.json["message"]


def test_addresses_methods_and_types_that_are_wrong_are_told(server: Server) -> None:
    nowhere = server.ask("GET", "/api/2.0/mlflow/nowhere")
    method = server.ask("GET", "/api/2.0/mlflow/runs/create")
    untyped = server.ask("POST", "/api/2.0/mlflow/runs/create", b"{}")
    typed = server.ask("POST", "/api/2.0/mlflow/runs/create", b"{}", headers={"content-type": "text/plain"})

    assert (nowhere.status, nowhere.json["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert (method.status, method.headers["allow"]) == (405, "POST")
    assert (untyped.status, untyped.json["message"]) == (400, "Bad Request. Content-Type header is missing.")
    assert typed.json["message"] == "Bad Request. Content-Type must be one of ['application/json']."
