"""Copies of requests for models in the shadow: answered by one thread after the caller has gone, kept beside the answer, seen by nobody.

The queue is short and never waited for: what does not fit is dropped and counted. Called by server/inference/answering; what shadows said is read by
app/shadow and loop/stages.
"""

import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime
from threading import Event, Lock, Thread
from time import perf_counter_ns

import msgspec

from noria.domain.ids import RolloutId
from noria.domain.prediction import PredictionRecord
from noria.errors import NoriaError, Overloaded
from noria.ports.flavor import Columns
from noria.ports.telemetry import Telemetry
from noria.serving.columns import to_lists
from noria.serving.live import Live, Served
from noria.serving.predict import answered_rows
from noria.serving.record import Recorder
from noria.serving.route import position

MOST_WAITING = 256
"""Copies that may wait: some tenths of a second of work; a shadow that is slower than its champion for long gets fewer copies."""
MOST_ROWS = 20_000
LINGER_S = 0.002
"""How long the thread waits before it begins, so that answers under way are sent first."""

log = logging.getLogger(__name__)


class Copy(msgspec.Struct, frozen=True, gc=False):
    """A request that was answered, for its shadows. columns: reads it for a shadow's signature, checked; raises RequestInvalid.

    before_us: what reading the request cost the one who answered, so that latencies can be compared.
    """

    live: Live
    request_id: str
    at: datetime
    protocol: str
    rows: int
    before_us: int
    columns: Callable[[Served], Columns]


class ShadowStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Requests copied to shadows by this process. waiting: now."""

    answered: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0


class Shadows:
    """Answers copies in a thread of its own, which starts with the first one."""

    def __init__(
        self, recorder: Recorder, *, telemetry: Telemetry | None = None, most_waiting: int = MOST_WAITING
    ) -> None:
        self._recorder, self._telemetry, self._most_waiting = recorder, telemetry, most_waiting
        self._queue: deque[Copy] = deque()
        self._filled, self._end = Event(), Event()
        self._idle = Event()
        self._idle.set()
        self._lock = Lock()
        self._rows = self._answered = self._failed = self._dropped = 0
        self._dropped_of: dict[str, int] = {}
        self._closing = False
        self._thread: Thread | None = None

    def offer(self, copy: Copy) -> None:
        """Take a copy if there is room; it costs about a microsecond and never waits for a model."""
        with self._lock:
            if len(self._queue) >= self._most_waiting or (self._queue and self._rows + copy.rows > MOST_ROWS):
                held, name = self._dropped_of, copy.live.deployment
                self._dropped += 1
                held[name] = held.get(name, 0) + 1
                return
            self._rows += copy.rows
            self._queue.append(copy)
            self._idle.clear()
            if self._thread is None:
                self._thread = Thread(target=self._work, name="noria-shadow", daemon=True)
                self._thread.start()
        if not self._filled.is_set():
            self._filled.set()

    def wait(self, *, seconds: float = 10.0) -> bool:
        """Wait until every copy taken so far is answered and on its way to the log."""
        return self._idle.wait(seconds)

    def status(self) -> ShadowStatus:
        """Counts, at this moment."""
        return ShadowStatus(
            answered=self._answered, failed=self._failed, dropped=self._dropped, waiting=len(self._queue)
        )

    def close(self, *, seconds: float = 2.0) -> None:
        """Answer what waits, as far as that is done within some seconds; the rest is dropped."""
        self.wait(seconds=seconds)
        self._closing = True
        self._end.set()
        self._filled.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _work(self) -> None:
        while not self._closing:
            self._filled.wait()
            self._filled.clear()
            self._end.wait(LINGER_S)
            while self._queue and not self._closing:
                copy = self._queue[0]
                for served in copy.live.shadows:
                    if is_copied(copy.request_id, served):
                        self._answer(copy, served)
                with self._lock:
                    self._queue.popleft()
                    self._rows -= copy.rows
                    if not self._queue:
                        self._idle.set()
            self._tell_dropped()
        with self._lock:
            self._dropped += len(self._queue)
            self._queue.clear()
            self._idle.set()

    def _answer(self, copy: Copy, served: Served) -> None:
        """Ask one shadow, and offer what it said, or why it could not, to the log."""
        began = perf_counter_ns()
        try:
            outputs = served.predictor.predict(copy.columns(served))
            answered_rows(served, outputs, copy.rows)
            values = to_lists(outputs, served.signature.outputs)
            passed = copy.before_us + (perf_counter_ns() - began) // 1000
            record = _record(copy, served, passed)
            record = msgspec.structs.replace(record, outputs=values)
        except Exception as error:  # noqa: BLE001 - whatever a model in the shadow raises is recorded, and is nobody's failure but its own
            passed = copy.before_us + (perf_counter_ns() - began) // 1000
            record = msgspec.structs.replace(_record(copy, served, passed), kind="failure", error=error_line(error))
        failed = record.kind == "failure"
        try:
            self._recorder.offer(record)
        except Overloaded:
            with self._lock:
                self._dropped += 1
            return
        self._answered += not failed
        self._failed += failed
        if self._telemetry is not None:
            self._telemetry.count(
                "noria_shadow_requests_total",
                deployment=copy.live.deployment,
                version=str(served.variant.number),
                variant=served.variant.name,
                outcome="failed" if failed else "answered",
            )

    def _tell_dropped(self) -> None:
        if self._telemetry is None or not self._dropped_of:
            return
        with self._lock:
            told, self._dropped_of = self._dropped_of, {}
        for deployment, count in told.items():
            self._telemetry.count("noria_shadow_dropped_total", float(count), deployment=deployment)


def is_copied(request_id: str, served: Served) -> bool:
    """Whether a shadow gets a copy of this request: its weight is the share that does, drawn by the id and apart from routing."""
    variant = served.variant
    return variant.weight >= 1 or position(request_id, salt=f"shadow:{variant.name}") < variant.weight


def error_line(error: BaseException) -> str:
    """What a failure's record says: at most 200 characters.

    >>> error_line(ValueError("no such thing"))
    'ValueError: no such thing'
    """
    said = error.headline() if isinstance(error, NoriaError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:200]


def _record(copy: Copy, served: Served, latency_us: int) -> PredictionRecord:
    variant, live = served.variant, copy.live
    rollout: RolloutId | None = live.rollout
    return PredictionRecord(
        request_id=copy.request_id,
        deployment=live.deployment,
        variant=variant.name,
        model=variant.model,
        number=variant.number,
        bundle=variant.bundle,
        generation=live.generation,
        at=copy.at,
        latency_us=latency_us,
        protocol=copy.protocol,
        rows=copy.rows,
        inputs={},
        outputs={},
        rollout=rollout,
        kind="shadow",
        weight=min(1.0, variant.weight),
    )
