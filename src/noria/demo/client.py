"""The airline's side of the demo: asks the worker for predictions as any client would, by the Open Inference Protocol. Called by demo/replay.

A day is some 450 questions and the year 138,000: they are asked on one thread over a few kept connections, each of which waits for its own answer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httptools
import msgspec

from noria.errors import RequestInvalid, StoreUnavailable


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request: all flights scheduled in one minute. key: makes a repeated request the same request."""

    key: str
    at: datetime
    rows: int
    body: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: the id under which the request is logged, and the probability of each row."""

    key: str
    request_id: str
    probabilities: list[float]


class _Output(msgspec.Struct):
    name: str
    data: list[float]


class _Reply(msgspec.Struct):
    outputs: list[_Output]
    parameters: dict[str, str | int | float | bool | None] = {}


ATTEMPTS = 3
LONGEST_S = 30.0
DECODER = msgspec.json.Decoder(_Reply)


def encode(columns: Mapping[str, tuple[str, Sequence[object]]], rows: int) -> bytes:
    """A V2 request body out of columns (name -> datatype and values; a missing value is null).

    >>> encode({"carrier": ("BYTES", ["AA"])}, 1)
    b'{"inputs":[{"name":"carrier","shape":[1],"datatype":"BYTES","data":["AA"]}]}'
    """
    inputs = [
        {"name": name, "shape": [rows], "datatype": kind, "data": values} for name, (kind, values) in columns.items()
    ]
    return msgspec.json.encode({"inputs": inputs})


class Client:
    """Asks one deployment over a few kept connections. To be used by one thread."""

    def __init__(self, url: str, deployment: str, *, connections: int = 6) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = f"/v2/models/{deployment}/infer"
        self._loop = asyncio.new_event_loop()
        self._kept: list[_Connection | None] = [None] * connections

    def ask_all(self, asks: Sequence[Ask]) -> list[Answer]:
        """Ask all, in order of time over the connections; answers stand in the order of the questions. Raises RequestInvalid, StoreUnavailable."""
        answers: dict[int, Answer] = {}
        waiting = iter(enumerate(asks))

        async def one_after_the_other(slot: int) -> None:
            for place, ask in waiting:
                answers[place] = await self._ask(slot, ask)

        async def all_slots() -> None:
            async with asyncio.TaskGroup() as group:
                for slot in range(min(len(self._kept), len(asks))):
                    group.create_task(one_after_the_other(slot))

        try:
            self._loop.run_until_complete(all_slots())
        except BaseExceptionGroup as failures:
            raise _first(failures) from failures
        return [answers[place] for place in range(len(asks))]

    def ask(self, ask: Ask) -> Answer:
        """Ask once; the key makes a repeated question the same request. Raises RequestInvalid, StoreUnavailable."""
        return self._loop.run_until_complete(self._ask(0, ask))

    def post(self, path: str) -> bytes:
        """Post nothing to a path of the worker, for its own commands (flush)."""
        return self._loop.run_until_complete(self._exchange(0, "POST", path))[1]

    def get_everywhere(self, path: str) -> list[bytes]:
        """Read a path of the worker's own over every connection: each is held by one of its processes, and each of these tells of itself."""

        async def over_all() -> list[tuple[int, bytes]]:
            return await asyncio.gather(*(self._exchange(slot, "GET", path) for slot in range(len(self._kept))))

        return [body for _, body in self._loop.run_until_complete(over_all())]

    def close(self) -> None:
        """Let the connections go."""
        for connection in self._kept:
            if connection is not None:
                connection.close()
        self._loop.run_until_complete(asyncio.sleep(0))  # closed transports say so on the next turn of their loop
        self._loop.close()

    async def _ask(self, slot: int, ask: Ask) -> Answer:
        headers = (
            f"Content-Type: application/json\r\nNoria-Request-Key: {ask.key}\r\nNoria-Time: {ask.at.isoformat()}\r\n"
        )
        status, body = await self._exchange(slot, "POST", self._path, body=ask.body, headers=headers)
        if status != 200:
            raise RequestInvalid(
                f"the worker refused a request with {status}", cause=body[:500].decode(errors="replace")
            )
        reply = DECODER.decode(body)
        return Answer(
            key=ask.key, request_id=str(reply.parameters.get("request_id", "")), probabilities=reply.outputs[0].data
        )

    async def _exchange(
        self, slot: int, method: str, path: str, *, body: bytes = b"", headers: str = ""
    ) -> tuple[int, bytes]:
        """One request and its answer. A connection that was closed while nobody spoke is opened again."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        for attempt in range(ATTEMPTS):
            try:
                connection = self._kept[slot]
                if connection is None or connection.is_over:
                    _, connection = await self._loop.create_connection(_Connection, self._host, self._port)
                    self._kept[slot] = connection
                async with asyncio.timeout(LONGEST_S):
                    return await connection.exchange(head.encode() + body)
            except OSError as exc:
                self._forget(slot)
                if attempt + 1 == ATTEMPTS:
                    raise StoreUnavailable("the worker does not answer", cause=str(exc), remedy="noria demo") from exc
        raise AssertionError

    def _forget(self, slot: int) -> None:
        connection, self._kept[slot] = self._kept[slot], None
        if connection is not None:
            connection.close()


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, and the answer to it as status and body."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._body = bytearray()
        self.is_over = False

    def exchange(self, request: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        """Send, and give what will come back. It raises ConnectionError when the other side goes away meanwhile."""
        assert self._transport is not None
        self._parser, self._body = httptools.HttpResponseParser(self), bytearray()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: the connection stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio's: some of the answer. What is no HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._fail(ConnectionError(f"no HTTP came back: {exc}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the other side has gone."""
        self._fail(ConnectionError(str(exc) if exc else "the connection was closed"))

    def on_body(self, body: bytes) -> None:
        """httptools': a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """httptools': the answer is whole."""
        self.is_over = not self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), bytes(self._body)))

    def _fail(self, error: ConnectionError) -> None:
        self.is_over = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _first(failures: BaseException) -> BaseException:
    """The first error of a group, however deep."""
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    return failures
