"""What a worker counts of itself, for GET /metrics: requests, latencies, bytes, the ring, loads. Written by answering, app and app/worker.

Numbers lie in shared_metrics, so that any process of several answers for all; the text is wire/exposition.
"""

import json
import os
from bisect import bisect_left
from collections.abc import Callable
from math import inf
from pathlib import Path
from threading import Event, Lock, Thread
from time import time
from typing import Any

import msgspec

from noria.domain.measurement import Exemplar, Family, Histogram, Kind, Labels
from noria.server.gpu_metrics import Gpus
from noria.server.host_metrics import host_families
from noria.server.inference.limits import Gate
from noria.server.inference.shared_metrics import Kept, Numbers, Shared
from noria.server.process_metrics import build_info, process_families
from noria.serving.live import Live
from noria.serving.record import RingStatus
from noria.wire.exposition import expose

Key = tuple[str, int, str, str]
"""(deployment, number of the version, variant, protocol) of an answer."""

BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LONG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""For what is observed by name: loads take longer than answers."""
PUBLISH_S = 0.5
"""How old the ring and the generation of another process may be."""
SERIES_LIMIT = 2_000
_BUCKETS = len(BOUNDS_S) + 1
_SECONDS, _ROWS, _UNSEEN = _BUCKETS, _BUCKETS + 1, _BUCKETS + 2

HELP: dict[str, tuple[Kind, str]] = {
    "noria_requests_total": ("counter", "Requests by outcome."),
    "noria_request_seconds": ("histogram", "From the body read to the answer made."),
    "noria_rows_total": ("counter", "Rows answered."),
    "noria_unseen_values_total": ("counter", "Text values that training never saw; they were answered."),
    "noria_requests_shed_total": ("counter", "Requests refused because the worker had too much to do."),
    "noria_request_bytes_total": ("counter", "Bytes of requests for predictions, as they came."),
    "noria_response_bytes_total": ("counter", "Bytes of predictions, as they left."),
    "noria_requests_in_flight": ("gauge", "Requests that are being read, wait or are being answered."),
    "noria_requests_in_flight_bytes": ("gauge", "Bytes of the bodies of requests in flight."),
    "noria_ring_rows": ("gauge", "Rows that wait to be written to the prediction log."),
    "noria_ring_capacity_rows": ("gauge", "Rows that may wait."),
    "noria_log_rows_written_total": ("counter", "Rows written to the prediction log."),
    "noria_log_rows_dropped_total": ("counter", "Rows answered and not recorded, because the ring was full."),
    "noria_log_rows_refused_total": ("counter", "Rows not answered, because the ring was full."),
    "noria_log_failures_total": ("counter", "Writes to the prediction log that failed and were repeated."),
    "noria_generation": ("gauge", "Generation of the deployment that every process answers with."),
    "noria_model_load_seconds": ("histogram", "Time to fetch, verify and load a bundle."),
    "noria_model_load_failures_total": ("counter", "Generations of a deployment that could not be loaded."),
    "noria_processes": ("gauge", "Worker processes that live."),
    "noria_shadow_requests_total": ("counter", "Copies of requests that shadows answered, by outcome."),
    "noria_shadow_dropped_total": ("counter", "Copies of requests that no shadow got, because others waited."),
}
"""Every name that a worker counts. What is counted by name (Telemetry) and is not here gets its help from the name."""
_IN_FLIGHT = ("noria_requests_in_flight", "noria_requests_in_flight_bytes")
_RING = ("noria_ring_rows", "noria_ring_capacity_rows")
_LOG = (
    "noria_log_rows_written_total",
    "noria_log_rows_dropped_total",
    "noria_log_rows_refused_total",
    "noria_log_failures_total",
)


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered with one version by all processes, in every protocol. last: when, in seconds since 1970; 0: by no process that lives."""

    requests: int = 0
    rows: int = 0
    seconds: float = 0.0
    last: float = 0.0


class Metrics:
    """All series of one worker; a Telemetry for what happens seldom. Labels come from what is served, never from what was asked, so they are few.

    `answered` and its like are called from the event loop only; `count`, `observe` and `set` for one name from one thread.
    """

    def __init__(self, shared: Shared | None = None, *, home: Path | None = None) -> None:
        """shared: with the other processes of this worker; by default this one is alone. home: the project's, whose disk is told of."""
        self._shared = shared or Shared(None, os.getpid())
        self._home, self._gpus = home, Gpus()
        self._answers: dict[Key, Numbers] = {}
        self._carried: dict[tuple[str, str], Numbers] = {}
        self._named: dict[tuple[str, Labels], Numbers] = {}
        self._last: dict[tuple[str, int], Numbers] = {}
        self._exemplars: dict[Key, list[Exemplar | None]] = {}
        self._in_flight = self._slots(["in flight"], len(_IN_FLIGHT), kept="live")
        self._ring = self._slots(["ring"], len(_RING), kept="live")
        self._log = self._slots(["log"], len(_LOG))
        self._generations: dict[str, Numbers] = {}
        self._publish: Callable[[], None] = lambda: None
        self._publishing = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    def answered(self, key: Key, *, seconds: float, rows: int, unseen: int) -> None:
        """Count one answer. unseen: text values that training never saw."""
        series = self._answers.get(key)
        if series is None:
            series = self._answers[key] = self._slots(["answers", *key], _BUCKETS + 3)
        series[bisect_left(BOUNDS_S, seconds)] += 1.0
        series[_SECONDS] += seconds
        series[_ROWS] += rows
        if unseen:
            series[_UNSEEN] += unseen
        last = self._last.get(key[:2])
        if last is None:
            last = self._last[key[:2]] = self._slots(["last", *key[:2]], 1, kept="least")
        last[0] = -time()

    def exemplar(self, key: Key, *, seconds: float, trace_id: str) -> None:
        """Show the trace of an answer beside its bucket, to who asks for OpenMetrics; the last one a bucket, of this process."""
        place = bisect_left(BOUNDS_S, seconds)
        self._exemplars.setdefault(key, [None] * _BUCKETS)[place] = Exemplar(trace_id, seconds, time())

    def refused(self, deployment: str, *, protocol: str, status: int, shed: bool = False) -> None:
        """Count one request that was not answered. deployment: '' if none of that name is served. shed: there was too much to do."""
        self._slots(["refused", deployment, protocol, status], 1)[0] += 1.0
        if shed:
            self.count("noria_requests_shed_total", deployment=deployment, protocol=protocol)

    def carried(self, deployment: str, protocol: str, *, received: int, sent: int) -> None:
        """Count the bytes of a request for predictions and of its answer."""
        series = self._carried.get((deployment, protocol))
        if series is None:
            series = self._slots(["carried", deployment, protocol], 2)
            self._carried[deployment, protocol] = series
        series[0] += received
        series[1] += sent

    def count(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """See ports/telemetry; the name ends in `_total`."""
        self._by_name(name, labels, 1)[0] += amount

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """See ports/telemetry; 10 ms to a minute."""
        held = self._by_name(name, labels, len(LONG_S) + 2)
        held[bisect_left(LONG_S, value)] += 1.0
        held[-1] += value

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """See ports/telemetry; summed over processes that live."""
        self._by_name(name, labels, 1, kept="live")[0] = value

    def follow(self, ring: Callable[[], RingStatus], live: Callable[[], list[Live]], gate: Gate) -> None:
        """Where the state of the ring, the board and the gate is read: at each scrape, and where others answer for this process twice a second."""

        def publish() -> None:
            with self._publishing:  # a scrape, the next process's and a collector's ask from threads of their own
                _publish()

        def _publish() -> None:
            status = ring()
            self._in_flight[0], self._in_flight[1] = gate.requests, gate.bytes
            self._ring[0], self._ring[1] = status.depth, status.capacity
            for place, value in enumerate((status.written, status.dropped, status.refused, status.failures)):
                self._log[place] = value
            for held in self._generations.values():
                held[0] = inf  # not live here
            for one in live():
                if one.deployment not in self._generations:
                    self._generations[one.deployment] = self._slots(["generation", one.deployment], 1, kept="least")
                self._generations[one.deployment][0] = one.generation

        self._publish = publish
        if not self._shared.is_alone:
            self._thread = Thread(target=self._repeat, name="noria-metrics", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Publish a last time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._publish()

    def tallies(self) -> tuple[dict[tuple[str, int], Tally], dict[str, int]]:
        """What was answered, by deployment and number of the version, and how many requests of each deployment were refused; of all processes."""
        answered: dict[tuple[str, int], Tally] = {}
        refused: dict[str, int] = {}
        for raw, values in self._shared.total().items():
            match json.loads(raw):
                case ["answers", str(deployment), int(number), _, _]:
                    held = answered.get((deployment, number), Tally())
                    answered[deployment, number] = msgspec.structs.replace(
                        held,
                        requests=held.requests + int(sum(values[:_BUCKETS])),
                        rows=held.rows + int(values[_ROWS]),
                        seconds=held.seconds + values[_SECONDS],
                    )
                case ["last", str(deployment), int(number)]:
                    held = answered.get((deployment, number), Tally())
                    answered[deployment, number] = msgspec.structs.replace(held, last=-values[0])
                case ["refused", str(deployment), *_]:
                    refused[deployment] = refused.get(deployment, 0) + int(values[0])
        return answered, refused

    def exposition(self, *, openmetrics: bool = False) -> str:
        """See ports/telemetry: everything, of all processes."""
        return expose(self.families(), openmetrics=openmetrics)

    def families(self) -> list[Family]:
        """See ports/telemetry: everything, of all processes."""
        self._publish()
        pids = self._shared.pids()
        samples: dict[str, list[tuple[Labels, float | Histogram]]] = {name: [] for name in HELP}
        for raw, values in self._shared.total().items():
            self._put(samples, json.loads(raw), values)
        samples["noria_processes"].append(((), float(len(pids))))
        families = [
            Family(name, *HELP.get(name, (_kind(name, held), _help(name))), held)
            for name, held in samples.items()
            if held
        ]
        processes = process_families(None if self._shared.is_alone else pids)
        machine = [*host_families(self._home), *self._gpus.families()]
        return [build_info(), *families, *processes, *machine]

    def _put(
        self, samples: dict[str, list[tuple[Labels, float | Histogram]]], name: list[Any], values: list[float]
    ) -> None:
        """One name of the shared counts, as the samples of its families."""
        match name:
            case ["answers", str(deployment), int(number), str(variant), str(protocol)]:
                labels = _labels(deployment, str(number), variant, protocol)
                exemplars = self._exemplars.get((deployment, number, variant, protocol), ())
                counts = values[:_BUCKETS]
                samples["noria_requests_total"].append(((*labels, ("status", "200")), sum(counts)))
                held = Histogram(BOUNDS_S, counts, values[_SECONDS], exemplars)
                samples["noria_request_seconds"].append((labels, held))
                samples["noria_rows_total"].append((labels, values[_ROWS]))
                samples["noria_unseen_values_total"].append((labels, values[_UNSEEN]))
            case ["refused", str(deployment), str(protocol), int(status)]:
                labels = (*_labels(deployment, "", "", protocol), ("status", str(status)))
                samples["noria_requests_total"].append((labels, values[0]))
            case ["carried", str(deployment), str(protocol)]:
                labels = (("deployment", deployment), ("protocol", protocol))
                samples["noria_request_bytes_total"].append((labels, values[0]))
                samples["noria_response_bytes_total"].append((labels, values[1]))
            case ["in flight"] | ["ring"] | ["log"]:
                names = {"in flight": _IN_FLIGHT, "ring": _RING, "log": _LOG}[name[0]]
                for family, value in zip(names, values, strict=True):
                    samples[family].append(((), value))
            case ["generation", str(deployment)] if values[0] < inf:
                samples["noria_generation"].append(((("deployment", deployment),), values[0]))
            case [str(family), *pairs] if family not in ("generation", "last"):
                sample = values[0] if len(values) == 1 else Histogram(LONG_S, values[:-1], values[-1])
                samples.setdefault(family, []).append((tuple((key, value) for key, value in pairs), sample))

    def _by_name(self, name: str, labels: dict[str, str], count: int, *, kept: Kept = "sum") -> Numbers:
        key = (name, tuple(sorted(labels.items())))
        held = self._named.get(key)
        if held is None:
            if len(self._named) >= SERIES_LIMIT:
                return memoryview(bytearray(8 * count)).cast("d")  # labels without end do not fill the memory
            held = self._named[key] = self._slots([name, *key[1]], count, kept=kept)
        return held

    def _slots(self, name: list[object], count: int, *, kept: Kept = "sum") -> Numbers:
        return self._shared.slots(json.dumps(name), count, kept=kept)

    def _repeat(self) -> None:
        while not self._stop.wait(PUBLISH_S):
            self._publish()


def _labels(deployment: str, version: str, variant: str, protocol: str) -> Labels:
    return (("deployment", deployment), ("version", version), ("variant", variant), ("protocol", protocol))


def _kind(name: str, held: list[tuple[Labels, float | Histogram]]) -> Kind:
    if isinstance(held[0][1], Histogram):
        return "histogram"
    return "counter" if name.endswith("_total") else "gauge"


def _help(name: str) -> str:
    return name.removeprefix("noria_").removesuffix("_total").replace("_", " ").capitalize() + "."
