"""What becomes of runs and registered models, as a stream of events (SSE) that a reader can take up where it left off. Called by app.py.

Many streams share one look at the store: each is woken when the feed has something new, and reads it then. Webhooks are webhooks.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, get_args

import msgspec
from anyio.to_thread import run_sync
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream

from noria.app.workspace import Workspace
from noria.domain.change import Change, ChangeKind
from noria.errors import Overloaded, RequestInvalid

POLL_S = 0.25
HEARTBEAT_S = 15.0
RETRY_MS = 2000
PORTION = 500
MOST_STREAMS = 200
KINDS: tuple[str, ...] = get_args(ChangeKind)


class Streams:
    """The streams that are open. closing: set when the server leaves, so that they end by themselves."""

    def __init__(self, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.heartbeat_s = heartbeat_s
        self.closing = False
        self.count = 0
        self._newest = 0
        self._read_at = float("-inf")
        self._reading: asyncio.Lock | None = None

    async def newest(self, workspace: Workspace) -> int:
        """The newest change, as of a moment ago at most."""
        if self._reading is None:
            self._reading = asyncio.Lock()
        async with self._reading:
            if time.monotonic() - self._read_at >= POLL_S:
                self._newest = await run_sync(_newest, workspace)
                self._read_at = time.monotonic()
            return self._newest


@get(
    "/api/v1/changes",
    tags=["changes"],
    media_type="text/event-stream",
    opt={"packed": True},
)
async def stream_changes(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    streams: NamedDependency[Streams],
    after: Annotated[
        int | None, QueryParameter(ge=0, description="Changes with a higher number; without it those from now on.")
    ] = None,
    kinds: Annotated[str, QueryParameter(max_length=1000, description="Only these, with commas between.")] = "",
) -> Stream:
    """Changes as they become durable, as server-sent events: `id` is the number, `event` the kind, `data` the change as JSON.

    A reader that comes again says in `Last-Event-ID` (browsers do by themselves) what it has seen, and misses nothing. An event `gap` tells that
    changes in between were forgotten meanwhile.
    """
    chosen = _kinds(kinds)
    seen = _number(request.headers.get("last-event-id", ""))
    start = seen if seen is not None else after
    if start is None:
        start = await run_sync(_newest, workspace)
    if streams.count >= MOST_STREAMS:
        raise Overloaded(
            f"{MOST_STREAMS} streams of changes are open", cause="each holds a connection", remedy="close some of them"
        )
    return Stream(
        events(workspace, streams, after=start, kinds=chosen),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def events(
    workspace: Workspace, streams: Streams, *, after: int, kinds: tuple[ChangeKind, ...] | None
) -> AsyncIterator[bytes]:
    """The stream's bytes, until it is left or the server closes."""
    streams.count += 1
    try:
        yield f"retry: {RETRY_MS}\n: changes after {after}\n\n".encode()
        said_at = time.monotonic()
        while not streams.closing:
            newest = await streams.newest(workspace)
            if newest > after:
                changes = await run_sync(_read, workspace, after, kinds)
                for change in changes:
                    yield _event(change, after=after, all_kinds=kinds is None)
                    after = change.seq
                if len(changes) < PORTION:
                    after = max(after, newest)
                if changes:
                    said_at = time.monotonic()
                    continue
            if time.monotonic() - said_at >= streams.heartbeat_s:
                said_at = time.monotonic()
                yield b": still here\n\n"
            await asyncio.sleep(POLL_S)
    finally:
        streams.count -= 1


def _newest(workspace: Workspace) -> int:
    """In a thread as a whole: the first use of a store opens it."""
    return workspace.feed.newest()


def _read(workspace: Workspace, after: int, kinds: tuple[ChangeKind, ...] | None) -> Sequence[Change]:
    return workspace.feed.read(after=after, limit=PORTION, kinds=kinds)


def _event(change: Change, *, after: int, all_kinds: bool) -> bytes:
    """One change; before it, if numbers are missing that nobody filtered out, that there is a gap."""
    data = msgspec.json.encode(change)
    event = b"id: %d\nevent: %b\ndata: %b\n\n" % (change.seq, change.kind.encode(), data)
    if all_kinds and change.seq > after + 1:
        missing = msgspec.json.encode({"after": after, "next": change.seq})
        return b"event: gap\ndata: %b\n\n" % missing + event
    return event


def _kinds(text: str) -> tuple[ChangeKind, ...] | None:
    asked = [each.strip() for each in text.split(",") if each.strip()]
    unknown = [each for each in asked if each not in KINDS]
    if unknown:
        raise RequestInvalid(
            f"{unknown[0]!r} is no kind of change", cause=f"known: {', '.join(KINDS)}", remedy="leave kinds out for all"
        )
    return tuple(kind for kind in get_args(ChangeKind) if kind in asked) or None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
