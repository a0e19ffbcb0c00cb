"""The metadata ports over HTTP, for other Noria processes: one route for all calls, whose names and types are read off the ports (wire/calls).

The other end is adapters/metadata/remote. Pages and people use the REST routes beside this file. Mounted by app.py.
"""

import json
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from litestar import MediaType, Request, Response, Router, post
from litestar.response import Stream

from noria import errors as e
from noria.errors import NoriaError
from noria.ports.metadata import Metadata
from noria.wire import calls, chain
from noria.wire.frames import write_frames

PATH = "/api/v1/store"
MAX_BODY = 64 * 1024 * 1024
"""Largest call in bytes: about a million metric points."""
CALLS = calls.calls_of(Metadata)
STATUS: tuple[tuple[type[NoriaError], int], ...] = (
    (e.NotFound, 404),
    (e.Conflict, 409),
    (e.LeaseLost, 409),
    (e.InputInvalid, 400),
    (e.DiskFull, 507),
    (e.StoreUnavailable, 503),
)
"""The first class that fits decides; everything else is 500. Clients go by the code in the body."""


def store_router(metadata: Metadata) -> Router:
    """The routes under /api/v1/store that answer for one project's metadata. Who may reach them is the app's business (guards)."""
    project = _Project(metadata)

    @post("/{port:str}/{verb:str}", status_code=200, include_in_schema=False, media_type=calls.MEDIA_TYPE)
    async def answer(request: Request[Any, Any, Any]) -> Response[Any]:
        name = f"{request.path_params['port']}.{request.path_params['verb']}"
        body = await request.body()
        try:
            # Stores block; threads wait together, and the store commits for all of them at once.
            return await run_sync(partial(_answer, metadata, project, request.headers, name=name, body=body))
        except NoriaError as error:
            return _refuse(error)

    return Router(path=PATH, route_handlers=[answer], request_max_body_size=MAX_BODY)


class _Project:
    """The name of the project that the store holds: what its first row says or, while it is empty, what its head was made from."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._name: str | None = None

    def check(self, asked: str) -> None:
        """Raises NotFound for another project."""
        if self._name is None:
            if self._metadata.ledger.head() == chain.genesis(asked):
                return
            first = self._metadata.ledger.read(limit=1)
            self._name = first[0].project if first else None
        if self._name != asked:
            raise e.NotFound.of("project", asked, [self._name] if self._name else None)


def _answer(metadata: Metadata, project: _Project, headers: Any, *, name: str, body: bytes) -> Response[Any]:
    """Check a call, make it, and write its answer. Raises NoriaError."""
    if headers.get(calls.PROTOCOL_HEADER) != calls.PROTOCOL or name not in CALLS:
        raise e.RequestInvalid(
            f"this server cannot answer '{name}'",
            cause=f"it speaks protocol {calls.PROTOCOL}, the client {headers.get(calls.PROTOCOL_HEADER, 'none')}",
            remedy="bring client and server to the same version of Noria",
        )
    project.check(_asked(headers.get(calls.PROJECT_HEADER, "")))
    call = CALLS[name]
    given = call.asked(body)
    port = metadata if call.port == "metadata" else getattr(metadata, call.port)
    result = getattr(port, call.verb)(**given)
    if call.streams:
        return Stream(write_frames(result), media_type=calls.MEDIA_TYPE)
    return Response(call.answer(result), media_type=calls.MEDIA_TYPE)


def _asked(header: str) -> str:
    try:
        return str(json.loads(header))
    except ValueError as error:
        raise e.RequestInvalid(
            f"header '{calls.PROJECT_HEADER}' names no project", cause=f"it is {header!r}"
        ) from error


def _refuse(error: NoriaError) -> Response[calls.Refusal]:
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    return Response(calls.refusal(error), status_code=status, media_type=MediaType.JSON)
