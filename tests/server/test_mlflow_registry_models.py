"""Registered models and versions over MLflow's protocol, request by request: answers, codes and texts that its clients rely on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.noria_server import Server, noria_server


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    with noria_server() as server:
        yield server


@pytest.fixture
def server(process: Server) -> Server:
    process.reset()
    return process


def a_model(server: Server, name: str = "churn", versions: int = 0) -> str:
    server.ok("POST", "registered-models/create", {"name": name})
    for number in range(versions):
        a_version(server, name, source=f"runs:/r{number}/model")
    return name


def a_version(server: Server, name: str = "churn", source: str = "runs:/r/model", **more: object) -> str:
    made = server.ok("POST", "model-versions/create", {"name": name, "source": source, **more})
    return str(made["model_version"]["version"])


def get(server: Server, name: str = "churn") -> dict[str, object]:
    found: dict[str, object] = server.ok("GET", "registered-models/get", {"name": name})["registered_model"]
    return found


def get_version(server: Server, version: str, name: str = "churn") -> dict[str, object]:
    given = {"name": name, "version": version}
    found: dict[str, object] = server.ok("GET", "model-versions/get", given)["model_version"]
    return found


def staged(server: Server, version: str, stage: str, **more: object) -> None:
    server.ok("POST", "model-versions/transition-stage", {"name": "churn", "version": version, "stage": stage, **more})


def test_a_model_is_answered_as_it_was_made(server: Server) -> None:
    tags = [{"key": "team", "value": "blue"}, {"key": "team", "value": "red"}]
    made = server.ok("POST", "registered-models/create", {"name": "churn", "tags": tags, "description": "who leaves"})

    model = made["registered_model"]
    assert get(server) == model
    assert model["tags"] == [{"key": "team", "value": "red"}]
    assert model["description"] == "who leaves"
    assert isinstance(model["creation_timestamp"], int)
    assert model["last_updated_timestamp"] == model["creation_timestamp"]
    assert "latest_versions" not in model
    assert "aliases" not in model


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"name": "churn"}, "RESOURCE_ALREADY_EXISTS", "Registered Model (name=churn) already exists."),
        (
            {"name": "churn", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]},
            "RESOURCE_ALREADY_EXISTS",
            "Tried to create a prompt with name 'churn', but the name is already taken by a registered model. "
            "MLflow does not allow creating a model and a prompt with the same name.",
        ),
        (
            {},
            "INVALID_PARAMETER_VALUE",
            "Missing value for required parameter 'name'. See the API docs for more information about request parameters.",
        ),
        (
            {"name": 7},
            "INVALID_PARAMETER_VALUE",
            "Invalid value 7 for parameter 'name' supplied:  Hint: Value was of type 'int'. "
            "See the API docs for more information about request parameters.",
        ),
        ({"name": "a/b"}, "INVALID_PARAMETER_VALUE", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
        (
            {"name": "new", "tags": [{"key": "k" * 251, "value": ""}]},
            "INVALID_PARAMETER_VALUE",
            "'key' exceeds the maximum length of 250 characters",
        ),
        (
            {"name": "new", "tags": [{"key": "k", "value": "v" * 100_001}]},
            "INVALID_PARAMETER_VALUE",
            "'value' exceeds the maximum length of 100000 characters",
        ),
        (
            {"name": "new", "tags": [{"key": "../k", "value": ""}]},
            "INVALID_PARAMETER_VALUE",
            "Invalid value \"../k\" for parameter 'key' supplied: Names may be treated as files in certain cases, and must not "
            "resolve to other names when treated as such. This name would resolve to '../k'",
        ),
    ],
)
def test_a_model_that_cannot_be_is_refused_in_mlflows_words(
    server: Server, given: dict[str, object], code: str, message: str
) -> None:
    a_model(server)

    assert server.refusal("POST", "registered-models/create", given) == (400, code, message)


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", "registered-models/get", {}),
        ("PATCH", "registered-models/update", {"description": "d"}),
        ("POST", "registered-models/rename", {"new_name": "n"}),
        ("DELETE", "registered-models/delete", {}),
        ("POST", "registered-models/get-latest-versions", {}),
        ("POST", "registered-models/set-tag", {"key": "k", "value": "v"}),
        ("DELETE", "registered-models/delete-tag", {"key": "k"}),
        ("DELETE", "registered-models/alias", {"alias": "a"}),
        ("POST", "model-versions/create", {"source": "runs:/r/m"}),
    ],
)
def test_an_unknown_model_is_not_found(server: Server, method: str, path: str, given: dict[str, str]) -> None:
    found = server.refusal(method, path, {"name": "absent", **given})

    assert found == (404, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=absent not found")


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", "model-versions/get", {}),
        ("PATCH", "model-versions/update", {"description": "d"}),
        ("POST", "model-versions/transition-stage", {"stage": "Staging"}),
        ("DELETE", "model-versions/delete", {}),
        ("GET", "model-versions/get-download-uri", {}),
        ("POST", "model-versions/set-tag", {"key": "k", "value": "v"}),
        ("DELETE", "model-versions/delete-tag", {"key": "k"}),
        ("POST", "registered-models/alias", {"alias": "a"}),
    ],
)
@pytest.mark.parametrize("version", ["9", "99999999999999999999", "0", "-1"])
def test_an_unknown_version_is_not_found(
    server: Server, method: str, path: str, given: dict[str, str], version: str
) -> None:
    a_model(server)

    found = server.refusal(method, path, {"name": "churn", "version": version, **given})

    assert found == (404, "RESOURCE_DOES_NOT_EXIST", f"Model Version (name=churn, version={version}) not found")


def test_a_version_that_is_no_number_is_refused(server: Server) -> None:
    a_model(server)

    found = server.refusal("GET", "model-versions/get", {"name": "churn", "version": "first"})

    assert found == (400, "INVALID_PARAMETER_VALUE", "Parameter 'version' must be an integer, got 'first'.")


def test_a_version_is_answered_as_it_was_registered(server: Server) -> None:
    a_model(server)

    given = {
        "name": "churn",
        "source": "s3://bucket/model",
        "run_id": "unknown-here",
        "run_link": "https://elsewhere/run",
        "description": "first",
        "tags": [{"key": "k", "value": "v"}],
    }
    made = server.ok("POST", "model-versions/create", given)["model_version"]

    assert made == get_version(server, "1")
    assert made["creation_timestamp"] == made["last_updated_timestamp"] == get(server)["last_updated_timestamp"]
    assert {key: made[key] for key in given} == given
    assert (made["version"], made["current_stage"], made["status"]) == ("1", "None", "READY")


def test_a_version_without_a_description_has_an_empty_one(server: Server) -> None:
    a_model(server, versions=1)

    assert get_version(server, "1")["description"] == ""
    assert get(server)["latest_versions"][0]["description"] == ""


def test_numbers_are_never_given_again(server: Server) -> None:
    a_model(server, versions=3)

    server.ok("DELETE", "model-versions/delete", {"name": "churn", "version": "3"})

    assert a_version(server) == "4"
    assert [v["version"] for v in server.ok("GET", "model-versions/search")["model_versions"]] == ["4", "2", "1"]


def test_stages_are_the_latest_version_of_each(server: Server) -> None:
    a_model(server, versions=7)
    for version, stage in [("1", "Archived"), ("2", "production"), ("3", "ARCHIVED"), ("4", "Production")]:
        staged(server, version, stage)
    for version in ("5", "6"):
        staged(server, version, "Staging")

    def latest(*stages: str) -> dict[str, str]:
        given = {"name": "churn", "stages": list(stages)}
        found = server.ok("POST", "registered-models/get-latest-versions", given)["model_versions"]
        return {version["current_stage"]: version["version"] for version in found}

    assert latest() == {"None": "7", "Archived": "3", "Production": "4", "Staging": "6"}
    assert latest("staging", "None") == {"None": "7", "Staging": "6"}
    assert len(get(server)["latest_versions"]) == 4  # type: ignore[arg-type]
    assert get_version(server, "4").get("tags") is None, "the note of the stage is no tag that a client sees"
    assert server.refusal("POST", "registered-models/get-latest-versions", {"name": "churn", "stages": ["x"]}) == (
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid Model Version stage: x. Value must be one of None, Staging, Production, Archived.",
    )


def test_a_transition_can_archive_what_was_there(server: Server) -> None:
    a_model(server, versions=3)
    staged(server, "1", "Production")
    staged(server, "2", "Staging")

    staged(server, "3", "Production", archive_existing_versions=True)

    assert [get_version(server, str(n))["current_stage"] for n in (1, 2, 3)] == ["Archived", "Staging", "Production"]
    given = {"name": "churn", "version": "3", "stage": "None", "archive_existing_versions": True}
    _, code, message = server.refusal("POST", "model-versions/transition-stage", given)
    assert code == "INVALID_PARAMETER_VALUE"
    assert message == (
        "Model version transition cannot archive existing model versions because 'None' is not an Active stage. "
        "Valid stages are ['Staging', 'Production']"
    )


def test_an_alias_points_moves_and_goes_with_its_version(server: Server) -> None:
    a_model(server, versions=2)

    def point(version: str) -> None:
        server.ok("POST", "registered-models/alias", {"name": "churn", "alias": "champion", "version": version})

    point("1")
    point("2")
    asked = {"name": "churn", "alias": "champion"}
    assert server.ok("GET", "registered-models/alias", asked)["model_version"] == get_version(server, "2")
    assert get_version(server, "2")["aliases"] == ["champion"]
    assert get(server)["aliases"] == [{"alias": "champion", "version": "2"}]

    server.ok("DELETE", "model-versions/delete", {"name": "churn", "version": "2"})
    gone = (400, "INVALID_PARAMETER_VALUE", "Registered model alias champion not found.")
    assert server.refusal("GET", "registered-models/alias", asked) == gone
    assert "aliases" not in get(server)

    point("1")
    server.ok("DELETE", "registered-models/alias", asked)
    server.ok("DELETE", "registered-models/alias", asked)
    assert server.refusal("GET", "registered-models/alias", asked) == gone


def test_latest_is_an_alias_that_nobody_sets(server: Server) -> None:
    a_model(server, versions=2)
    staged(server, "2", "Production")

    found = server.ok("GET", "registered-models/alias", {"name": "churn", "alias": "Latest"})

    assert found["model_version"]["version"] == "2"


@pytest.mark.parametrize(
    ("alias", "message"),
    [
        ("latest", "'latest' alias name (case insensitive) is reserved."),
        ("LATEST", "'latest' alias name (case insensitive) is reserved."),
        ("v12", "Version alias name 'v12' is reserved."),
        (
            "a b",
            "Invalid alias name: 'a b'. Names may only contain alphanumerics, underscores (_), and dashes (-).",
        ),
        ("a" * 256, "'Registered model alias name' exceeds the maximum length of 255 characters"),
    ],
)
def test_aliases_that_mean_something_else_are_refused(server: Server, alias: str, message: str) -> None:
    a_model(server, versions=1)

    found = server.refusal("POST", "registered-models/alias", {"name": "churn", "alias": alias, "version": "1"})

    assert found == (400, "INVALID_PARAMETER_VALUE", message)


def test_renaming_takes_everything_along_and_frees_the_name(server: Server) -> None:
    a_model(server, versions=2)
    a_model(server, "other")
    server.ok("POST", "registered-models/alias", {"name": "churn", "alias": "champion", "version": "1"})

    taken = server.refusal("POST", "registered-models/rename", {"name": "churn", "new_name": "other"})
    server.ok("POST", "registered-models/rename", {"name": "churn", "new_name": "leavers"})

    assert taken[1:] == ("RESOURCE_ALREADY_EXISTS", "Registered Model (name=other) already exists.")
    assert get(server, "leavers")["aliases"] == [{"alias": "champion", "version": "1"}]
    assert a_model(server) == "churn"
    assert a_version(server) == "1"


def test_tags_come_and_go_and_the_servers_own_are_out_of_reach(server: Server) -> None:
    a_model(server, versions=1)
    for path, named in (
        ("registered-models", {"name": "churn"}),
        ("model-versions", {"name": "churn", "version": "1"}),
    ):
        server.ok("POST", f"{path}/set-tag", {**named, "key": "a", "value": ""})
        server.ok("POST", f"{path}/set-tag", {**named, "key": "b", "value": "1"})
        server.ok("DELETE", f"{path}/delete-tag", {**named, "key": "b"})
        server.ok("DELETE", f"{path}/delete-tag", {**named, "key": "b"})
        reserved = {**named, "key": "noria.mlflow.stage", "value": "Production"}
        assert server.refusal("POST", f"{path}/set-tag", reserved)[1] == "INVALID_PARAMETER_VALUE"

    assert get(server)["tags"] == get_version(server, "1")["tags"] == [{"key": "a", "value": ""}]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("", ["M0", "M1", "M2", "n3"]),
        ("name LIKE 'M%'", ["M0", "M1", "M2"]),
        ("name LIKE 'm%'", []),
        ("name ILIKE 'm%'", ["M0", "M1", "M2"]),
        ("name = 'M1'", ["M1"]),
        ("name != 'M1' AND tag.k = '2'", ["M2"]),
        ("tags.k LIKE '%'", ["M0", "M1", "M2", "n3"]),
        ("name = 'M1' OR name = 'n3'", ["M1", "n3"]),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_models_are_found_page_by_page(server: Server, where: str, names: list[str], size: int) -> None:
    for number, name in enumerate(["M0", "M1", "M2", "n3"]):
        tags = [{"key": "k", "value": str(number)}]
        server.ok("POST", "registered-models/create", {"name": name, "tags": tags})

    found, token = [], ""
    while True:
        given = {"filter": where, "max_results": size, **({"page_token": token} if token else {})}
        page = server.ok("GET", "registered-models/search", given)
        found += [model["name"] for model in page.get("registered_models", [])]
        token = page.get("next_page_token", "")
        if not token:
            break

    assert found == names


def test_versions_are_found_by_what_they_are_and_in_any_order(server: Server) -> None:
    for name in ("b", "a"):
        a_model(server, name)
        for number in range(3):
            a_version(server, name, source=f"runs:/{name}{number}/m", run_id=f"{name}{number}")
    server.ok("POST", "model-versions/set-tag", {"name": "a", "version": "2", "key": "k", "value": "x"})

    def found(where: str = "", *order: str) -> list[str]:
        given = {"filter": where, "order_by": list(order)}
        page = server.ok("GET", "model-versions/search", given)
        return [version["name"] + version["version"] for version in page.get("model_versions", [])]

    assert found("name = 'a'", "version_number ASC") == ["a1", "a2", "a3"]
    assert found("", "name DESC") == ["b3", "b2", "b1", "a3", "a2", "a1"]
    assert found("", "version_number DESC") == ["a3", "b3", "a2", "b2", "a1", "b1"]
    assert found("run_id IN ('a0', 'b2')", "name ASC") == ["a1", "b3"]
    assert found("source_path = 'runs:/b1/m'") == ["b2"]
    assert found("version_number >= 3", "name") == ["a3", "b3"]
    assert found("tags.k = 'x'") == ["a2"]
    assert server.refusal("GET", "model-versions/search", {"max_results": 200_001})[1] == "INVALID_PARAMETER_VALUE"
    assert server.refusal("GET", "model-versions/search", {"order_by": ["source_path"]})[1] == "INVALID_PARAMETER_VALUE"
    assert server.refusal("GET", "model-versions/search", {"filter": "name ="})[1] == "INVALID_PARAMETER_VALUE"


def test_prompts_are_found_only_by_who_asks_for_them(server: Server) -> None:
    a_model(server)
    prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    server.ok("POST", "registered-models/create", {"name": "greeting", "tags": prompt})

    def found(where: str) -> list[str]:
        page = server.ok("GET", "registered-models/search", {"filter": where})
        return [model["name"] for model in page.get("registered_models", [])]

    assert found("") == ["churn"]
    assert found("tags.`mlflow.prompt.is_prompt` = 'true'") == ["greeting"]
    assert found("tags.`mlflow.prompt.is_prompt` != 'true'") == ["churn"]
    assert found("tags.`mlflow.prompt.is_prompt` = 'false'") == ["churn"]


RELATIVE = (
    "Invalid model version source: '{}'. If supplying a source as an http, https, local file path, ftp, objectstore, or "
    "mlflow-artifacts uri, an absolute path must be provided without relative path references present. "
    "Please provide an absolute path."
)
LOCAL = (
    "Invalid model version source: '{}'. To use a local path as a model version source, the run_id request parameter has to "
    "be specified and the local path has to be contained within the artifact directory of the run specified by the run_id."
)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/etc/passwd", LOCAL),
        ("model", LOCAL),
        ("file:///etc/passwd", LOCAL),
        ("file://localhost/etc", LOCAL),
        ("mlflow-artifacts://host:9000/../../etc", RELATIVE),
        ("http://host:9000/api/2.0/mlflow-artifacts/artifacts/../../", RELATIVE),
        ("s3:/bucket/a/../../b", RELATIVE),
        ("mlflow-artifacts://host:9000/..%2f..%2f..%2f", RELATIVE),
        ("mlflow-artifacts://host:9000/%252e%252e%252f", RELATIVE),
        ("https://host/api/2.0/mlflow-artifacts/artifacts%00", RELATIVE),
        ("mlflow-artifacts:relative", RELATIVE),
        ("s3://bucket/a/./b", RELATIVE),
    ],
)
def test_sources_that_lead_elsewhere_are_refused(server: Server, source: str, message: str) -> None:
    a_model(server)

    found = server.refusal("POST", "model-versions/create", {"name": "churn", "source": source})

    assert found == (400, "INVALID_PARAMETER_VALUE", message.format(source))


def a_run(server: Server, root: str = "") -> str:
    given = {"name": "e" + root[-1:], **({"artifact_location": root} if root else {})}
    experiment = server.ok("POST", "experiments/create", given)["experiment_id"]
    made = server.ok("POST", "runs/create", {"experiment_id": experiment, "start_time": 1})
    return str(made["run"]["info"]["run_id"])


def test_a_local_source_must_lie_within_its_runs_own_files(server: Server) -> None:
    a_model(server)
    run = a_run(server, "file:///data/x")
    uri = server.ok("GET", "runs/get", {"run_id": run})["run"]["info"]["artifact_uri"]

    def refused(source: str, **more: str) -> bool:
        given = {"name": "churn", "source": source, **more}
        return server.api("POST", "model-versions/create", given).status == 400

    assert not refused(f"{uri}/model", run_id=run)
    assert not refused(uri.removeprefix("file://") + "/model", run_id=run)
    assert refused(f"{uri}/model")
    assert refused(f"{uri}/../other", run_id=run)
    assert refused(f"{uri}x", run_id=run)
    assert refused("/data", run_id=run)
    assert refused("/etc/passwd", run_id=a_run(server))


def test_a_version_of_a_version_keeps_its_place_after_the_first_is_gone(server: Server) -> None:
    a_model(server, versions=1)
    a_model(server, "copy")

    a_version(server, "copy", "models:/churn/1", run_id="r0")
    server.ok("DELETE", "registered-models/delete", {"name": "churn"})

    where = server.ok("GET", "model-versions/get-download-uri", {"name": "copy", "version": "1"})
    assert where == {"artifact_uri": "runs:/r0/model"}
    assert get_version(server, "1", "copy")["source"] == "models:/churn/1"
    found = server.refusal("POST", "model-versions/create", {"name": "copy", "source": "models:/churn/1"})
    assert found[2].startswith("Unable to fetch model from model URI source artifact location 'models:/churn/1'.")


def test_a_trained_model_becomes_a_version_and_is_told(server: Server) -> None:
    a_model(server)
    run = a_run(server)
    experiment = server.ok("GET", "runs/get", {"run_id": run})["run"]["info"]["experiment_id"]
    given = {"experiment_id": experiment, "name": "net", "source_run_id": run}
    model = server.ok("POST", "logged-models", given)["model"]["info"]

    a_version(server, source=f"models:/{model['model_id']}", model_id=model["model_id"])

    made = get_version(server, "1")
    assert made["run_id"] == run
    where = server.ok("GET", "model-versions/get-download-uri", {"name": "churn", "version": "1"})["artifact_uri"]
    assert where == model["artifact_uri"]
    tags = server.ok("GET", f"logged-models/{model['model_id']}")["model"]["info"]["tags"]
    assert {"key": "mlflow.modelVersions", "value": '[{"name": "churn", "version": 1}]'} in tags


def test_who_asks_is_in_the_history(server: Server) -> None:
    a_model(server, versions=1)
    basic = {"authorization": "Basic YWRhOng="}  # ada:x

    given = {"name": "churn", "source": "runs:/r/m"}
    made = server.ask("POST", "/api/2.0/mlflow/model-versions/create", given, headers=basic)

    assert made.json["model_version"]["user_id"] == "ada"
    assert "user_id" not in get_version(server, "1")
