"""A server of the record as a process of its own, to be killed and started again on the same port and store. Used by the tests of this folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

AWAY = (OSError, HTTPException)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RecordServer:
    """`noria.server.control.run` over a home; the port stays the same over its lives."""

    def __init__(self, home: Path, *, env: dict[str, str] | None = None) -> None:
        self.home, self.port, self._env = home, free_port(), {**os.environ, **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "RecordServer":
        command = [sys.executable, "-m", "noria.server.control.run", "--home", str(self.home), "--port", str(self.port)]
        self.home.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            command, cwd=self.home.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self._env
        )
        until = time.monotonic() + 60
        while True:
            try:
                if self.ask("GET", "/health")[0] == 200:
                    return self
            except AWAY:
                pass
            assert self.process.poll() is None, (self.process.stderr.read() if self.process.stderr else b"").decode()
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask(self, method: str, path: str, body: object = None, *, timeout: float = 30.0) -> tuple[int, Any]:
        """One request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            return exchange(connection, method, path, body)
        finally:
            connection.close()

    def post(self, path: str, body: object) -> Any:
        """A request of MLflow's protocol that must succeed."""
        status, answer = self.ask("POST", f"/api/2.0/mlflow/{path}", body)
        assert status == 200, answer
        return answer

    def get(self, path: str) -> Any:
        """A question of MLflow's protocol that must succeed."""
        status, answer = self.ask("GET", f"/api/2.0/mlflow/{path}")
        assert status == 200, answer
        return answer

    def new_run(self, name: str = "run") -> str:
        return str(
            self.post("runs/create", {"experiment_id": "0", "start_time": 1, "run_name": name})["run"]["info"]["run_id"]
        )

    def history(self, run_id: str, key: str) -> list[dict[str, Any]]:
        """Every point of a series, page by page."""
        points, token = [], ""
        while True:
            page = self.get(f"metrics/get-history?run_id={run_id}&metric_key={key}&max_results=5000&page_token={token}")
            points += page.get("metrics", [])
            token = page.get("next_page_token", "")
            if not token:
                return points


def exchange(connection: HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """One request over a kept connection."""
    connection.request(method, path, None if body is None else json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    try:
        return response.status, json.loads(content)
    except ValueError:
        return response.status, content.decode(errors="replace")


@contextmanager
def a_server(home: Path, *, env: dict[str, str] | None = None) -> Iterator[RecordServer]:
    """A running server, ended with the block."""
    server = RecordServer(home, env=env)
    try:
        yield server.start()
    finally:
        server.stop()
