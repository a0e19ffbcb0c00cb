"""Counters and histograms in this process, given out in the Prometheus text format. Nothing is sent anywhere (ADR 11). Loaded by app/plugins.

Histograms have fixed buckets by unit: names in `_seconds` 50 us to 60 s, in `_bytes` 256 B to 1 GiB, others 1-2-5 from 0.001 to 1000.
"""

import math
import re
from bisect import bisect_left
from threading import Lock

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

Labels = tuple[tuple[str, str], ...]


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
        self._counters: dict[str, dict[Labels, float]] = {}
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
            if not math.isfinite(value) or metric in self._counters or not self._room(self._histograms, metric, key):
                self._dropped += 1
                return
            held = self._histograms.setdefault(metric, {}).setdefault(key, [0.0] * (len(edges) + 2))
            held[bisect_left(edges, value)] += 1  # one place a bucket, then the one above all edges, then the sum
            held[-1] += value

    def exposition(self) -> str:
        """See ports/telemetry. Metrics by name, series by labels."""
        with self._lock:
            counters = {name: dict(series) for name, series in self._counters.items()}
            histograms = {
                name: {key: list(held) for key, held in series.items()} for name, series in self._histograms.items()
            }
            counters[LOST] = {(): float(self._dropped)}
        lines = []
        for name in sorted(counters.keys() | histograms.keys()):
            kind = "counter" if name in counters else "histogram"
            lines += [f"# HELP {name} {_help(name)}", f"# TYPE {name} {kind}"]
            if name in counters:
                lines += [f"{name}{_braces(key)} {_number(value)}" for key, value in sorted(counters[name].items())]
            else:
                lines += [
                    line for key, held in sorted(histograms[name].items()) for line in _histogram(name, key, held)
                ]
        return "\n".join(lines) + "\n"

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


def _histogram(name: str, key: Labels, held: list[float]) -> list[str]:
    lines, total = [], 0.0
    for edge, count in zip((*buckets(name), math.inf), held[:-1], strict=True):
        total += count
        lines.append(f"{name}_bucket{_braces((*key, (_OWN_LABEL, _number(edge))))} {_number(total)}")
    return [*lines, f"{name}_sum{_braces(key)} {_number(held[-1])}", f"{name}_count{_braces(key)} {_number(total)}"]


def _braces(key: Labels) -> str:
    if not key:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in key) + "}"


def _escaped(value: str) -> str:
    return value.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _help(name: str) -> str:
    """What a metric is, from its name: `noria_decode_seconds` is 'decode, in seconds'."""
    words = name.removeprefix("noria_").removesuffix("_total")
    for unit in ("seconds", "bytes"):
        if words.endswith(f"_{unit}"):
            return f"{words.removesuffix(f'_{unit}').replace('_', ' ')}, in {unit}"
    return words.replace("_", " ").strip() or name
