"""A real Noria server in a process of its own, asked over HTTP without any client library, and over bare sockets. For protocol tests."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    url: str
    process: "subprocess.Popen[str]"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def ask(
        self, method: str, path: str, body: Any = None, *, query: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request. body: bytes as they are, anything else as JSON."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        try:
            connection.request(method, path + (f"?{urlencode(query, doseq=True)}" if query else ""), body, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def api(self, method: str, path: str, given: Any = None) -> Answer:
        """One operation of MLflow's protocol: its fields in the query for GET, else in the body."""
        path = f"/api/2.0/mlflow/{path}"
        return self.ask(method, path, query=given) if method == "GET" else self.ask(method, path, given or {})

    def ok(self, method: str, path: str, given: Any = None) -> Any:
        answer = self.api(method, path, given)
        assert answer.status == 200, answer.body
        return answer.json

    def refusal(self, method: str, path: str, given: Any = None) -> tuple[int, str, str]:
        answer = self.api(method, path, given)
        assert answer.status >= 400, answer.body
        return answer.status, answer.json["error_code"], answer.json["message"]

    def raw(self, request: bytes) -> Answer:
        """Bytes as they are, so that no library tidies up a path on the way."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            line.sendall(request)
            data = b""
            while part := line.recv(1 << 16):
                data += part
        head, _, body = data.partition(b"\r\n\r\n")
        return Answer(int(head.split()[1]), {}, body)

    def reset(self) -> None:
        assert self.ask("POST", "/api/v1/reset").status == 204


@contextlib.contextmanager
def noria_server(*arguments: str, home: Path | None = None, **environment: str) -> Iterator[Server]:
    """A server in memory, or over a home; it ends with the block."""
    where = ["--home", str(home)] if home else ["--ephemeral"]
    command = [sys.executable, "-m", "noria.server.control.run", "--port", "0", *where, *arguments]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NORIA_", "MLFLOW_"))}
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, env={**kept, **environment}
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                process.wait(10)
                complaints.seek(0)
                raise AssertionError(f"the server did not start:\n{complaints.read()}")
            yield Server(json.loads(line)["url"], process)
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.stdout.close()
