"""Requests, responses and the table of routes that every noun's file adds to. HTTP itself is app; what a body says is wire.

Called by app and by each noun's file.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Protocol
from urllib.parse import parse_qs

from noria.domain.change import ChangeKind, Webhook
from noria.ports.blobs import BlobStore
from noria.ports.clock import Clock
from noria.ports.metadata import Metadata

Headers = list[tuple[bytes, bytes]]
JSON: Headers = [(b"content-type", b"application/json")]
AHEAD = 4
BATCH = 512 * 1024
"""Bytes that are put together before the thread that consumes them is woken."""
TEXT: Headers = [(b"content-type", b"text/plain; charset=utf-8")]


class Hooks(Protocol):
    """Who tells webhooks (app/webhooks)."""

    def deliver_test(self, webhook: Webhook, kind: ChangeKind) -> Any:
        """Send one example now; gives status and body of what was answered. Raises SettingInvalid, StoreUnavailable."""
        ...

    def wake(self) -> None:
        """There may be news."""
        ...


@dataclass
class Context:
    """What a handler works with. One for the whole server; `metadata` is replaced when an ephemeral server is reset.

    default_root: a URI below which new experiments keep their files, for clients that reach it themselves (as `mlflow server
    --default-artifact-root`); empty: in this store. hooks: who tells webhooks; None if nobody does.
    schemes: what a webhook's address may begin with.
    """

    metadata: Metadata
    blobs: BlobStore
    clock: Clock
    actor: str = "mlflow"
    default_root: str = ""
    hooks: Hooks | None = None
    schemes: tuple[str, ...] = ("https",)


class Request:
    """One request. args: what the route's path names; body: empty for a route that streams, whose bytes come from `chunks`."""

    __slots__ = (
        "_complete",
        "_headers",
        "_loop",
        "_query",
        "_receive",
        "args",
        "body",
        "method",
        "path",
        "query_string",
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query_string: bytes = b"",
        headers: Headers | None = None,
        body: bytes = b"",
        args: dict[str, str] | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.body = body
        self.args: dict[str, str] = args or {}
        self._headers = headers or []
        self._query: dict[str, list[str]] | None = None
        self._receive: Callable[[], Awaitable[Any]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._complete = False

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters, each with all of its values."""
        if self._query is None:
            text = self.query_string.decode("ascii", "replace")
            self._query = parse_qs(text, keep_blank_values=True) if text else {}
        return self._query

    def header(self, name: str) -> str | None:
        """A header by its lower-case name."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self._headers if key == wanted), None)

    def from_loop(self, receive: Callable[[], Awaitable[Any]], loop: asyncio.AbstractEventLoop) -> None:
        """Say where the body's pieces come from; only for routes that stream."""
        self._receive, self._loop = receive, loop

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece, read at most `AHEAD` batches ahead. For routes that stream, from their handler's thread.

        Raises ConnectionError if the client goes away in the middle.
        """
        if self._receive is None or self._loop is None:
            yield self.body
            return
        if self._complete:
            return
        batches: SimpleQueue[tuple[list[bytes], bool] | None] = SimpleQueue()
        room = asyncio.Semaphore(AHEAD)
        pump = asyncio.run_coroutine_threadsafe(self._pump(self._receive, batches, room), self._loop)
        try:
            more = True
            while more:
                batch = batches.get()
                if batch is None:
                    raise ConnectionError("the client went away before the body was complete")
                self._loop.call_soon_threadsafe(room.release)
                pieces, more = batch
                yield from pieces
        finally:
            pump.cancel()

    async def _pump(
        self,
        receive: Callable[[], Awaitable[Any]],
        batches: "SimpleQueue[tuple[list[bytes], bool] | None]",
        room: asyncio.Semaphore,
    ) -> None:
        """Fill the queue from the loop, in batches: a thread is woken once for many small pieces."""
        try:
            pieces: list[bytes] = []
            size = 0
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                piece, more = message.get("body", b""), message.get("more_body", False)
                self._complete = not more
                if piece:
                    pieces.append(piece)
                    size += len(piece)
                if size >= BATCH or not more:
                    await room.acquire()
                    batches.put((pieces, more))
                    pieces, size = [], 0
        finally:
            if not self._complete:
                batches.put(None)


@dataclass
class Response:
    """An answer. body: bytes, or pieces that are pulled in a thread while they are sent."""

    body: bytes | Iterator[bytes] = b""
    status: int = 200
    headers: Headers = field(default_factory=lambda: list(JSON))


Handler = Callable[[Request, Context], object]
"""Gives a Response, or a value that becomes a JSON answer (None: `{}`). Runs in a thread; may block. Raises Refused or a NoriaError."""


@dataclass(frozen=True)
class Route:
    """One operation. path: below `/api/<version>` and `/ajax-api/<version>`, with `{name}` for one part and `{name:path}` for all the rest.

    versions: empty if the path is meant as it stands. streams: the handler reads the body by `Request.chunks`.
    """

    method: str
    path: str
    handler: Handler
    versions: tuple[str, ...] = ("2.0",)
    streams: bool = False

    def paths(self) -> list[str]:
        """Every full path at which it is answered."""
        if not self.versions:
            return [self.path]
        return [f"/{root}/{version}{self.path}" for version in self.versions for root in ("api", "ajax-api")]


class Table:
    """All routes, to be looked up by method and path: most by one dictionary access, those with parts to be named by pattern."""

    def __init__(self, routes: list[Route]) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Route]] = []
        for route in routes:
            for path in route.paths():
                if "{" in path:
                    self._patterns.append((route.method, _pattern(path), route))
                else:
                    self._exact[route.method, path] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route for a request and what its path names, or None."""
        route = self._exact.get((method, path))
        if route is not None:
            return route, {}
        for wanted, pattern, candidate in self._patterns:
            if wanted == method and (match := pattern.fullmatch(path)):
                return candidate, match.groupdict()
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that a path answers to."""
        found = {method for method, exact in self._exact if exact == path}
        return sorted(found | {method for method, pattern, _ in self._patterns if pattern.fullmatch(path)})


def _pattern(path: str) -> re.Pattern[str]:
    """The expression that a path with named parts stands for.

    >>> _pattern("/x/{id}/files/{rest:path}").fullmatch("/x/7/files/a/b").groupdict()
    {'id': '7', 'rest': 'a/b'}
    """
    parts = re.split(r"\{(\w+)(:path)?\}", path)
    text = re.escape(parts[0])
    for name, rest, after in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>{'.+' if rest else '[^/]+'})" + re.escape(after)
    return re.compile(text, re.DOTALL)
