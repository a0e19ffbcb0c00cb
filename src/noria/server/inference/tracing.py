"""A span for each prediction, to an OpenTelemetry collector; the caller's `traceparent` is its parent. Off unless the environment names a collector.

The variables are OpenTelemetry's own (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, ...); nothing of its packages is imported
while it is off. Called by app.
"""

import os
from collections.abc import Mapping
from functools import partial
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

from noria import __version__
from noria.domain.deployment import Variant
from noria.server.inference.codec import Headers
from noria.server.otel import is_wanted, packages_missing, resource

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SERVICE = "noria-worker"


def open_tracer() -> "Tracer | None":
    """As the environment says; None while it wants no spans. Open it in the process that answers: a thread sends them.

    Raises SettingInvalid, and ExtraMissing where spans are wanted and the packages are not there.
    """
    if not is_wanted(os.environ):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as exc:
        raise packages_missing("traces") from exc
    provider = TracerProvider(
        resource=resource(SERVICE), shutdown_on_exit=False
    )  # the sampler is what OTEL_TRACES_SAMPLER says
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider)


class Tracer:
    """Makes one span a request, when its outcome is known; sending waits for nobody and drops what a collector does not take."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("noria", __version__)
        self._extract = TraceContextTextMapPropagator().extract
        self._server = SpanKind.SERVER
        self._failed = partial(Status, StatusCode.ERROR)
        self._root = Context()

    def answered(
        self,
        headers: Headers,
        *,
        deployment: str,
        variant: Variant,
        rows: int,
        protocol: str,
        request_id: str,
        started: int,
    ) -> tuple[str, str]:
        """A prediction was made. started: perf_counter_ns when its body was there.

        Gives the answer's header `traceresponse` (W3C Trace Context 2), and the trace's id, '' if it is not sampled.
        """
        attributes: dict[str, str | int] = {
            "noria.deployment": deployment,
            "noria.model": variant.model,
            "noria.version": variant.number,
            "noria.variant": variant.name,
            "noria.rows": rows,
            "noria.protocol": protocol,
            "noria.request_id": request_id,
            "http.response.status_code": 200,
        }
        span, ended = self._begin(f"predict {deployment}", headers, attributes, started)
        span.end(ended)
        seen = span.get_span_context()
        trace_id = f"{seen.trace_id:032x}"
        sampled = seen.trace_flags.sampled
        return f"00-{trace_id}-{seen.span_id:016x}-{int(seen.trace_flags):02x}", trace_id if sampled else ""

    def refused(
        self, headers: Headers, *, deployment: str, protocol: str, status: int, problem: str, started: int
    ) -> None:
        """A prediction was not made. deployment: '' if none of that name is served. The caller's own mistake (4xx) is no error of this span."""
        attributes: dict[str, str | int] = {
            "noria.deployment": deployment,
            "noria.protocol": protocol,
            "http.response.status_code": status,
            "error.type": problem,
        }
        span, ended = self._begin(f"predict {deployment}".strip(), headers, attributes, started)
        if status >= 500:
            span.set_status(self._failed(problem))
        span.end(ended)

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()

    def _begin(
        self, name: str, headers: Headers, attributes: Mapping[str, str | int], started: int
    ) -> "tuple[Span, int]":
        """A span that began when the body was there, and the present time."""
        carrier = {key: value for key in ("traceparent", "tracestate") if (value := headers.get(key))}
        ended = time_ns()
        span = self._tracer.start_span(
            name,
            context=self._extract(carrier) if carrier else self._root,
            kind=self._server,
            attributes=attributes,
            start_time=ended - (perf_counter_ns() - started),
        )
        return span, ended
