"""An OTLP collector as far as a test needs one: takes POST /v1/traces and /v1/metrics over HTTP, read with OpenTelemetry's own protobuf classes."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Collector:
    """What was received. spans: in order; headers: of the last request. metrics: the last ones, by name; took: how often; senders: from whom."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.metrics: dict[str, Any] = {}
        self.metrics_resource: dict[str, Any] = {}
        self.took = 0
        self.senders: set[str] = set()
        self.is_away = False

    def received_metrics(self, headers: dict[str, str], body: bytes) -> bytes:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
            ExportMetricsServiceRequest,
            ExportMetricsServiceResponse,
        )

        (group,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
        self.metrics_resource = attributes_of(group.resource)
        self.metrics = {metric.name: metric for scope in group.scope_metrics for metric in scope.metrics}
        self.took += 1
        self.senders.add(self.metrics_resource["service.instance.id"])
        return ExportMetricsServiceResponse().SerializeToString()

    def received(self, headers: dict[str, str], body: bytes) -> bytes:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
            ExportTraceServiceResponse,
        )

        self.headers = headers
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(attributes_of(group.resource))
            for scope in group.scope_spans:
                self.spans.extend(scope.spans)
        return ExportTraceServiceResponse().SerializeToString()


def attributes_of(of: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            takes = {"/v1/traces": collector.received, "/v1/metrics": collector.received_metrics}.get(self.path)
            status = 503 if collector.is_away else 404 if takes is None else 200
            headers = {k.lower(): v for k, v in self.headers.items()}
            said = takes(headers, body) if takes is not None and status == 200 else b""
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
