"""The blobs port over HTTP, for other Noria processes: content up and down in pieces, in constant memory. The other end is adapters/blobs/remote.

Files of runs have their own routes, by path; here content goes by its digest. Mounted by app.py.
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from queue import SimpleQueue
from typing import Any

import msgspec
from anyio.to_thread import run_sync
from litestar import MediaType, Request, Response, Router, delete, get, post, put
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from noria.app.workspace import Workspace
from noria.domain.ids import Digest
from noria.errors import NoriaError
from noria.server.control.store import STATUS
from noria.wire.calls import refusal

PATH = "/api/v1/blobs"
AHEAD = 8
"""Pieces of a body that may wait for the disk."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept."""

    digest: Digest
    size: int


def blobs_router(workspace: Workspace) -> Router:
    """The routes under /api/v1/blobs. Who may reach them is the app's business (guards)."""

    @post("/", status_code=200, include_in_schema=False)
    async def keep(request: Request[Any, Any, Any]) -> Response[Any]:
        return await _said(partial(_keep, workspace, _pieces(request)))

    @get("/", include_in_schema=False)
    async def every(idle_since: FromQuery[datetime | None] = None) -> Response[Any]:
        return await _said(lambda: _lines(workspace.blobs.digests(idle_since=idle_since)))

    @get("/{digest:str}", include_in_schema=False)
    async def read(
        digest: FromPath[str], start: FromQuery[int] = 0, end: FromQuery[int | None] = None
    ) -> Response[Any]:
        return await _said(
            lambda: Stream(
                workspace.blobs.chunks(Digest(digest), start=start, end=end),
                media_type="application/octet-stream",
            )
        )

    @get("/{digest:str}/size", include_in_schema=False)
    async def size(digest: FromPath[str]) -> Response[Any]:
        return await _said(lambda: Response(Kept(digest=Digest(digest), size=workspace.blobs.size(Digest(digest)))))

    @delete("/{digest:str}", status_code=200, include_in_schema=False)
    async def forget(digest: FromPath[str], idle_since: FromQuery[datetime | None] = None) -> Response[Any]:
        return await _said(lambda: Response({"deleted": workspace.blobs.delete(Digest(digest), idle_since=idle_since)}))

    @put("/documents", status_code=200, include_in_schema=False)
    async def publish(request: Request[Any, Any, Any]) -> Response[Any]:
        body = await request.body()
        return await _said(partial(_publish, workspace, _name(request), body))

    @get("/documents", include_in_schema=False)
    async def published(request: Request[Any, Any, Any]) -> Response[Any]:
        return await _said(lambda: _document(workspace.blobs.published(_name(request))))

    return Router(
        path=PATH,
        route_handlers=[keep, every, read, size, forget, publish, published],
        request_max_body_size=None,
        opt={"packed": True},
    )


async def _said(work: Any) -> Response[Any]:
    """Do some work in a thread; an error in Noria's own form."""
    try:
        answer: Response[Any] = await run_sync(work)
    except NoriaError as error:
        status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
        return Response(refusal(error), status_code=status, media_type=MediaType.JSON)
    return answer


def _keep(workspace: Workspace, pieces: Iterator[bytes]) -> Response[Kept]:
    digest, size = workspace.blobs.put_chunks(pieces)
    return Response(Kept(digest=digest, size=size))


def _publish(workspace: Workspace, name: str, document: bytes) -> Response[None]:
    workspace.blobs.publish(name, document)
    return Response(None)


def _pieces(request: Request[Any, Any, Any]) -> Iterator[bytes]:
    """The body's pieces for a thread, while this loop receives them; a few wait at most."""
    loop = asyncio.get_running_loop()
    waiting: SimpleQueue[bytes | Exception | None] = SimpleQueue()
    room = asyncio.Semaphore(AHEAD)

    async def receive() -> None:
        try:
            async for piece in request.stream():
                await room.acquire()
                waiting.put(piece)
        except Exception as error:  # noqa: BLE001 - whatever breaks the body off goes to who reads it
            waiting.put(error)
        else:
            waiting.put(None)

    receiving = loop.create_task(receive())

    def pieces() -> Iterator[bytes]:
        try:
            while (piece := waiting.get()) is not None:
                if isinstance(piece, Exception):
                    raise ConnectionError("the client went away before the body was complete") from piece
                loop.call_soon_threadsafe(room.release)
                yield piece
        finally:
            loop.call_soon_threadsafe(receiving.cancel)

    return pieces()


def _lines(digests: Iterator[Digest]) -> Stream:
    return Stream((f"{digest}\n" for digest in digests), media_type="text/plain")


def _document(document: bytes | None) -> Response[Any]:
    if document is None:
        return Response(b"", status_code=204)
    return Response(document, media_type="application/octet-stream")


def _name(request: Request[Any, Any, Any]) -> str:
    """A document's name as it was sent; what it may be is the store's business."""
    return str(request.query_params.get("name", ""))
