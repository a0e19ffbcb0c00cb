"""Counts and latencies of this worker in the Prometheus text format, kept as plain integers: a few hundred nanoseconds a request.

The Telemetry port serves the control plane; a request has no time for it. Written by answering and app, read at GET /metrics.
"""

from bisect import bisect_left
from collections.abc import Mapping

from noria.serving.live import Live
from noria.serving.record import RingStatus

BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class _Series:
    """Answers of one (deployment, variant, protocol)."""

    __slots__ = ("buckets", "rows", "seconds", "unseen")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0
        self.rows = 0
        self.unseen = 0


class Metrics:
    """All series of one worker. Labels come from what is served, never from what was asked for, so there are few of them."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str], _Series] = {}
        self._errors: dict[tuple[str, str, int], int] = {}

    def answered(self, key: tuple[str, str, str], *, seconds: float, rows: int, unseen: int) -> None:
        """Count one answer. key: (deployment, variant, protocol). unseen: text values that training never saw."""
        series = self._answers.get(key)
        if series is None:
            series = self._answers.setdefault(key, _Series())
        series.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        series.seconds += seconds
        series.rows += rows
        series.unseen += unseen

    def refused(self, deployment: str, *, protocol: str, status: int) -> None:
        """Count one request that was not answered. deployment: '' if none of that name is served."""
        key = (deployment, protocol, status)
        self._errors[key] = self._errors.get(key, 0) + 1

    def exposition(self, ring: RingStatus, live: list[Live]) -> bytes:
        """Everything, as Prometheus reads it."""
        lines: list[str] = []
        self._requests(lines)
        self._seconds(lines)
        _family(lines, "noria_rows_total", "counter", "Rows answered.")
        for key, series in self._answers.items():
            lines.append(f"noria_rows_total{_labels(*key)} {series.rows}")
        _family(
            lines, "noria_unseen_values_total", "counter", "Text values that training never saw; they were answered."
        )
        for key, series in self._answers.items():
            lines.append(f"noria_unseen_values_total{_labels(*key)} {series.unseen}")
        _family(lines, "noria_generation", "gauge", "Generation of the deployment that is live.")
        for one in live:
            lines.append(f"noria_generation{_braces({'deployment': one.deployment})} {one.generation}")
        for name, kind, text, value in (
            ("noria_ring_rows", "gauge", "Rows that wait to be written to the prediction log.", ring.depth),
            ("noria_ring_capacity_rows", "gauge", "Rows that may wait.", ring.capacity),
            ("noria_log_rows_written_total", "counter", "Rows written to the prediction log.", ring.written),
            (
                "noria_log_rows_dropped_total",
                "counter",
                "Rows answered and not recorded, because the ring was full.",
                ring.dropped,
            ),
            ("noria_log_rows_refused_total", "counter", "Rows not answered, because the ring was full.", ring.refused),
            (
                "noria_log_failures_total",
                "counter",
                "Writes to the prediction log that failed and were repeated.",
                ring.failures,
            ),
        ):
            _family(lines, name, kind, text)
            lines.append(f"{name} {value}")
        return ("\n".join(lines) + "\n").encode()

    def _requests(self, lines: list[str]) -> None:
        _family(lines, "noria_requests_total", "counter", "Requests by outcome.")
        for (deployment, variant, protocol), series in self._answers.items():
            labels = {"deployment": deployment, "variant": variant, "protocol": protocol, "status": "200"}
            lines.append(f"noria_requests_total{_braces(labels)} {sum(series.buckets)}")
        for (deployment, protocol, status), count in self._errors.items():
            labels = {"deployment": deployment, "variant": "", "protocol": protocol, "status": str(status)}
            lines.append(f"noria_requests_total{_braces(labels)} {count}")

    def _seconds(self, lines: list[str]) -> None:
        _family(lines, "noria_request_seconds", "histogram", "From the body read to the answer made.")
        for key, series in self._answers.items():
            below = 0
            for bound, count in zip((*BOUNDS_S, "+Inf"), series.buckets, strict=True):
                below += count
                lines.append(f"noria_request_seconds_bucket{_labels(*key, le=str(bound))} {below}")
            lines.append(f"noria_request_seconds_sum{_labels(*key)} {series.seconds!r}")
            lines.append(f"noria_request_seconds_count{_labels(*key)} {below}")


def _family(lines: list[str], name: str, kind: str, text: str) -> None:
    lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _labels(deployment: str, variant: str, protocol: str, **more: str) -> str:
    return _braces({"deployment": deployment, "variant": variant, "protocol": protocol, **more})


def _braces(labels: Mapping[str, str]) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(quoted) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
