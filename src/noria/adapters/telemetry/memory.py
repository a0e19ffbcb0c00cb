"""Counters, gauges and histograms in this process, given out as Prometheus reads them. Nothing is sent anywhere (ADR 11). Loaded by app/plugins.

Histograms have fixed buckets by unit: names in `_seconds` 50 us to 60 s, in `_bytes` 256 B to 1 GiB, others 1-2-5 from 0.001 to 1000.
"""

import math
import re
from bisect import bisect_left
from threading import Lock

from noria.domain.measurement import Family, Histogram, Labels
from noria.wire.exposition import expose

SECONDS = (
    5e-05,
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
BYTES = tuple(float(1 << power) for power in range(8, 31, 2))
OTHERS = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
    200.0,
    500.0,
    1000.0,
)
SERIES_LIMIT = 5_000
LOST = "noria_telemetry_dropped_total"

_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_A_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_OWN_LABEL = "le"

Values = dict[str, dict[Labels, float]]


def open_telemetry() -> "MemoryTelemetry":
    """Give a new, empty telemetry.

    >>> telemetry = open_telemetry()
    >>> telemetry.count("noria_turns")
    >>> print(telemetry.exposition().splitlines()[-1])
    noria_turns_total 1
    """
    return MemoryTelemetry()


class MemoryTelemetry:
    """Thread-safe; holds a lock for some hundred nanoseconds. What is not finite, counts down, or goes beyond 5,000 series is dropped and counted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: Values = {}
        self._gauges: Values = {}
        self._histograms: dict[str, dict[Labels, list[float]]] = {}
        self._series = 0
        self._dropped = 0

    def count(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """See ports/telemetry. A name without `_total` is given it."""
        key, metric = _labels(labels), counter_name(name)
        with self._lock:
            if (
                not (amount >= 0 and math.isfinite(amount))
                or metric in self._histograms
                or metric in self._gauges
                or not self._room(self._counters, metric, key)
            ):
                self._dropped += 1
                return
            series = self._counters.setdefault(metric, {})
            series[key] = series.get(key, 0.0) + amount

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """See ports/telemetry."""
        key, metric = _labels(labels), metric_name(name)
        edges = buckets(metric)
        with self._lock:
            if (
                not math.isfinite(value)
                or metric in self._counters
                or metric in self._gauges
                or not self._room(self._histograms, metric, key)
            ):
                self._dropped += 1
                return
            held = self._histograms.setdefault(metric, {}).setdefault(key, [0.0] * (len(edges) + 2))
            held[bisect_left(edges, value)] += 1  # one place a bucket, then the one above all edges, then the sum
            held[-1] += value

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """See ports/telemetry. A name must not end in `_total`, which counters do."""
        key, metric = _labels(labels), metric_name(name)
        with self._lock:
            if (
                math.isnan(value)
                or metric.endswith("_total")
                or metric in self._histograms
                or not self._room(self._gauges, metric, key)
            ):
                self._dropped += 1
                return
            self._gauges.setdefault(metric, {})[key] = value

    def families(self) -> list[Family]:
        """See ports/telemetry. By name, series by labels."""
        with self._lock:
            counters = {name: dict(series) for name, series in self._counters.items()}
            counters[LOST] = {(): float(self._dropped)}
            gauges = {name: dict(series) for name, series in self._gauges.items()}
            families = [
                Family(
                    name,
                    "histogram",
                    _help(name),
                    [
                        (key, Histogram(buckets(name), list(held[:-1]), held[-1]))
                        for key, held in sorted(series.items())
                    ],
                )
                for name, series in self._histograms.items()
            ]
        families += [Family(name, "counter", _help(name), sorted(held.items())) for name, held in counters.items()]
        families += [Family(name, "gauge", _help(name), sorted(held.items())) for name, held in gauges.items()]
        return sorted(families, key=lambda family: family.name)

    def exposition(self, *, openmetrics: bool = False) -> str:
        """See ports/telemetry."""
        return expose(self.families(), openmetrics=openmetrics)

    def _room(
        self, family: "dict[str, dict[Labels, float]] | dict[str, dict[Labels, list[float]]]", metric: str, key: Labels
    ) -> bool:
        """Whether this series exists or may still be begun."""
        if key in family.get(metric, {}):
            return True
        if self._series >= SERIES_LIMIT:
            return False
        self._series += 1
        return True


def metric_name(name: str) -> str:
    """A name that Prometheus accepts.

    >>> metric_name("1 time")
    '_1_time'
    """
    plain = _NOT_A_NAME.sub("_", name) or "unnamed"
    return f"_{plain}" if plain[0].isdigit() else plain


def counter_name(name: str) -> str:
    """The name of a counter, which ends in `_total`."""
    plain = metric_name(name)
    return plain if plain.endswith("_total") else f"{plain}_total"


def buckets(metric: str) -> tuple[float, ...]:
    """Upper edges of a histogram's buckets, without the infinite one."""
    return SECONDS if metric.endswith("_seconds") else BYTES if metric.endswith("_bytes") else OTHERS


def label_name(name: str) -> str:
    """A label that Prometheus accepts: no leading underscores, which it keeps for itself, and not `le`, which is the histograms' own.

    >>> [label_name(name) for name in ("route", "__name__", "le", "2nd-try")]
    ['route', 'name__', 'of_le', 'of_2nd_try']
    """
    plain = _NOT_A_LABEL.sub("_", name).lstrip("_")
    return f"of_{plain}" if not plain or plain[0].isdigit() or plain == _OWN_LABEL else plain


def _labels(labels: dict[str, str]) -> Labels:
    return tuple(sorted({label_name(name): str(value) for name, value in labels.items()}.items()))


def _help(name: str) -> str:
    """What a metric is, from its name: `noria_decode_seconds` is 'decode, in seconds'."""
    words = name.removeprefix("noria_").removesuffix("_total")
    for unit in ("seconds", "bytes"):
        if words.endswith(f"_{unit}"):
            return f"{words.removesuffix(f'_{unit}').replace('_', ' ')}, in {unit}"
    return words.replace("_", " ").strip() or name
