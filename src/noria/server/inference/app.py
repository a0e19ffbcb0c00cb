"""The RSGI application of a worker: paths to codecs, errors to each protocol's form. A traceback never leaves it.

What is served is on the board (serving/live), put there by app/worker; starting the HTTP server is run.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter_ns
from types import CoroutineType
from typing import Any, TypeVar

import msgspec

from noria.errors import (
    AnswerNotAcceptable,
    DeadlineMissed,
    ExtraMissing,
    InputInvalid,
    MediaTypeUnsupported,
    ModelNotReady,
    ModelUnknown,
    NoriaError,
    NotSignedIn,
    Overloaded,
    RequestInvalid,
    RequestTooLarge,
    RequestTooSlow,
)
from noria.server.inference.access import Keys, key_wanted
from noria.server.inference.answering import Answer, Answering, Told
from noria.server.inference.body import LIMIT_BYTES, Patience, read_body
from noria.server.inference.codec import Call, Codec, Desk, Reply, Shelf
from noria.server.inference.limits import NEVER, Deadline, Gate, Limits, Place, deadline_of, missed
from noria.server.inference.protocols import CODECS, by_root
from noria.server.inference.tracing import Tracer
from noria.serving.live import Live
from noria.wire.exposition import OPENMETRICS_TYPE, TEXT_TYPE, wants_openmetrics

log = logging.getLogger(__name__)

OWN = {"/metrics": "GET", "/noria/status": "GET", "/noria/flush": "POST"}
STATUSES = {
    RequestTooLarge: 413,
    MediaTypeUnsupported: 415,
    AnswerNotAcceptable: 406,
    ExtraMissing: 501,
    RequestTooSlow: 408,
    DeadlineMissed: 504,
    NotSignedIn: 401,
}
MOST_LINES = 4096
"""Request lines that are remembered."""
UNEXPECTED = NoriaError(
    "this worker met an error that it did not expect", remedy="look into the worker's log, and report it"
)

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class InferenceApp:
    """Answers HTTP requests with what is on the board."""

    def __init__(
        self,
        answering: Answering,
        *,
        status: Callable[[], object],
        flush: Callable[[], Awaitable[bool]],
        shelf: Shelf,
        keys: Keys | None = None,
        body_limit: int = LIMIT_BYTES,
        limits: Limits | None = None,
        tracer: Tracer | None = None,
        codecs: tuple[Codec, ...] = CODECS,
    ) -> None:
        """status: what GET /noria/status shows. flush: waits until everything answered so far is in the log.

        shelf: loads and unloads deployments. keys: who is let in, None: everybody. limits: how much is taken on.

        codecs: the protocols spoken.
        """
        self._answering = answering
        self._board = answering.board
        self._metrics = answering.metrics
        self._tracer = tracer
        self._desk = Desk(answering.board, shelf, answering.metrics)
        self._codecs = by_root(codecs)
        self._calls: dict[tuple[str, str], tuple[Codec, Call]] = {}
        self._status = status
        self._flush = flush
        self._keys = keys or None
        self._body_limit = body_limit
        self.gate = Gate(limits or Limits())
        self._patience = Patience()

    async def watch(self) -> None:
        """Run beside the server, for ever: ends what takes too long to arrive."""
        await self._patience.watch()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """One request."""
        if scope.proto != "http":
            return
        path: str = scope.path
        began = perf_counter_ns() if self._tracer is not None else 0
        codec: Codec | None = None
        call: Call | None = None
        try:
            known = self._calls.get((scope.method, path)) or self._understood(scope.method, path)
            codec, call = known if known is not None else (self._codec_of(path), None)
            if self._keys is not None and not (call and call.is_open) and self._keys.name_of(scope.headers) is None:
                raise key_wanted()
            if codec is None or call is None:
                await self._own(path, scope, protocol, codec)
            elif call.does == "predict":
                await self._predict(scope, protocol, codec, call)
            else:
                await self._tell(scope, protocol, codec, call)
        except NoriaError as error:
            self._refuse(protocol, codec, call, error, path)
            self._trace_refusal(scope.headers, codec, call, error, began)
        except Exception:
            log.exception("answering %s %s failed", scope.method, path)
            if codec is not None:
                self._metrics.refused(self._served(call), protocol=codec.name, status=500)
            _send(protocol, self._error(codec, call, 500, UNEXPECTED))
            self._trace_refusal(scope.headers, codec, call, UNEXPECTED, began)

    async def _predict(self, scope: Any, protocol: Any, codec: Codec, call: Call) -> None:
        headers = scope.headers
        deadline = deadline_of(headers, self.gate.limits)
        place = self.gate.enter()
        try:
            body = await self._body(scope, protocol, deadline, place)
            await self._answer(protocol, codec, call, headers, body, deadline)
        finally:
            place.leave()

    async def _tell(self, scope: Any, protocol: Any, codec: Codec, call: Call) -> None:
        body = b""
        if scope.method == "POST":
            place = self.gate.enter()
            try:
                body = await self._body(scope, protocol, NEVER, place)
            finally:
                place.leave()
        _send(protocol, await codec.tell(call, scope.headers, body, self._desk))

    async def _body(self, scope: Any, protocol: Any, deadline: Deadline, place: Place) -> bytes:
        """A request's body, decoded. Raises what read_body raises, and DeadlineMissed."""
        until = monotonic() + self.gate.limits.body_s
        try:
            return await read_body(
                scope,
                protocol,
                limit=self._body_limit,
                place=place,
                patience=self._patience,
                until=min(until, deadline.until) if deadline.until else until,
            )
        except RequestTooSlow:
            deadline.left()
            raise

    async def _answer(
        self, protocol: Any, codec: Codec, call: Call, headers: Any, body: bytes, deadline: Deadline
    ) -> None:
        deadline.left()
        started = perf_counter_ns()
        live = self._board.get(call.model) if call.model else self._only(_said(headers, call.model_headers))
        question: Any = codec.ask(call, headers, body)
        if type(question) is CoroutineType:  # cheaper than asking an abstract class, on every request
            question = await _in_time(question, deadline)
        given = self._answering.answer(live, question, _told(headers, call, deadline), started=started)
        answer = given if isinstance(given, Answer) else await _in_time(given, deadline)
        reply: Any = codec.respond(call, question, answer)
        if type(reply) is CoroutineType:
            reply = await _in_time(reply, deadline)
        self._metrics.carried(live.deployment, codec.name, received=len(body), sent=len(reply.body))
        if answer.kept is not None:
            await _on_disk(answer.kept, deadline)
        variant = answer.served.variant
        more = [
            ("noria-request-id", answer.request_id),
            ("noria-model-version", str(variant.number)),
            ("noria-variant", variant.name),
        ]
        if self._tracer is not None:
            more.append(("traceresponse", self._trace(self._tracer, headers, codec, answer, started)))
        _send(protocol, reply, *more)
        self._answering.sent(answer)

    def _trace(self, tracer: Tracer, headers: Any, codec: Codec, answer: Answer, started: int) -> str:
        """Make the span of an answer; a sampled one is shown beside its bucket in the metrics."""
        variant, deployment = answer.served.variant, answer.live.deployment
        response, trace_id = tracer.answered(
            headers,
            deployment=deployment,
            variant=variant,
            rows=answer.rows,
            protocol=codec.name,
            request_id=answer.request_id,
            started=started,
        )
        if trace_id:
            seconds = (perf_counter_ns() - started) / 1e9
            key = (deployment, variant.number, variant.name, codec.name)
            self._metrics.exemplar(key, seconds=seconds, trace_id=trace_id)
        return response

    def _trace_refusal(
        self, headers: Any, codec: Codec | None, call: Call | None, error: NoriaError, began: int
    ) -> None:
        """Make the span of a prediction that was not made."""
        if self._tracer is None or codec is None or call is None or call.does != "predict":
            return
        self._tracer.refused(
            headers,
            deployment=self._served(call),
            protocol=codec.name,
            status=_status_of(error),
            problem=type(error).__name__,
            started=began,
        )

    async def _own(self, path: str, scope: Any, protocol: Any, codec: Codec | None) -> None:
        """What is Noria's own: metrics and state; and lines that nobody understands."""
        reads = scope.method in ("GET", "HEAD")
        if path == "/metrics" and reads:
            openmetrics = wants_openmetrics(scope.headers.get("accept") or "")
            content = self._metrics.exposition(openmetrics=openmetrics).encode()
            kind = OPENMETRICS_TYPE if openmetrics else TEXT_TYPE
            _send(protocol, Reply(content, headers=(("content-type", kind),)))
        elif path == "/noria/status" and reads:
            status = msgspec.to_builtins(self._status())
            if "modules" in scope.query_string:
                status["modules"] = _modules()
            _send(protocol, Reply(_encode(status)))
        elif path == "/noria/flush" and scope.method == "POST":
            if not _is_loopback(scope.client):
                _send(protocol, self._error(None, None, 403, NoriaError(f"{path} is answered on this machine only")))
                return
            done = await self._flush()
            _send(protocol, Reply(_encode({"flushed": done}), 200 if done else 503))
        else:
            allowed = [method for method in ("GET", "POST") if self._understood(method, path)]
            if path in OWN:
                allowed.append(OWN[path])
            if allowed:
                error = NoriaError(f"{scope.method} is not answered at {path!r}", remedy=f"use {allowed[0]}")
                _send(protocol, self._error(codec, None, 405, error), ("allow", ", ".join(allowed)))
                return
            _send(protocol, self._error(codec, None, 404, NoriaError(f"nothing is at {path!r}")))

    def _understood(self, method: str, path: str) -> tuple[Codec, Call] | None:
        """Which codec a request line is for, and what it says; remembered, because workers are asked few different ones."""
        asked = "GET" if method == "HEAD" else method
        for codec in self._codecs.get(path[1:].partition("/")[0], ()):
            call = codec.call(asked, path)
            if call is not None:
                if len(self._calls) >= MOST_LINES:
                    self._calls.clear()
                return self._calls.setdefault((method, path), (codec, call))
        return None

    def _codec_of(self, path: str) -> Codec | None:
        """Whose form an error takes where no codec understood the line."""
        return next(iter(self._codecs.get(path[1:].partition("/")[0], ())), None)

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

    def _served(self, call: Call | None) -> str:
        """The deployment of a request, '' if none of that name is served: callers make no labels."""
        return call.model if call is not None and call.model in self._board.names() else ""

    def _refuse(self, protocol: Any, codec: Codec | None, call: Call | None, error: NoriaError, path: str) -> None:
        """Turn an error into a status and the protocol's own form of it."""
        status = _status_of(error)
        if codec is not None:
            self._metrics.refused(
                self._served(call), protocol=codec.name, status=status, shed=isinstance(error, Overloaded)
            )
        if status == 500:
            log.error("answering %s failed: %s", path, error)
        more = []
        if error.retryable:
            more.append(("retry-after", "1"))
        if status == 401:
            more.append(("www-authenticate", "Bearer"))
        if status == 408:  # what is left of the body is not waited for
            more.append(("connection", "close"))
        _send(protocol, self._error(codec, call, status, error), *more)

    def _error(self, codec: Codec | None, call: Call | None, status: int, error: NoriaError) -> Reply:
        return Reply(_encode({"error": str(error)}), status) if codec is None else codec.refuse(call, status, error)


def _send(protocol: Any, reply: Reply, *more: tuple[str, str]) -> None:
    protocol.response_bytes(reply.status, [*reply.headers, *more], reply.body)


async def _in_time(given: Awaitable[T], deadline: Deadline, cause: str = "") -> T:
    """Wait for something no longer than the request may take. Raises DeadlineMissed."""
    left = deadline.left()
    if left is None:
        return await given
    try:
        return await asyncio.wait_for(given, left)
    except TimeoutError:
        raise missed(cause) from None


async def _on_disk(kept: Awaitable[str], deadline: Deadline) -> None:
    """Wait until the record is on the disk. Raises Overloaded when it is not (it stays in the ring and may get there later), DeadlineMissed."""
    problem = await _in_time(kept, deadline, "its record is being written and may count")
    if problem:
        raise Overloaded(
            "the answer could not be recorded",
            cause=problem,
            remedy="send it again with the same Noria-Request-Key: it is recorded once",
        )


def _told(headers: Any, call: Call, deadline: Deadline) -> Told:
    variant = call.variant or _said(headers, call.variant_headers)
    key, at = headers.get("noria-request-key"), headers.get("noria-time")
    return Told(call.version, key, variant, at, headers, deadline.until)


def _said(headers: Any, names: tuple[str, ...]) -> str | None:
    """The first of these headers that was sent."""
    for name in names:
        value: str | None = headers.get(name)
        if value is not None:
            return value
    return None


def _status_of(error: NoriaError) -> int:
    for kind, status in STATUSES.items():
        if isinstance(error, kind):
            return status
    if isinstance(error, InputInvalid):
        return 400
    if isinstance(error, ModelUnknown):
        return 404
    return 503 if isinstance(error, (ModelNotReady, Overloaded)) else 500


def _is_loopback(client: str) -> bool:
    return client.startswith(("127.", "[::1]", "::1", "[::ffff:127."))


def _modules() -> list[str]:
    """Top-level packages this process has imported: what makes a worker heavy can be read off."""
    import sys

    return sorted({name.partition(".")[0] for name in list(sys.modules)})
