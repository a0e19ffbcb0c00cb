"""`noria up` as it is really run: a server, a worker, a signal."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from tests.loop.small import open_life


def free_ports(number: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def answer(url: str, started: "subprocess.Popen[str]", *, seconds: float = 40) -> bytes:
    """The body of the first 200."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert started.poll() is None, f"noria up ended with {started.returncode}"
        with suppress(URLError, ConnectionError), urlopen(url, timeout=2) as response:
            return bytes(response.read())
        time.sleep(0.05)  # polls a server that starts; no test of time
    raise AssertionError(f"{url} does not answer")


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, int, int]:
    pages, worker = free_ports(2)
    toml = f'project = "small"\n[serving]\nport = {pages}\nworker_port = {worker}\n'
    (tmp_path / "noria.toml").write_text(toml, encoding="utf-8")
    return tmp_path, pages, worker


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if k not in ("NORIA_HOME", "NORIA_PROJECT", "NORIA_API_KEY")}
    return subprocess.Popen(
        [sys.executable, "-m", "noria.cli.main", "up", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_up_serves_pages_and_predictions_and_leaves_with_sigterm(project: tuple[Path, int, int]) -> None:
    folder, pages, worker = project
    with open_life(folder / ".noria") as life:
        life.declare()

    up = start(folder)
    try:
        health = answer(f"http://127.0.0.1:{pages}/health", up)
        ready = answer(f"http://127.0.0.1:{worker}/v2/models/returns/ready", up)
        status = json.loads(answer(f"http://127.0.0.1:{pages}/api/v1/status", up))
        children = psutil.Process(up.pid).children(recursive=True)
    finally:
        up.send_signal(signal.SIGTERM)
        out, err = up.communicate(timeout=30)

    assert health is not None
    assert ready is not None
    assert status["project"] == "small"
    assert up.returncode == 0, err
    assert f"predictions: http://127.0.0.1:{worker}" in out
    assert f"pages:       http://127.0.0.1:{pages}" in out
    assert children, "the worker is a process of its own"
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_up_without_a_worker_serves_the_pages_only(project: tuple[Path, int, int]) -> None:
    folder, pages, worker = project

    up = start(folder, "--no-worker")
    try:
        answer(f"http://127.0.0.1:{pages}/health", up)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", worker)) != 0
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=30)

    assert up.returncode == 0


def test_sigterm_before_the_server_answers_leaves_no_worker(project: tuple[Path, int, int]) -> None:
    up = start(project[0])
    process = psutil.Process(up.pid)
    while not (children := process.children(recursive=True)):
        assert up.poll() is None

    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=30)

    _, alive = psutil.wait_procs(children, timeout=15)
    assert alive == []


def test_a_taken_port_is_an_error_with_a_remedy_and_leaves_no_worker(project: tuple[Path, int, int]) -> None:
    folder, pages, _ = project
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", pages))
        taken.listen()

        up = start(folder)
        _, err = up.communicate(timeout=60)

    assert up.returncode == 1
    assert f"cannot listen on 127.0.0.1:{pages}" in err
    assert f"remedy: noria up --port {pages + 1}" in err
    assert [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])] == []


def test_up_refuses_an_open_address_without_a_key(project: tuple[Path, int, int]) -> None:
    up = start(project[0], "--host", "0.0.0.0", "--no-worker")
    _, err = up.communicate(timeout=60)

    assert up.returncode == 1
    assert "NORIA_API_KEY" in err


def test_up_in_memory_answers_mlflow_and_leaves_nothing_behind(project: tuple[Path, int, int]) -> None:
    folder, pages, _ = project

    up = start(folder, "--ephemeral")
    try:
        health = answer(f"http://127.0.0.1:{pages}/health", up)
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=30)

    assert health == b"OK"
    assert up.returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == ["noria.toml"]
