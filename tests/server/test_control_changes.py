"""Changes as a stream: in order, taken up where a reader left off, alive when nothing happens, over when the server leaves. Webhooks over REST."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from noria.app.workspace import Workspace
from noria.server.control.changes import Streams, events
from tests.app.receiver import Receiver

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Server:
    """A real server in its own process."""

    def __init__(self, home: Path, **environment: str) -> None:
        command = [sys.executable, "-m", "noria.server.control.run", "--home", str(home), "--project", "p"]
        self.process = subprocess.Popen(
            [*command, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, self.process.communicate()[1]
        self.open: list[HTTPConnection] = []
        self.address = json.loads(said)["url"].removeprefix("http://")

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        connection = HTTPConnection(self.address, timeout=20)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return answer.status, json.loads(read) if read else None

    def model(self, name: str) -> None:
        status, _ = self.ask("POST", "/api/2.0/mlflow/registered-models/create", {"name": name})
        assert status == 200

    def stream(self, query: str = "", **headers: str) -> Stream:
        connection = HTTPConnection(self.address, timeout=20)
        self.open.append(connection)
        connection.request("GET", f"/api/v1/changes{query}", headers=headers)
        return Stream(connection.getresponse())

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)
        return self.process.returncode

    def close(self) -> None:
        for connection in self.open:
            connection.close()
        self.stop()


class Stream:
    """Server-sent events as they come."""

    def __init__(self, answer: HTTPResponse) -> None:
        self.answer = answer

    def blocks(self) -> Iterator[dict[str, str]]:
        """Each block's fields; a comment is under ''."""
        block: dict[str, str] = {}
        for line in self.answer:
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                block[name.rstrip(":")] = value
            elif block:
                yield block
                block = {}

    def until(self, wanted: Callable[[dict[str, str]], bool]) -> list[dict[str, str]]:
        """Events up to one that is wanted."""
        found = []
        for block in self.blocks():
            if "event" in block:
                found.append(block)
            if wanted(block):
                return found
        raise AssertionError(f"the stream ended after {found}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / ".noria", NORIA_WEBHOOKS_ALLOW="http,private")
    yield server
    server.close()


def about(name: str) -> Callable[[dict[str, str]], bool]:
    return lambda block: json.loads(block.get("data", "{}")).get("subject") == name


def test_what_happens_now_is_told_and_what_was_before_is_not(server: Server) -> None:
    server.model("before")
    stream = server.stream()
    opened = next(stream.blocks())
    server.model("now")

    (event,) = stream.until(about("now"))

    assert stream.answer.headers["content-type"].startswith("text/event-stream")
    assert stream.answer.headers["cache-control"] == "no-store"
    assert opened["retry"] == "2000"
    assert event["event"] == "model.created"
    assert json.loads(event["data"])["seq"] == int(event["id"])


def test_a_reader_goes_on_after_what_it_has_seen(server: Server) -> None:
    for name in ("a", "b", "c"):
        server.model(name)
    everything = server.stream("?after=0").until(about("c"))
    seen = next(event["id"] for event in everything if about("a")(event))

    by_header = server.stream("?after=0", **{"last-event-id": seen}).until(about("c"))
    by_query = server.stream(f"?after={seen}").until(about("c"))

    assert [json.loads(event["data"])["subject"] for event in by_header] == ["b", "c"]
    assert by_query == by_header
    numbers = [int(event["id"]) for event in everything]
    assert numbers == sorted(set(numbers))


def test_only_the_kinds_that_were_asked_for_are_told(server: Server) -> None:
    stream = server.stream("?after=0&kinds=version.created,model.deleted")
    server.model("a")
    server.ask("DELETE", "/api/2.0/mlflow/registered-models/delete", {"name": "a"})

    (event,) = stream.until(about("a"))

    assert event["event"] == "model.deleted"
    status, problem = server.ask("GET", "/api/v1/changes?kinds=model.exploded")
    assert (status, "model.exploded" in str(problem)) == (400, True)


def test_a_stream_ends_when_the_server_leaves(server: Server) -> None:
    stream = server.stream()
    next(stream.blocks())

    assert server.stop() == 0
    assert list(stream.blocks()) == []


def test_a_webhook_is_made_tried_told_changed_and_dropped_and_its_secret_is_shown_once(server: Server) -> None:
    with Receiver() as receiver:
        status, made = server.ask(
            "POST", "/api/v1/webhooks", {"name": "chat", "url": receiver.url, "kinds": ["model.created"]}
        )
        assert status == 201
        identity, secret = made["webhook"]["id"], made["secret"]
        assert secret.startswith("whsec_")

        tried = server.ask("POST", f"/api/v1/webhooks/{identity}/test")[1]
        assert tried == {"taken": True, "status": 200, "body": "hello", "problem": ""}
        stream = server.stream("?kinds=model.created")
        server.model("churn")
        stream.until(about("churn"))
        told = wait_for(server, identity)

        status, listed = server.ask("GET", "/api/v1/webhooks")
        changed = server.ask("PATCH", f"/api/v1/webhooks/{identity}", {"active": False, "name": "quiet"})[1]
        assert server.ask("DELETE", f"/api/v1/webhooks/{identity}")[0] == 204
        assert server.ask("GET", "/api/v1/webhooks")[1] == []
        assert server.ask("DELETE", f"/api/v1/webhooks/{identity}")[0] == 404

    assert [message.subject for message in receiver.messages] == ["example", "churn"]
    assert told["failing_since"] is None
    assert (changed["active"], changed["name"], changed["kinds"]) == (False, "quiet", ["model.created"])
    assert secret not in json.dumps([listed, changed])


def wait_for(server: Server, identity: str) -> dict[str, Any]:
    """Until the webhook was told of the newest change."""
    newest = int(server.stream("?after=0").until(about("churn"))[-1]["id"])
    for _ in range(10_000):
        (webhook,) = server.ask("GET", "/api/v1/webhooks")[1]
        if webhook["told"] >= newest:
            found: dict[str, Any] = webhook
            return found
    raise AssertionError("it was never told")


def test_addresses_and_kinds_that_cannot_be_are_refused(tmp_path: Path) -> None:
    server = Server(tmp_path / ".noria")
    try:
        refused = [
            server.ask("POST", "/api/v1/webhooks", {"name": "x", "url": url, "kinds": kinds})[0]
            for url, kinds in (
                ("http://example.org/", []),
                ("ftp://example.org/", []),
                ("nonsense", []),
                ("https://example.org/", ["model.exploded"]),
            )
        ]
        status, made = server.ask("POST", "/api/v1/webhooks", {"name": "x", "url": "https://127.0.0.1:1/"})
        tried = server.ask("POST", f"/api/v1/webhooks/{made['webhook']['id']}/test")[1]
    finally:
        server.close()

    assert refused == [400, 400, 400, 400]
    assert status == 201
    assert (tried["taken"], tried["status"]) == (False, None)
    assert "private network" in tried["problem"]


def test_a_stream_says_that_it_lives_and_what_it_could_not_tell() -> None:
    with Workspace.ephemeral("p") as workspace:
        for name in ("a", "b", "c"):
            workspace.catalog.create(name, at=NOON)
        workspace.feed.forget(until=2)

        async def first(count: int) -> list[bytes]:
            streams = Streams(heartbeat_s=0.0)
            found = []
            async for block in events(workspace, streams, after=0, kinds=None):
                found.append(block)
                if len(found) == count:
                    streams.closing = True
            assert streams.count == 0
            return found

        opened, told, alive = asyncio.run(first(3))

    assert opened == b"retry: 2000\n: changes after 0\n\n"
    assert told.startswith(b'event: gap\ndata: {"after":0,"next":3}\n\nid: 3\nevent: model.created\n')
    assert alive == b": still here\n\n"
