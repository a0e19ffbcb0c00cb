"""What the control plane says of itself at GET /metrics: requests and latencies by family of route, writes of clients, ledger, loop, webhooks.

Kept by the workspace's Telemetry (adapters/telemetry). A worker's own is server/inference/metrics. Called by app.py and front.py.
"""

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import Any, cast

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from noria.app.error_groups import count_errors
from noria.app.workspace import Workspace
from noria.domain.ids import RunId, WebhookId
from noria.domain.measurement import Family
from noria.domain.run import Metric, Run, RunBatch
from noria.errors import NotFound
from noria.ports.metadata import Metadata
from noria.ports.runs import RunStore
from noria.ports.telemetry import Telemetry
from noria.server.control.watching import Told, watching_families
from noria.server.gpu_metrics import Gpus
from noria.server.host_metrics import host_families
from noria.server.process_metrics import build_info, process_families
from noria.wire.exposition import OPENMETRICS_TYPE, TEXT_TYPE, expose, wants_openmetrics

access = logging.getLogger("noria.access")
LOOP = "wheel"
"""The loop's name as a reader of the ledger (loop/reactor)."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MOST_FAMILIES = 200
MLFLOW = ("api/2.0/mlflow/", "api/3.0/mlflow/", "api/2.0mlflow/", "ajax-api/2.0/mlflow/", "ajax-api/3.0/mlflow/")


@get("/metrics", sync_to_thread=True, include_in_schema=False)
def metrics(request: Request[Any, Any, Any], measurements: NamedDependency["Measurements"]) -> Response[bytes]:
    """Everything, as Prometheus reads it; the state of the stores as it is now."""
    openmetrics = wants_openmetrics(request.headers.get("accept", ""))
    content = expose(measurements.families(), openmetrics=openmetrics).encode()
    # As a header: a media type of text would be given its charset a second time.
    return Response(content, headers={"content-type": OPENMETRICS_TYPE if openmetrics else TEXT_TYPE})


class Measurements:
    """Everything that the control plane of one workspace says of itself."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._told = Told()
        self._gpus = Gpus()
        count_errors(workspace.telemetry)

    def families(self) -> list[Family]:
        """All families as they are now."""
        telemetry = self._workspace.telemetry
        _observe(self._workspace, telemetry)
        watching = watching_families(self._workspace, self._told)
        machine = [*host_families(self._workspace.home), *self._gpus.families()]
        return [build_info(), *process_families(), *machine, *watching, *telemetry.families()]


def timed(app: ASGIApp, telemetry: Telemetry) -> ASGIApp:
    """The same application, counting its requests and how long they take to the last byte of the answer (streams of changes are counted only)."""
    known: set[str] = set()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        began, status = perf_counter(), 500
        is_stream = False

        async def told(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = any(value.startswith(b"text/event-stream") for name, value in message["headers"])
            await send(message)

        try:
            await app(scope, receive, told)
        finally:
            family = family_of(scope["path"], status, known)
            method = str(scope["method"]) if scope["method"] in METHODS else "other"
            telemetry.count("noria_http_requests_total", family=family, method=method, status=str(status))
            took = perf_counter() - began
            if not is_stream:
                telemetry.observe("noria_http_request_seconds", took, family=family)
            if access.isEnabledFor(logging.INFO):
                said = {
                    "http.request.method": method,
                    "url.path": scope["path"],
                    "http.response.status_code": status,
                    "event.duration": round(took * 1e9),
                }
                access.info("%s %s %d", method, scope["path"], status, extra=said)

    return answer


def family_of(path: str, status: int, known: set[str]) -> str:
    """A route's family: the protocol, and the noun in it once a request about it was answered well; so callers cannot make up families.

    >>> known: set[str] = set()
    >>> family_of("/api/v1/made-up", 404, known), family_of("/api/v1/runs/r1", 200, known), family_of("/api/v1/runs/r2", 404, known)
    ('rest', 'rest runs', 'rest runs')
    >>> family_of("/api/2.0/mlflow/runs/log-batch", 200, known), family_of("/models/late", 200, known)
    ('mlflow runs', 'pages')
    """
    rest = path.removeprefix("/")
    for prefix in MLFLOW:
        if rest.startswith(prefix):
            protocol, rest = "mlflow", rest[len(prefix) :]
            break
    else:
        if not rest.startswith("api/v1/"):
            return "metrics" if path == "/metrics" else "mlflow" if rest.startswith(("api/", "ajax-api/")) else "pages"
        protocol, rest = "rest", rest[len("api/v1/") :]
    family = f"{protocol} {rest.partition('/')[0]}"
    if family not in known and (status >= 400 or len(known) >= MOST_FAMILIES):
        return protocol
    known.add(family)
    return family


def measured(metadata: Metadata, telemetry: Telemetry) -> Metadata:
    """The same stores, counting what is written to runs."""
    return cast(Metadata, _Measured(metadata, telemetry))


class _Measured:
    """Hands everything on. metadata: asked anew each time, because a workspace may exchange its stores."""

    def __init__(self, metadata: Metadata, telemetry: Telemetry) -> None:
        self._metadata = metadata
        self._telemetry = telemetry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metadata, name)

    @property
    def runs(self) -> RunStore:
        """See Metadata."""
        return cast(RunStore, _Runs(self._metadata.runs, self._telemetry))


class _Runs:
    """Counts what was written without an error; the rest is handed on."""

    def __init__(self, runs: RunStore, telemetry: Telemetry) -> None:
        self._runs = runs
        self._telemetry = telemetry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs, name)

    def create(self, run: Run) -> Run:
        """See RunStore."""
        created = self._runs.create(run)
        self._telemetry.count("noria_runs_begun_total")
        return created

    def log(self, batch: RunBatch) -> None:
        """See RunStore."""
        self._runs.log(batch)
        self._points(len(batch.metrics))

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        """See RunStore."""
        self._runs.log_metrics(run_id, points)
        self._points(len(points))

    def _points(self, count: int) -> None:
        if count:
            self._telemetry.count("noria_points_written_total", count)


def _observe(workspace: Workspace, telemetry: Telemetry) -> None:
    """What is not counted but is so now."""
    ledger = workspace.ledger
    newest = ledger.head().seq
    telemetry.set("noria_ledger_entries", newest)
    telemetry.set("noria_loop_behind_entries", newest - ledger.cursor(LOOP).seq)
    telemetry.set("noria_store_writes_waiting", workspace.waiting())
    feed = workspace.feed
    until = feed.newest()
    behind = [until - _told(workspace, webhook.id) for webhook in feed.webhooks() if webhook.active]
    telemetry.set("noria_webhooks", len(behind))
    telemetry.set("noria_webhook_behind_changes", max(behind, default=0))


def _told(workspace: Workspace, webhook: WebhookId) -> int:
    try:
        return workspace.feed.delivered(webhook)
    except NotFound:  # dropped since they were listed
        return workspace.feed.newest()
