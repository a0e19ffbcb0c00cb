"""One port for pages, REST and MLflow's protocol: the same rules for all; and the server in memory that a call empties."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.noria_server import Server, noria_server

KEY = "correct-horse-battery"
PROTOCOL = (
    ("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0"),
    ("GET", "/api/3.0/mlflow/server-info"),
    ("GET", "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts"),
)
OPEN = (("GET", "/health"), ("GET", "/version"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with noria_server() as started:
        yield started


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    with noria_server(NORIA_API_KEY=KEY) as started:
        yield started


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_all_three_are_on_one_port(server: Server) -> None:
    assert server.ask("GET", "/health").body == b"OK"
    assert server.ask("GET", "/version").body.count(b".") == 2
    assert server.ask("GET", "/api/v1/health").json["status"] == "ok"
    assert server.ask("GET", "/").headers["content-type"].startswith("text/html")
    for method, path in PROTOCOL:
        assert server.ask(method, path).status == 200, path


def test_an_unknown_operation_is_told_as_the_protocol_does(server: Server) -> None:
    unknown = server.ask("GET", "/api/2.0/mlflow/nothing")
    wrong = server.ask("DELETE", "/api/2.0/mlflow/registered-models/get")

    assert (unknown.status, unknown.json["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET")


def test_a_slash_too_many_at_the_beginning_leads_to_the_same(server: Server, guarded: Server) -> None:
    for method, path in PROTOCOL:
        assert server.ask(method, f"/{path}").body == server.ask(method, path).body, path
        assert guarded.ask(method, f"/{path}").status == 401, path
    refused = server.ask("GET", "//model-versions/get-artifact", query={"name": "m", "version": "1", "path": "../x"})
    assert (refused.status, refused.json["message"]) == (400, "Invalid path")


@pytest.mark.parametrize(("method", "path"), PROTOCOL)
@pytest.mark.parametrize(
    "shown", [None, "Bearer wrong", basic("ada", "wrong"), basic(KEY, ""), "Basic !", "Basic eDp5"]
)
def test_without_the_key_the_protocol_tells_nothing(guarded: Server, method: str, path: str, shown: str | None) -> None:
    answer = guarded.ask(method, path, headers={"authorization": shown} if shown else {})

    assert (answer.status, answer.json["error_code"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), [*PROTOCOL, ("GET", "/api/v1/status")])
@pytest.mark.parametrize("shown", [f"Bearer {KEY}", f"bearer {KEY}", basic("ada", KEY), basic("", KEY)])
def test_the_key_opens_as_bearer_and_as_password(guarded: Server, method: str, path: str, shown: str) -> None:
    assert guarded.ask(method, path, headers={"authorization": shown}).status == 200


def test_files_of_runs_need_the_key_and_health_does_not(guarded: Server) -> None:
    for path in ("/get-artifact?run_id=a&path=b", "/model-versions/get-artifact?name=a&version=1&path=b"):
        assert guarded.ask("GET", path).status == 401
    for method, path in OPEN:
        assert guarded.ask(method, path).status == 200


def test_parts_of_an_upload_are_put_with_the_key_that_began_it(guarded: Server) -> None:
    shown = {"authorization": basic("ada", KEY)}
    begun = guarded.ask(
        "POST", "/api/2.0/mlflow-artifacts/mpu/create/a", {"path": "f", "num_parts": 1}, headers=shown
    ).json
    part = begun["credentials"][0]
    path = part["url"].removeprefix(guarded.url)

    assert guarded.ask("PUT", path, b"x").status == 401
    assert guarded.ask("PUT", path, b"x", headers=part["headers"]).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
@pytest.mark.parametrize(("method", "path"), [*PROTOCOL, *OPEN])
def test_loopback_answers_only_to_its_own_names(server: Server, method: str, path: str, host: str) -> None:
    answer = server.ask(method, path, headers={"host": host})

    assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_a_change_asked_for_by_another_site_is_refused(server: Server, headers: dict[str, str]) -> None:
    given = {"name": "evil"}
    made = server.ask("POST", "/api/2.0/mlflow/experiments/create", given, headers=headers)
    put = server.ask("PUT", "/api/2.0/mlflow-artifacts/artifacts/evil", b"x", headers=headers)
    emptied = server.ask("POST", "/api/v1/reset", headers=headers)

    assert made.status == put.status == emptied.status == 403
    assert server.api("GET", "experiments/get-by-name", {"experiment_name": "evil"}).status == 404


def test_a_reset_empties_everything_at_once(server: Server) -> None:
    server.ok("POST", "experiments/create", {"name": "e"})
    server.ok("POST", "registered-models/create", {"name": "m"})
    server.ask("PUT", "/api/2.0/mlflow-artifacts/artifacts/a", b"x")

    server.reset()

    found = server.ok("POST", "experiments/search", {"max_results": 10})["experiments"]
    assert [experiment["experiment_id"] for experiment in found] == ["0"]
    assert server.ok("GET", "registered-models/search") == {}
    assert server.ask("GET", "/api/2.0/mlflow-artifacts/artifacts").json == {}
    assert server.ok("POST", "experiments/create", {"name": "e"}) == {"experiment_id": "1"}


def test_a_project_on_disk_knows_no_reset(tmp_path: Path) -> None:
    with noria_server(home=tmp_path / ".noria") as kept:
        made = kept.ok("POST", "experiments/create", {"name": "e"})
        answer = kept.ask("POST", "/api/v1/reset")

        assert answer.status in (404, 405)
        assert kept.ok("GET", "experiments/get", made)["experiment"]["name"] == "e"


def test_clients_files_stay_where_the_server_was_told_and_can_be_seen_there(tmp_path: Path) -> None:
    root = tmp_path / "files"
    with noria_server("--artifact-root", root.as_uri()) as started:
        info = started.ok("POST", "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]
        run = {"run_id": info["run_id"]}
        own = Path(info["artifact_uri"].removeprefix("file://"))
        assert own.is_relative_to(root)
        assert not root.exists(), "it is made by who puts the first file"

        up = {"run_uuid": info["run_id"], "path": "notes/n.md"}
        assert started.ask("POST", "/ajax-api/2.0/mlflow/upload-artifact", b"hello", query=up).status == 200
        assert (own / "notes" / "n.md").read_bytes() == b"hello"
        assert [path.name for path in (own / "notes").iterdir()] == ["n.md"]
        (own / "a.txt").write_text("0123", encoding="utf-8")
        assert started.ok("GET", "artifacts/list", run)["files"] == [
            {"path": "a.txt", "is_dir": False, "file_size": 4},
            {"path": "notes", "is_dir": True},
        ]
        got = started.ask("GET", "/get-artifact", query={**run, "path": "a.txt"}, headers={"range": "bytes=1-2"})
        assert (got.status, got.body) == (206, b"12")
        assert started.ask("GET", "/get-artifact", query={**run, "path": "b.txt"}).status == 404


def test_no_link_and_no_location_leads_out_of_that_folder(tmp_path: Path) -> None:
    root, secret = tmp_path / "files", tmp_path / "secret"
    secret.mkdir()
    (secret / "s.txt").write_text("hunter2", encoding="utf-8")
    with noria_server("--artifact-root", root.as_uri()) as started:
        info = started.ok("POST", "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]
        own = Path(info["artifact_uri"].removeprefix("file://"))
        own.mkdir(parents=True)
        (own / "out").symlink_to(secret)
        (own / "one.txt").symlink_to(secret / "s.txt")
        runs = [info["run_id"]]
        for name, location in (("a", secret.as_uri()), ("b", f"{root.as_uri()}/../secret"), ("c", "file:///")):
            given = {"name": name, "artifact_location": location}
            experiment = started.api("POST", "experiments/create", given)
            if experiment.status == 200:
                made = {"experiment_id": experiment.json["experiment_id"], "start_time": 1}
                runs.append(started.ok("POST", "runs/create", made)["run"]["info"]["run_id"])

        for run in runs:
            for path in ("out/s.txt", "one.txt", "s.txt", "secret/s.txt", "../s.txt"):
                got = started.ask("GET", "/get-artifact", query={"run_id": run, "path": path})
                put = {"run_uuid": run, "path": path}
                up = started.ask("POST", "/ajax-api/2.0/mlflow/upload-artifact", b"evil", query=put)
                assert b"hunter2" not in got.body
                assert up.status >= 400 or (run == runs[0] and path in ("s.txt", "secret/s.txt"))
            listed = started.api("GET", "artifacts/list", {"run_id": run, "path": "out"})
            assert b"s.txt" not in listed.body

    assert [path.name for path in secret.iterdir()] == ["s.txt"]
    assert (secret / "s.txt").read_text(encoding="utf-8") == "hunter2"
