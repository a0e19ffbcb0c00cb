"""MLflow's own client against a real server, on every store: the flows beside this file, each run in the clients' environment."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.noria_server import Server, noria_server
from tests.peers.postgres import Server as Postgres
from tests.peers.postgres import fixture
from tests.peers.s3 import CREDENTIALS, bucket, s3_server  # noqa: F401 (fixtures)

FLOWS = Path(__file__).parent / "flows"
PYTHON = Path(__file__).resolve().parents[2] / ".make" / "peers" / "bin" / "python"
KEY = "correct-horse-battery"

postgres = fixture()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    home = None if request.param == "memory" else tmp_path / ".noria"
    with contextlib.ExitStack() as held:
        if request.param == "postgres":
            peer: Postgres = request.getfixturevalue("postgres")
            location = held.enter_context(peer.database(f"flows_{tmp_path.name}"))
            settings = f'[stores]\nmetadata = "postgres"\nmetadata_location = "{location}"\n'
            (tmp_path / "noria.toml").write_text(settings, encoding="utf-8")
        yield held.enter_context(noria_server(home=home))


def run(flow: str, server: Server, *arguments: str, **environment: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTHON"))}
    done = subprocess.run(
        [str(PYTHON), str(FLOWS / f"{flow}.py"), server.url, *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**kept, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true", **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("ok ")


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["registry_of_mlflow", "scikit_learn", "tracking_of_mlflow"])
def test_the_client_notices_no_difference(server: Server, flow: str) -> None:
    run(flow, server)


@pytest.mark.slow
def test_large_files_go_in_one_piece_and_in_parts() -> None:
    with noria_server() as server:
        run("large_file", server, "20")


@pytest.mark.slow
def test_large_files_rest_in_an_object_store(bucket: str, tmp_path: Path) -> None:  # noqa: F811
    settings = f'[stores]\nblobs = "object_store"\nblobs_location = "{bucket}"\n'
    (tmp_path / "noria.toml").write_text(settings, encoding="utf-8")
    with noria_server(home=tmp_path / ".noria", **CREDENTIALS) as server:
        run("large_file", server, "40")


@pytest.mark.slow
@pytest.mark.parametrize(
    "shown",
    [{"MLFLOW_TRACKING_TOKEN": KEY}, {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": KEY}],
    ids=["token", "password"],
)
def test_the_client_shows_its_key_in_both_its_ways(shown: dict[str, str]) -> None:
    with noria_server(NORIA_API_KEY=KEY) as server:
        run("registry_of_mlflow", server, **shown)
        run("large_file", server, "20", **shown)
