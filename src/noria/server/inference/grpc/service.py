"""The methods of gRPC's GRPCInferenceService, and of its health service: the same answering as over REST, errors as status codes.

Source: kserve/open-inference-protocol, open_inference_grpc.proto; Triton, docs/protocol/extension_*.md; grpc.health.v1. Bytes are read here and not
by the library, because it calls a malformed message an internal error. The port is server.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic, perf_counter_ns
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from noria.errors import (
    BundleError,
    DeadlineMissed,
    InputInvalid,
    ModelNotReady,
    ModelUnknown,
    NoriaError,
    NotSignedIn,
    Overloaded,
    RequestInvalid,
    RequestTooLarge,
    RequestTooSlow,
)
from noria.server.inference import v2_facts
from noria.server.inference.access import Keys, key_wanted
from noria.server.inference.answering import Answer, Answering, Told
from noria.server.inference.codec import Desk
from noria.server.inference.grpc.answer import respond
from noria.server.inference.grpc.question import GrpcQuestion, parameters_of
from noria.server.inference.grpc.schema import HEALTH, SERVICE, message
from noria.server.inference.limits import Deadline, Gate, deadline_of, missed
from noria.server.inference.tracing import Tracer
from noria.server.inference.v2 import refuse_parameters

log = logging.getLogger(__name__)

Method = Callable[[Any, Any], Awaitable[Any]]
CODES: tuple[tuple[type[NoriaError], grpc.StatusCode, int], ...] = (
    (NotSignedIn, grpc.StatusCode.UNAUTHENTICATED, 401),
    (RequestTooLarge, grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    (RequestTooSlow, grpc.StatusCode.DEADLINE_EXCEEDED, 408),
    (InputInvalid, grpc.StatusCode.INVALID_ARGUMENT, 400),
    (BundleError, grpc.StatusCode.FAILED_PRECONDITION, 400),
    (ModelUnknown, grpc.StatusCode.NOT_FOUND, 404),
    (ModelNotReady, grpc.StatusCode.UNAVAILABLE, 503),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED, 503),
    (DeadlineMissed, grpc.StatusCode.DEADLINE_EXCEEDED, 504),
)
"""Errors as gRPC says them, and as /metrics counts them; the first that fits."""
PUSHBACK = (("grpc-retry-pushback-ms", "1000"),)
"""What a client that retries by itself is told to wait, as Retry-After over HTTP."""
UNEXPECTED = "this worker met an error that it did not expect: look into its log, and report it"
SERVING, NOT_SERVING = 1, 2


class Service:
    """Answers calls with what is on the board."""

    def __init__(
        self, answering: Answering, desk: Desk, *, gate: Gate, keys: Keys | None = None, tracer: Tracer | None = None
    ) -> None:
        """gate: how much is taken on at once, shared with HTTP. keys: who is let in, None: everybody. tracer: makes a span of each prediction."""
        self._answering = answering
        self._board = answering.board
        self._metrics = answering.metrics
        self._desk = desk
        self._gate = gate
        self._keys = keys or None
        self._tracer = tracer

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What the server dispatches to."""
        told: dict[str, tuple[str, Method]] = {
            "ServerMetadata": ("ServerMetadataRequest", self._server),
            "ModelReady": ("ModelReadyRequest", self._model_ready),
            "ModelMetadata": ("ModelMetadataRequest", self._model),
            "ModelInfer": ("ModelInferRequest", self._infer),
            "ModelStatistics": ("ModelStatisticsRequest", self._statistics),
            "RepositoryIndex": ("RepositoryIndexRequest", self._index),
            "RepositoryModelLoad": ("RepositoryModelLoadRequest", self._load),
            "RepositoryModelUnload": ("RepositoryModelUnloadRequest", self._unload),
        }
        open_to_all: dict[str, tuple[str, Method]] = {
            "ServerLive": ("ServerLiveRequest", self._live),
            "ServerReady": ("ServerReadyRequest", self._ready),
        }
        methods = {name: self._unary(*how) for name, how in told.items()}
        methods |= {name: self._unary(*how, is_open=True) for name, how in open_to_all.items()}
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream)
        check = self._unary("HealthCheckRequest", self._health, is_open=True)
        return [
            grpc.method_handlers_generic_handler(SERVICE, methods),
            grpc.method_handlers_generic_handler(HEALTH, {"Check": check}),
        ]

    def _unary(self, kind: str, method: Method, *, is_open: bool = False) -> grpc.RpcMethodHandler:
        """A method from bytes to bytes, with its errors as status codes."""

        async def call(content: bytes, context: Any) -> bytes:
            try:
                headers = _headers(context)
                if not is_open:
                    self._let_in(headers)
                response = await method(_read(kind, content), context)
                done: bytes = response.SerializeToString()
                return done
            except NoriaError as error:
                code, _ = code_of(error)
                await context.abort(code, str(error), PUSHBACK if error.retryable else ())
            except (grpc.aio.AbortError, asyncio.CancelledError):
                raise
            except Exception:
                log.exception("answering %s failed", kind)
                await context.abort(grpc.StatusCode.INTERNAL, UNEXPECTED)
            raise AssertionError("abort raises")

        return grpc.unary_unary_rpc_method_handler(call)

    def _let_in(self, headers: Any) -> None:
        if self._keys is not None and self._keys.name_of(headers) is None:
            raise key_wanted()

    async def _live(self, request: Any, context: Any) -> Any:
        return message("ServerLiveResponse")(live=True)

    async def _ready(self, request: Any, context: Any) -> Any:
        return message("ServerReadyResponse")(ready=self._board.ready())

    async def _server(self, request: Any, context: Any) -> Any:
        return message("ServerMetadataResponse")(**v2_facts.server())

    async def _model_ready(self, request: Any, context: Any) -> Any:
        """A model that is not here is not ready: an answer, as Triton gives it, and no error."""
        try:
            v2_facts.model(self._board, request.name, request.version or None)
        except (ModelUnknown, ModelNotReady):
            return message("ModelReadyResponse")(ready=False)
        return message("ModelReadyResponse")(ready=True)

    async def _model(self, request: Any, context: Any) -> Any:
        return message("ModelMetadataResponse")(**v2_facts.model(self._board, request.name, request.version or None))

    async def _statistics(self, request: Any, context: Any) -> Any:
        told = v2_facts.statistics(self._board, self._metrics, request.name, request.version or None)
        return message("ModelStatisticsResponse")(model_stats=told)

    async def _index(self, request: Any, context: Any) -> Any:
        return message("RepositoryIndexResponse")(models=v2_facts.index(self._board, ready=request.ready))

    async def _load(self, request: Any, context: Any) -> Any:
        refuse_parameters("load", parameters_of(request.parameters))
        await self._desk.load(request.model_name)
        return message("RepositoryModelLoadResponse")()

    async def _unload(self, request: Any, context: Any) -> Any:
        refuse_parameters("unload", parameters_of(request.parameters))
        await self._desk.unload(request.model_name)
        return message("RepositoryModelUnloadResponse")()

    async def _health(self, request: Any, context: Any) -> Any:
        """'' is the worker; a service's name is one of ours."""
        if request.service not in ("", SERVICE, HEALTH):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service!r} here")
        return message("HealthCheckResponse")(status=SERVING if self._board.ready() else NOT_SERVING)

    async def _infer(self, request: Any, context: Any) -> Any:
        """One prediction. Its id goes into the initial metadata, as into a header of HTTP."""
        headers = _headers(context)
        answer, response, span = await self._predict(request, headers, self._deadline(context, headers))
        variant = answer.served.variant
        told = [
            ("noria-request-id", answer.request_id),
            ("noria-model-version", str(variant.number)),
            ("noria-variant", variant.name),
        ]
        await context.send_initial_metadata(told if span is None else [*told, ("traceresponse", span)])
        return response

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Predictions one after the other. A faulty one is answered by its error and the stream goes on; with the metadata triton_grpc_error: true it
        ends there with a status, as Triton has it."""
        headers = _headers(context)
        try:
            self._let_in(headers)
            deadline = self._deadline(context, headers)
        except NoriaError as error:
            await context.abort(code_of(error)[0], str(error))
            return
        async for content in requests:
            response = message("ModelStreamInferResponse")()
            try:
                request = _read("ModelInferRequest", content)
                response.infer_response.id = request.id
                _, answered, _ = await self._predict(request, headers, deadline)
                answered.parameters["triton_final_response"].bool_param = True
                response.infer_response.CopyFrom(answered)
            except NoriaError as error:
                if headers.get("triton_grpc_error") == "true":
                    await context.abort(code_of(error)[0], str(error))
                response.error_message = str(error)
            except Exception:
                log.exception("answering a stream failed")
                response.error_message = UNEXPECTED
            yield response.SerializeToString()

    async def _predict(self, request: Any, headers: Any, deadline: Deadline) -> tuple[Answer, Any, str | None]:
        """Answer and record one request: also its message and, where spans are made, its traceresponse. Raises NoriaError; refusals are counted."""
        name: str = request.model_name
        size = request.ByteSize()
        place = None
        started = perf_counter_ns()
        try:
            place = self._gate.enter()
            place.take(size)
            deadline.left()
            question = GrpcQuestion(request)
            told = Told(
                request.model_version or None,
                headers.get("noria-request-key"),
                headers.get("noria-variant"),
                headers.get("noria-time"),
                headers,
                deadline.until,
            )
            given = self._answering.answer(self._board.get(name), question, told, started=started)
            answer = given if isinstance(given, Answer) else await _in_time(given, deadline)
            response = respond(answer, question)
            self._metrics.carried(name, GrpcQuestion.protocol, received=size, sent=response.ByteSize())
            if answer.kept is not None:
                await _on_disk(answer.kept, deadline)
            self._answering.sent(answer)
            return answer, response, self._trace(headers, answer, started)
        except NoriaError as error:
            self._refused(name if name in self._board.names() else "", headers, error, started)
            raise
        finally:
            if place is not None:
                place.leave()

    def _trace(self, headers: Any, answer: Answer, started: int) -> str | None:
        """Make the span of an answer; a sampled one is shown beside its bucket in the metrics."""
        if self._tracer is None:
            return None
        variant, deployment = answer.served.variant, answer.live.deployment
        response, trace_id = self._tracer.answered(
            headers,
            deployment=deployment,
            variant=variant,
            rows=answer.rows,
            protocol=GrpcQuestion.protocol,
            request_id=answer.request_id,
            started=started,
        )
        if trace_id:
            seconds = (perf_counter_ns() - started) / 1e9
            key = (deployment, variant.number, variant.name, GrpcQuestion.protocol)
            self._metrics.exemplar(key, seconds=seconds, trace_id=trace_id)
        return response

    def _refused(self, deployment: str, headers: Any, error: NoriaError, started: int) -> None:
        status = code_of(error)[1]
        shed = isinstance(error, Overloaded)
        self._metrics.refused(deployment, protocol=GrpcQuestion.protocol, status=status, shed=shed)
        if self._tracer is not None:
            self._tracer.refused(
                headers,
                deployment=deployment,
                protocol=GrpcQuestion.protocol,
                status=status,
                problem=type(error).__name__,
                started=started,
            )

    def _deadline(self, context: Any, headers: Any) -> Deadline:
        """The soonest of the server's, that of the metadata, and gRPC's own."""
        deadline = deadline_of(headers, self._gate.limits)
        left = context.time_remaining()
        if left is None:
            return deadline
        until = monotonic() + left
        return Deadline(min(until, deadline.until) if deadline.until else until)


def code_of(error: NoriaError) -> tuple[grpc.StatusCode, int]:
    """The status of an error, and the status that HTTP would have."""
    for kind, code, status in CODES:
        if isinstance(error, kind):
            return code, status
    log.error("a call failed: %s", error)
    return grpc.StatusCode.INTERNAL, 500


def _headers(context: Any) -> Any:
    """A call's metadata, which is what headers are to HTTP; names are lower case."""
    return dict(context.invocation_metadata() or ())


def _read(kind: str, content: bytes) -> Any:
    try:
        return message(kind).FromString(content)
    except DecodeError as exc:
        raise RequestInvalid(
            f"the request is no {kind}", cause=str(exc), remedy="send a message of the protocol"
        ) from exc


async def _in_time(given: Awaitable[Any], deadline: Deadline, cause: str = "") -> Any:
    """Wait for something no longer than the request may take. Raises DeadlineMissed."""
    left = deadline.left()
    if left is None:
        return await given
    try:
        return await asyncio.wait_for(given, left)
    except TimeoutError:
        raise missed(cause) from None


async def _on_disk(kept: Awaitable[str], deadline: Deadline) -> None:
    """Wait until the record is on the disk. Raises Overloaded when it is not, DeadlineMissed."""
    problem = await _in_time(kept, deadline, "its record is being written and may count")
    if problem:
        raise Overloaded(
            "the answer could not be recorded",
            cause=problem,
            remedy="send it again with the same noria-request-key: it is recorded once",
        )
