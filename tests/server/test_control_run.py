"""The server as a process: starts, says where, answers, ends well when it is told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest


def start(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "noria.server.control.run", "--home", str(home), "--project", "p", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_once_it_has_said_where_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path / ".noria", "--port", "0")
    assert process.stdout is not None

    url = json.loads(process.stdout.readline())["url"]
    with urlopen(f"{url}/api/v1/health") as answer:
        health = json.load(answer)
    with urlopen(f"{url}/api/v1/status") as answer:
        status = json.load(answer)
    process.send_signal(number)
    _, complaints = process.communicate(timeout=20)

    assert health["project"] == "p"
    assert {station["state"] for station in status["stations"]} == {"empty"}
    assert process.returncode == 0
    assert complaints == ""


def test_a_taken_port_is_told_with_another_one(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        process = start(tmp_path / ".noria", "--port", str(port))
        _, complaints = process.communicate(timeout=30)

    assert process.returncode == 1
    assert f"127.0.0.1:{port}" in complaints
    assert f"--port {port + 1}" in complaints
    assert "Traceback" not in complaints


def test_an_open_address_without_a_key_is_refused(tmp_path: Path) -> None:
    process = start(tmp_path / ".noria", "--host", "0.0.0.0", "--port", "0", NORIA_API_KEY="")
    _, complaints = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "NORIA_API_KEY" in complaints
