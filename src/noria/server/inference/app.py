"""The RSGI application of a worker: paths to codecs, errors to each protocol's form. A traceback never leaves it.

What is served is on the board (serving/live), put there by app/worker; starting the HTTP server is run.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

import msgspec

from noria import __version__
from noria.errors import (
    InputInvalid,
    ModelNotReady,
    ModelUnknown,
    NoriaError,
    Overloaded,
    RequestInvalid,
    RequestTooLarge,
)
from noria.server.inference import mlflow, v2
from noria.server.inference.answering import Answering, Told
from noria.server.inference.body import LIMIT_BYTES, read_body
from noria.serving.live import Live

log = logging.getLogger(__name__)

Headers = list[tuple[str, str]]
JSON: Headers = [("content-type", "application/json")]
TEXT: Headers = [("content-type", "text/plain; charset=utf-8")]
METRICS: Headers = [("content-type", "text/plain; version=0.0.4; charset=utf-8")]
PREFIX = "/v2/models/"
OPEN_PATHS = ("/v2/health/live", "/v2/health/ready", "/ping", "/health")
"""Paths that orchestrators ask without a key."""
MLFLOW_CODES = {
    400: "BAD_REQUEST",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "BAD_REQUEST",
    503: "TEMPORARILY_UNAVAILABLE",
    500: "INTERNAL_ERROR",
}

_encode = msgspec.json.Encoder().encode


class InferenceApp:
    """Answers HTTP requests with what is on the board."""

    def __init__(
        self,
        answering: Answering,
        *,
        status: Callable[[], object],
        flush: Callable[[], Awaitable[bool]],
        api_key: str = "",
        body_limit: int = LIMIT_BYTES,
    ) -> None:
        """status: what GET /noria/status shows. flush: waits until everything answered so far is in the log. api_key: '' asks for none."""
        self._answering = answering
        self._board = answering.board
        self._status = status
        self._flush = flush
        self._api_key = api_key.encode()
        self._body_limit = body_limit

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request."""
        if scope.proto != "http":
            return
        path: str = scope.path
        try:
            if self._api_key and path not in OPEN_PATHS and not self._knows_key(scope.headers):
                body = _encode(
                    {"error": "this worker asks for its API key\n  remedy: send Authorization: Bearer <key>"}
                )
                protocol.response_bytes(401, [*JSON, ("www-authenticate", "Bearer")], body)
                return
            if scope.method == "POST":
                if path.startswith(PREFIX) and path.endswith("/infer"):
                    name, version = _model(path[: -len("/infer")])
                    body = await read_body(scope, protocol, limit=self._body_limit)
                    await self._infer(protocol, scope.headers, body, name=name, version=version)
                else:
                    await self._post(path, scope, protocol)
            elif scope.method in ("GET", "HEAD"):
                self._get(path, scope, protocol)
            else:
                protocol.response_bytes(
                    405, [*JSON, ("allow", "GET, POST")], _encode({"error": f"{scope.method} is not answered here"})
                )
        except NoriaError as error:
            self._refuse(protocol, error, path)
        except Exception:
            log.exception("answering %s %s failed", scope.method, path)
            problem = "this worker met an error that it did not expect"
            protocol.response_bytes(
                500, JSON, _error_body(path, 500, f"{problem}\n  remedy: look into the worker's log, and report it")
            )

    async def _post(self, path: str, scope: Any, protocol: Any) -> None:
        if path == "/invocations":
            body = await read_body(scope, protocol, limit=self._body_limit)
            await self._invoke(protocol, scope.headers, body)
        elif path == "/noria/flush":
            if not _is_loopback(scope.client):
                protocol.response_bytes(403, JSON, _encode({"error": "/noria/flush is answered on this machine only"}))
                return
            done = await self._flush()
            protocol.response_bytes(200 if done else 503, JSON, _encode({"flushed": done}))
        else:
            protocol.response_bytes(404, JSON, _encode({"error": f"nothing is posted to {path!r}"}))

    async def _infer(self, protocol: Any, headers: Any, body: bytes, *, name: str, version: str | None) -> None:
        started = perf_counter_ns()
        live = self._board.get(name)
        question = v2.V2Question(body, header_length=headers.get("inference-header-content-length"))
        answer = self._answering.answer(live, question, _told(headers, version), started=started)
        content, json_length = v2.respond(answer, question)
        if answer.kept is not None:
            await _on_disk(answer.kept)
        extra = [("noria-request-id", answer.request_id)]
        if json_length is None:
            protocol.response_bytes(200, JSON + extra, content)
            return
        extra += [("content-type", "application/octet-stream"), ("inference-header-content-length", str(json_length))]
        protocol.response_bytes(200, extra, content)

    async def _invoke(self, protocol: Any, headers: Any, body: bytes) -> None:
        started = perf_counter_ns()
        live = self._only(headers.get("noria-deployment"))
        question = mlflow.MlflowQuestion(body, content_type=headers.get("content-type") or "")
        answer = self._answering.answer(live, question, _told(headers, None), started=started)
        if answer.kept is not None:
            await _on_disk(answer.kept)
        extra = [("noria-request-id", answer.request_id), ("noria-model-version", str(answer.served.variant.number))]
        protocol.response_bytes(200, JSON + extra, mlflow.respond(answer))

    def _get(self, path: str, scope: Any, protocol: Any) -> None:
        if path in ("/v2/health/live", "/ping", "/health", "/v2/health/ready"):
            ready = path == "/v2/health/live" or self._board.ready()
            word = "live" if path == "/v2/health/live" else "ready"
            protocol.response_bytes(
                200 if ready else 503, JSON, b"\n" if path in ("/ping", "/health") else _encode({word: ready})
            )
        elif path == "/v2":
            protocol.response_bytes(
                200, JSON, _encode({"name": "noria", "version": __version__, "extensions": ["binary_tensor_data"]})
            )
        elif path.startswith(PREFIX):
            self._describe(path, protocol)
        elif path == "/version":
            protocol.response_bytes(200, TEXT, __version__.encode())
        elif path == "/metrics":
            content = self._answering.metrics.exposition(self._answering.recorder.status(), self._board.all())
            protocol.response_bytes(200, METRICS, content)
        elif path == "/noria/status":
            status = msgspec.to_builtins(self._status())
            if "modules" in scope.query_string:
                status["modules"] = _modules()
            protocol.response_bytes(200, JSON, _encode(status))
        else:
            protocol.response_bytes(404, JSON, _encode({"error": f"nothing is at {path!r}"}))

    def _describe(self, path: str, protocol: Any) -> None:
        """Metadata or readiness of one model."""
        asks_ready = path.endswith("/ready")
        name, version = _model(path[: -len("/ready")] if asks_ready else path)
        live = self._board.get(name)
        served = live.variants[0] if version is None else live.numbered(version)
        if asks_ready:
            protocol.response_bytes(200, JSON, _encode({"name": name, "ready": True}))
            return
        protocol.response_bytes(200, JSON, v2.metadata(live, served))

    def _only(self, name: str | None) -> Live:
        """The deployment that is meant when the path does not say: the one named by header, or the only one there is."""
        if name is not None:
            return self._board.get(name)
        names = self._board.names()
        if len(names) == 1:
            return self._board.get(names[0])
        if not names:
            raise ModelUnknown("no deployment is served here", remedy="noria status")
        raise RequestInvalid(
            "several deployments are served here",
            cause=", ".join(repr(n) for n in names),
            remedy="send the header Noria-Deployment",
        )

    def _refuse(self, protocol: Any, error: NoriaError, path: str) -> None:
        """Turn an error into a status and the protocol's own form of it."""
        status = _status_of(error)
        name = path[len(PREFIX) :].partition("/")[0] if path.startswith(PREFIX) else ""
        served = name if name in self._board.names() else ""
        self._answering.metrics.refused(served, protocol="mlflow" if path == "/invocations" else "v2", status=status)
        if status == 500:
            log.error("answering %s failed: %s", path, error)
        headers = [*JSON, ("retry-after", "1")] if error.retryable else JSON
        protocol.response_bytes(status, headers, _error_body(path, status, str(error)))

    def _knows_key(self, headers: Any) -> bool:
        given = (headers.get("authorization") or "").removeprefix("Bearer ").encode()
        return hmac.compare_digest(given, self._api_key)


async def _on_disk(kept: Awaitable[str]) -> None:
    """Wait until the record is on the disk. Raises Overloaded when it is not (it stays in the ring and may get there later)."""
    problem = await kept
    if problem:
        raise Overloaded(
            "the answer could not be recorded",
            cause=problem,
            remedy="send it again with the same Noria-Request-Key: it is recorded once",
        )


def _told(headers: Any, version: str | None) -> Told:
    return Told(version, headers.get("noria-request-key"), headers.get("noria-variant"), headers.get("noria-time"))


def _model(path: str) -> tuple[str, str | None]:
    """(name, version) of a path below /v2/models/. Raises ModelUnknown."""
    name, _, rest = path[len(PREFIX) :].partition("/")
    if not rest and name:
        return name, None
    word, _, version = rest.partition("/")
    if name and word == "versions" and version and "/" not in version:
        return name, version
    raise ModelUnknown(
        f"nothing is at {path!r}", remedy="ask /v2/models/<deployment> or /v2/models/<deployment>/versions/<number>"
    )


def _status_of(error: NoriaError) -> int:
    if isinstance(error, RequestTooLarge):
        return 413
    if isinstance(error, InputInvalid):
        return 400
    if isinstance(error, ModelUnknown):
        return 404
    return 503 if isinstance(error, (ModelNotReady, Overloaded)) else 500


def _error_body(path: str, status: int, text: str) -> bytes:
    if path == "/invocations":
        return _encode({"error_code": MLFLOW_CODES.get(status, "INTERNAL_ERROR"), "message": text})
    return _encode({"error": text})


def _is_loopback(client: str) -> bool:
    return client.startswith(("127.", "[::1]", "::1", "[::ffff:127."))


def _modules() -> list[str]:
    """Top-level packages this process has imported: what makes a worker heavy can be read off."""
    import sys

    return sorted({name.partition(".")[0] for name in list(sys.modules)})
