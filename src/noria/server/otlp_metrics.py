"""Everything of GET /metrics to an OpenTelemetry collector as well, once a minute. Off unless the environment names one (otel).

Names are Prometheus's without `_total`; units stand in the unit, too. Sums and histograms are cumulative. Used by the worker and the control plane.
"""

import logging
import math
import os
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import time_ns
from typing import TYPE_CHECKING, Any

from noria import __version__
from noria.domain.measurement import Family, Histogram, Labels
from noria.errors import NoriaError, SettingInvalid
from noria.server.otel import is_wanted, packages_missing, resource
from noria.server.process_metrics import started_ns

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import Metric, MetricsData
    from opentelemetry.sdk.resources import Resource

log = logging.getLogger(__name__)

INTERVAL, INTERVAL_MS = "OTEL_METRIC_EXPORT_INTERVAL", 60_000.0
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
UNITS = {"_seconds": "s", "_bytes": "By", "_ratio": "1"}
LEAVE_S = 3.0
"""How long the end of a process waits for its last numbers to be taken."""


def open_pusher(families: Callable[[], list[Family]], *, service: str, counting: int = 0) -> "Pusher | None":
    """As the environment says; None while it wants no metrics. families: asked each time, from a thread of its own.

    counting: the process since whose start is counted, the parent of several that count together; 0: this one.
    Raises SettingInvalid, and ExtraMissing where metrics are wanted and the packages are not there.
    """
    if not is_wanted(os.environ, "metrics"):
        return None
    every = interval_of(os.environ.get(INTERVAL, ""))
    if (preference := os.environ.get(TEMPORALITY, "").strip().lower()) not in ("", "cumulative"):
        raise SettingInvalid(
            f"{TEMPORALITY} is {preference!r}",
            cause="what Noria counts is counted from its start",
            remedy=f"unset {TEMPORALITY}; a collector makes deltas of it (processor cumulativetodelta)",
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    except ModuleNotFoundError as exc:
        raise packages_missing("metrics") from exc
    return Pusher(
        families, OTLPMetricExporter(), resource(service), every_s=every, began=started_ns(counting or os.getpid())
    )


def interval_of(text: str) -> float:
    """Seconds between two exports. Raises SettingInvalid.

    >>> interval_of(""), interval_of("250")
    (60.0, 0.25)
    """
    try:
        every = float(text or INTERVAL_MS)
    except ValueError:
        every = 0.0
    if not 0 < every < math.inf:
        raise SettingInvalid(f"{INTERVAL} is {text!r}", remedy=f"export {INTERVAL}=60000, in milliseconds")
    return every / 1000


class Pusher:
    """Sends from a thread; a collector that is away holds up nobody, and what it missed is in the next sums."""

    def __init__(
        self,
        families: Callable[[], list[Family]],
        exporter: "OTLPMetricExporter",
        of: "Resource",
        *,
        every_s: float,
        began: int,
    ) -> None:
        self._families, self._exporter, self._of, self._every_s = families, exporter, of, every_s
        self._began = began
        self._stop = Event()
        self._thread = Thread(target=self._repeat, name="noria-otlp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send a last time, and do not wait for long."""
        self._stop.set()
        self._thread.join(LEAVE_S)
        self._exporter.shutdown()

    def _repeat(self) -> None:
        while not self._stop.wait(self._every_s):
            self._push()
        self._push()

    def _push(self) -> None:
        try:
            families = self._families()
        except NoriaError as error:  # a store that is away: the next sums have what is missed
            log.warning("nothing was sent to the collector: %s", error.headline())
            return
        held = data_of(families, self._of, began=self._began, now=time_ns())
        self._exporter.export(held)  # what goes wrong is in the log of OpenTelemetry


def data_of(families: Sequence[Family], of: "Resource", *, began: int, now: int) -> "MetricsData":
    """Families as OTLP has them. began, now: nanoseconds since 1970."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    metrics = [_metric(family, began, now) for family in families if family.samples]
    scope = ScopeMetrics(scope=InstrumentationScope("noria", __version__), metrics=metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource=of, scope_metrics=[scope], schema_url="")])


def _metric(family: Family, began: int, now: int) -> "Metric":
    from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, Metric, NumberDataPoint, Sum
    from opentelemetry.sdk.metrics.export import Histogram as Histograms

    name = family.name.removesuffix("_total") if family.kind == "counter" else family.name
    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    cumulative = AggregationTemporality.CUMULATIVE
    data: Any
    if family.kind == "histogram":
        points = [_histogram(k, v, began, now) for k, v in family.samples if isinstance(v, Histogram)]
        data = Histograms(data_points=points, aggregation_temporality=cumulative)
    else:
        start = began if family.kind == "counter" else None
        numbers = [
            NumberDataPoint(attributes=dict(k), start_time_unix_nano=start, time_unix_nano=now, value=float(v))  # type: ignore[arg-type]
            for k, v in family.samples
            if not isinstance(v, Histogram)
        ]
        data = (
            Sum(data_points=numbers, aggregation_temporality=cumulative, is_monotonic=True)
            if family.kind == "counter"
            else Gauge(data_points=numbers)
        )
    return Metric(name=name, description=family.help, unit=unit, data=data)


def _histogram(labels: Labels, held: Histogram, began: int, now: int) -> Any:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint

    counts = [int(count) for count in held.counts]
    return HistogramDataPoint(
        attributes=dict(labels),
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=sum(counts),
        sum=held.sum,
        bucket_counts=counts,
        explicit_bounds=list(held.bounds),
        min=None,  # type: ignore[arg-type] # both are optional in OTLP; we do not keep them
        max=None,  # type: ignore[arg-type]
    )
