"""`noria serve` as people use it: a version, an alias that moves, a digest, a folder, an object store; what is recorded is said aloud."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

import noria
from noria.app.serve_source import find
from noria.domain.ids import RunId
from noria.domain.model import AliasMove, ModelVersion, SemanticVersion
from noria.errors import BundleRefused, InputInvalid, NotFound, SourceUnreadable
from noria.packaging.bundle import read_manifest
from noria.packaging.mlmodel_out import write
from tests.peers.s3 import bucket, s3_server  # noqa: F401 (fixtures)
from tests.serving.worker_factory import WHEN, Running, a_home, eventually, flights, logged, open_blobs, request_of

REQUEST = request_of(flights(2))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """(folder, digests): a project whose model 'late' has versions 1 and 2; 'champion' points to 1, 3 is not packaged."""
    home, champion, challenger = a_home(tmp_path)
    home.rename(tmp_path / ".noria")
    for name in ("NORIA_HOME", "NORIA_PROJECT", "NORIA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with noria.Workspace.open(tmp_path) as workspace:
        for number, digest in ((1, champion), (2, challenger), (3, None)):
            workspace.models.register(_version(number, digest))
        workspace.models.move_alias(_move(1, None))
    return tmp_path, (champion, challenger)


def _version(number, digest):
    return ModelVersion(
        model="late",
        number=number,
        version=SemanticVersion(major=number, minor=0, patch=0),
        version_reason="first",
        run_id=RunId(f"run-{number}"),
        bundle=digest,
        flavor="onnx" if digest else "",
        signature=None,
        created_at=WHEN,
    )


def _move(number, previous):
    return AliasMove(
        model="late", alias="champion", number=number, previous=previous, at=WHEN, actor="test", reason="because"
    )


@contextmanager
def serving(folder, *words, env=None):
    """`noria serve ... --json` in a folder, ended with the block; the first line is what it told."""
    process = subprocess.Popen(
        [sys.executable, "-m", "noria.cli.main", "serve", *words, "--port", "0", "--workers", "1", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr), daemon=True)
    reader.start()
    try:
        line = process.stdout.readline()
        assert line.startswith("{"), (process.wait(10), said)
        running = Running(process, json.loads(line))
        running.said = said
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()
            reader.join(5)
            process.stdout.close()
            process.stderr.close()


def test_an_alias_is_served_and_followed_when_it_moves(project):
    folder, _ = project
    with serving(folder, "models:/late@champion") as worker:
        status, answer = worker.infer(REQUEST)
        assert (status, answer["model_version"]) == (200, "1")

        with noria.Workspace.open(folder) as workspace:
            workspace.models.move_alias(_move(2, 1))

        assert eventually(lambda: worker.infer(REQUEST)[1]["model_version"] == "2")
        assert worker.flush()
        assert set(logged(folder / ".noria")["number"].to_list()) == {1, 2}


def test_a_numbered_version_is_served(project):
    with serving(project[0], "models:/late/2") as worker:
        assert worker.infer(REQUEST)[1]["model_version"] == "2"
        assert "version 2 (2.0.0)" in worker.told["serves"]


def test_what_is_published_is_served_without_a_word(project):
    with serving(project[0]) as worker:
        assert worker.infer(REQUEST)[0] == 200
        assert worker.told["serves"] == "every deployment of this project"


def test_a_folder_is_served_where_there_is_no_project_and_nothing_is_left_behind(project, tmp_path):
    folder, (champion, _) = project
    blobs = open_blobs(folder / ".noria")
    write(champion, read_manifest(champion, blobs=blobs), blobs=blobs, folder=tmp_path / "written")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    with serving(elsewhere, str(tmp_path / "written"), "--no-log") as worker:
        assert worker.infer(REQUEST)[0] == 200
        assert worker.flush()
        assert worker.told["recorded"].startswith("nothing")
        assert champion in worker.told["bundle"]

    assert list(elsewhere.iterdir()) == []


def test_a_bundle_in_an_object_store_is_served(project, s3_server, bucket):  # noqa: F811
    from noria.adapters.blobs import object_store

    folder, (champion, _) = project
    held = open_blobs(folder / ".noria")
    there = object_store.open_store(bucket)
    there.put(held.get(champion))
    for entry in read_manifest(champion, blobs=held).files:
        there.put(held.get(entry.digest))

    address, _, query = bucket.partition("?")
    source = f"{address}/{champion}?{query}"
    with serving(folder, source, "--no-log") as worker:
        assert worker.infer(REQUEST)[0] == 200


def test_a_share_of_the_requests_without_a_column_is_recorded_and_that_is_said(project):
    with serving(project[0], "models:/late@champion", "--sample", "0.5", "--redact", "carrier") as worker:
        for _ in range(40):
            assert worker.infer(REQUEST)[0] == 200
        assert worker.flush()
        assert "0.5 of the requests to late" in worker.told["recorded"]
        assert "input 'carrier' of late" in worker.told["not recorded"]

    rows = logged(project[0] / ".noria")
    assert 10 < len(rows) < 70
    assert "in.origin" in rows.columns
    assert "in.carrier" not in rows.columns


@pytest.mark.parametrize(
    ("words", "said"), [(("--sample", "2"), "--sample 2.0 cannot be"), (("--workers", "0"), "--workers 0 is too small")]
)
def test_what_cannot_be_is_refused_before_anything_starts(project, words, said):
    command = [sys.executable, "-m", "noria.cli.main", "serve", "models:/late/1", *words]

    done = subprocess.run(command, cwd=project[0], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert said in done.stderr


def test_a_platforms_port_is_taken(project):
    words = ["serve", "models:/late/1", "--workers", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "noria.cli.main", *words],
        cwd=project[0],
        env={**os.environ, "AIP_HTTP_PORT": "8080"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "'0.0.0.0' is reachable from other machines and no API key is set" in done.stderr


def test_what_is_recorded_is_said_to_people(project):
    process = subprocess.Popen(
        [sys.executable, "-m", "noria.cli.main", "serve", "models:/late@champion", "--port", "0", "--workers", "2"],
        cwd=project[0],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("curl"):
            break
    process.terminate()
    progress = process.communicate(timeout=30)[1]

    assert process.returncode == 0
    for words in ("2 processes", "followed when it moves", "anybody on this machine", "not recorded", "kept in"):
        assert words in said
    assert "starting 2 processes and loading" in progress


@pytest.fixture
def found(project, tmp_path):
    folder, _ = project
    with noria.Workspace.open(folder) as workspace:

        def find_it(said):
            return find(
                said,
                settings=workspace.settings,
                home=workspace.home,
                models=lambda: workspace.models,
                scratch=tmp_path / "scratch",
            )

        yield find_it


@pytest.mark.parametrize(
    ("said", "error", "word"),
    [
        ("models:/nope@champion", NotFound, "nope"),
        ("models:/late@nope", NotFound, "nope"),
        ("models:/late/9", NotFound, "9"),
        ("models:/late/3", BundleRefused, "not packaged"),
        ("models:/late", InputInvalid, "names no version"),
        ("blake3:" + "0" * 64, NotFound, "blake3"),
        ("no-such-folder", InputInvalid, "nothing that can be served"),
        ("s3://bucket", InputInvalid, "names no project"),
    ],
)
def test_what_is_not_there_is_named(found, said, error, word):
    with pytest.raises(error, match=word):
        found(said)


def test_a_folder_without_a_bundle_is_refused(found, tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(SourceUnreadable, match="holds no bundle"):
        found(str(tmp_path / "empty"))
