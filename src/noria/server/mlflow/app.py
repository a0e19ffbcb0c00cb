"""The MLflow face as one ASGI application: reads a request, finds its route, runs the handler in a thread, writes the answer.

Routes are in the nouns' files; who may ask is decided in front of this. Loaded by name by server/control/run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from noria.errors import RequestTooLarge
from noria.server.mlflow import (
    artifacts,
    experiments,
    lineage,
    logged_models,
    metrics,
    model_versions,
    multipart,
    recording,
    registered_models,
    runs,
    server_info,
    unsupported,
    webhooks,
)
from noria.server.mlflow.crew import Crew
from noria.server.mlflow.errors import answer, respond
from noria.server.mlflow.routing import Context, Headers, Request, Response, Route, Table
from noria.server.mlflow.wire import encode

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_LIMIT = 64 << 20
THREADS = 64
"""More than one disk can keep busy: writers wait together for one commit (group commit), so that many of them cost one."""
UPLOADS = 32
"""Files that come at once; each keeps a thread for as long as its sender takes, so they have threads of their own."""
EMPTY = Response(b"{}")
TOLD = ("/api/2.0/mlflow/registered-models/", "/api/2.0/mlflow/model-versions/")
"""Where changes are made that webhooks of this protocol are told of: at once, and not when the deliverer looks next."""


NOUNS = (artifacts, model_versions, multipart, registered_models, server_info, webhooks)
TRACKING = (recording, runs, metrics, experiments, lineage, logged_models)


def routes() -> list[Route]:
    """Every route of the protocol that this server knows."""
    return [route for noun in (*TRACKING, *NOUNS) for route in noun.ROUTES]


def create_app(context: Context) -> "MlflowApp":
    """The application over one project's stores, in which the experiment that clients take by default is made if it is missing."""
    experiments.prepare(context)
    return MlflowApp(context, Table(routes()))


class MlflowApp:
    """An ASGI application; `close` ends its threads."""

    def __init__(self, context: Context, table: Table) -> None:
        self.context = context
        self._table = table
        self._pool = Crew(THREADS, "mlflow")
        self._uploads = Crew(UPLOADS, "mlflow-files")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        method: str = scope["method"]
        path: str = scope["path"]
        head = method == "HEAD"
        found = self._table.find("GET" if head else method, path)
        if found is None:
            await _send(send, self._unknown(method, path))
            return
        route, args = found
        request = Request(
            "GET" if head else method,
            path,
            query_string=scope["query_string"],
            headers=scope["headers"],
            args=args,
        )
        loop = asyncio.get_running_loop()
        try:
            if route.streams:
                request.from_loop(receive, loop)
            elif method not in ("GET", "HEAD") or not scope["query_string"]:
                request.body = await _body(receive)
        except RequestTooLarge as error:
            await _send(send, respond(error, f"{method} {path}"))
            return
        pool = self._uploads if route.streams else self._pool
        response = await pool.run(self._answer, route, request)
        if head:
            response = _headers_only(response)
        if isinstance(response.body, bytes):
            await _send(send, response)
        else:
            await self._stream(send, response)

    def close(self) -> None:
        """End the threads once they have answered what they hold."""
        self._pool.close()
        self._uploads.close()

    def _answer(self, route: Route, request: Request) -> Response:
        """What a handler says, as a response; in a thread."""
        try:
            result = route.handler(request, self.context)
        except Exception as error:  # noqa: BLE001  a server answers whatever happens, and logs it
            return respond(error, f"{request.method} {request.path}")
        if self.context.hooks is not None and request.method != "GET" and request.path.startswith(TOLD):
            self.context.hooks.wake()
        if isinstance(result, Response):
            return result
        return EMPTY if result is None else Response(encode(result))

    def _unknown(self, method: str, path: str) -> Response:
        if refusal := unsupported.refusal(method, path):
            return refusal
        if known := self._table.methods(path):
            other = answer(405, "BAD_REQUEST", f"{method} is not answered at {path!r}; {', '.join(known)} is.")
            other.headers.append((b"allow", ", ".join(known).encode()))
            return other
        return answer(404, "ENDPOINT_NOT_FOUND", f"No operation of the MLflow protocol is at {path!r}.")

    async def _stream(self, send: Send, response: Response) -> None:
        """Send a body as its pieces come. An error after the first piece breaks the connection off, so that nobody takes a part for the whole."""
        pieces = iter(response.body)
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        while True:
            piece = await self._pool.run(next, pieces, None)
            if piece is None:
                break
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(receive: Receive) -> bytes:
    """A whole body. Raises RequestTooLarge, after having read on so that the client sees the answer."""
    message = await receive()
    if not message.get("more_body", False):
        return bytes(message.get("body", b""))
    parts, size = [message.get("body", b"")], 0
    while message.get("more_body", False):
        message = await receive()
        size += len(message.get("body", b""))
        if size <= BODY_LIMIT:
            parts.append(message.get("body", b""))
    if size > BODY_LIMIT:
        raise RequestTooLarge(
            f"a request of {size} bytes is larger than this server reads at once",
            cause=f"the limit is {BODY_LIMIT} bytes",
            remedy="send files as artifacts, and points in batches",
        )
    return b"".join(parts)


def _headers_only(response: Response) -> Response:
    """The answer to HEAD: what GET would say, without its body; a file says its length itself."""
    body = response.body
    if isinstance(body, bytes):
        return Response(b"", response.status, _with_length(response.headers, len(body)))
    if isinstance(body, Generator):
        body.close()
    return Response(b"", response.status, response.headers)


def _with_length(headers: Headers, length: int) -> Headers:
    """The headers with the body's length, unless they say it themselves."""
    if any(name == b"content-length" for name, _ in headers):
        return headers
    return [*headers, (b"content-length", str(length).encode())]


async def _send(send: Send, response: Response) -> None:
    body = response.body
    assert isinstance(body, bytes)
    headers = _with_length(response.headers, len(body))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
