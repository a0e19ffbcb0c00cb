"""Keep every answer without making anybody wait: a bounded ring in memory, flushed in batches by one thread to a PredictionWriter.

Full: count and drop, or refuse, as set; never block. What a writer does is the predictions port. Called by server/inference; made by app/worker.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Event, Thread
from typing import Literal, Protocol

import msgspec

from noria.domain.prediction import PredictionRecord
from noria.errors import InputInvalid, NoriaError, Overloaded
from noria.ports.predictions import PredictionWriter
from noria.serving.recording import EVERYTHING, SALT_BYTES, Recording, as_set, is_kept

WhenFull = Literal["drop", "refuse"]
CAPACITY_ROWS = 200_000
LINGER_S = 0.05
RETRY_S = 0.5
BATCH_RECORDS, BATCH_ROWS = 500, 4000
"""At most this much is written as one unit: small enough to stay in the processor's cache while it is packed."""

log = logging.getLogger(__name__)


class RingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the ring stands. depth, capacity: rows; the others count rows since the start. failures: writes that failed and will be repeated.

    depth is what a kill -9 at this moment would lose: never more than capacity, and while the disk keeps up only what came within linger_s.
    sampled_out: answered and left out of the log by its sampling rate.
    """

    depth: int
    capacity: int
    written: int
    dropped: int
    refused: int
    failures: int
    problem: str = ""
    sampled_out: int = 0
    linger_s: float = 0.0


class Pending(Protocol):
    """A record that is not spelled out yet: what runs over a request's columns can wait until the answer is sent."""

    @property
    def deployment(self) -> str:
        """Whose log it goes into."""
        ...

    @property
    def request_id(self) -> str:
        """Which request it is."""
        ...

    @property
    def rows(self) -> int:
        """How many rows it has."""
        ...

    def record(self) -> PredictionRecord:
        """Spell it out. Called once from the flushing thread, again only after a write that failed."""
        ...


class Recorder:
    """Takes records from any thread and writes them soon. What was written when `flush` returns True survives a kill -9."""

    def __init__(
        self,
        open_writer: Callable[[str], PredictionWriter],
        *,
        capacity_rows: int = CAPACITY_ROWS,
        when_full: WhenFull = "drop",
        linger_s: float = LINGER_S,
        retry_s: float = RETRY_S,
        recording: Mapping[str, Recording] | None = None,
        salt: bytes = bytes(SALT_BYTES),
    ) -> None:
        """open_writer: deployment -> its writer, called once a deployment. linger_s: how long a record may wait for others to be written with.

        recording: of deployments that are not recorded whole. salt: of digests, 32 bytes.
        """
        self._open_writer = open_writer
        self._capacity = capacity_rows
        self._when_full = when_full
        self._linger_s, self._retry_s = linger_s, retry_s
        self._recording, self._salt = dict(recording or {}), salt
        self._sampled_out = 0
        self._ring: deque[tuple[int, PredictionRecord | Pending]] = deque()
        self._waiting: deque[tuple[int, Callable[[str], None]]] = deque()
        self._number = 0
        self._depth = self._written = self._dropped = self._refused = self._failures = 0
        self._problem = ""
        self._changed = Condition()
        self._filled, self._hurry = Event(), Event()
        self._closing = False
        self._writers: dict[str, PredictionWriter] = {}
        self._thread = Thread(target=self._work, name="noria-recorder", daemon=True)
        self._thread.start()

    def offer(self, record: PredictionRecord | Pending, *, then: Callable[[str], None] | None = None) -> None:
        """Take a record; it costs about a microsecond. Full: counts and drops it, or raises Overloaded. A record always fits into an empty ring.

        then: called once from the flushing thread, with '' when the record is written, or with the problem when a write failed (the record stays and
        is tried again) or the record was dropped.
        """
        if self._recording and not is_kept(self._recording.get(record.deployment, EVERYTHING), record.request_id):
            self._leave_out(record.rows, then)
            return
        with self._changed:
            if self._depth and self._depth + record.rows > self._capacity:
                if self._when_full == "refuse":
                    self._refused += record.rows
                    raise Overloaded(
                        "the prediction log is behind and its ring is full",
                        cause=self._problem or f"{self._depth} rows wait to be written",
                        remedy="try again later; nothing was recorded",
                    )
                self._dropped += record.rows
                dropped = True
            else:
                dropped = False
                self._number += 1
                self._ring.append((self._number, record))
                self._depth += record.rows
                if then is not None:
                    self._waiting.append((self._number, then))
        if dropped:
            if then is not None:
                then("the ring is full and the record was dropped")
            return
        if not self._filled.is_set():
            self._filled.set()
        if self._depth * 2 > self._capacity and not self._hurry.is_set() and not self._problem:
            self._hurry.set()  # no time to linger; but a disk that is full is asked again at its own pace

    def _leave_out(self, rows: int, then: Callable[[str], None] | None) -> None:
        with self._changed:
            self._sampled_out += rows
        if then is not None:
            then("")

    def flush(self, *, seconds: float = 10.0) -> bool:
        """Wait until everything taken before this call is written. False: it was not within that time (see `status`)."""
        until = time.monotonic() + seconds
        with self._changed:
            wanted = self._number
            while self._ring and self._ring[0][0] <= wanted:
                self._hurry.set()
                self._filled.set()
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.05))
        return True

    def status(self) -> RingStatus:
        """Counts, at this moment."""
        with self._changed:
            return RingStatus(
                depth=self._depth,
                capacity=self._capacity,
                written=self._written,
                dropped=self._dropped,
                refused=self._refused,
                failures=self._failures,
                problem=self._problem,
                sampled_out=self._sampled_out,
                linger_s=self._linger_s,
            )

    def close(self, *, seconds: float = 10.0) -> bool:
        """Write what is left, close the writers and end the thread. False: something could not be written in time; it is counted and named."""
        done = self.flush(seconds=seconds)
        self._closing = True
        self._hurry.set()
        self._filled.set()
        self._thread.join(seconds)
        for writer in self._writers.values():
            try:
                writer.close()
            except NoriaError as error:
                log.error("a prediction journal could not be finished: %s", error)
                done = False
        return done

    def _work(self) -> None:
        """Wait for records, linger for company, write; on failure keep everything, in order, and try again."""
        while True:
            self._filled.wait()
            if not self._hurry.is_set():
                self._hurry.wait(self._linger_s)
            self._hurry.clear()
            self._filled.clear()
            while self._ring:
                if not self._write_batch():
                    if self._closing:
                        return
                    self._filled.set()
                    self._hurry.wait(self._retry_s)
                    break
            if self._closing:
                return

    def _write_batch(self) -> bool:
        """Write the oldest records; True: they are gone from the ring, False: they stay and the problem is noted."""
        batch = self._oldest()
        units: dict[tuple[str, str, str], list[tuple[int, PredictionRecord]]] = {}
        for number, taken in batch:
            record = taken if isinstance(taken, PredictionRecord) else taken.record()
            if self._recording:
                record = as_set(record, self._recording.get(record.deployment, EVERYTHING), salt=self._salt)
            # What is no answer is kept elsewhere, so it is written by itself: a unit is there whole or not at all.
            apart = ("", "") if record.kind == "answer" else (record.kind, record.variant)
            units.setdefault((record.deployment, *apart), []).append((number, record))
        faults: list[str] = []
        kept = {number for unit, records in units.items() for number, _ in self._write(unit[0], records, faults)}
        with self._changed:
            for _ in batch:
                self._ring.popleft()
            self._ring.extendleft(item for item in reversed(batch) if item[0] in kept)
            self._depth -= sum(taken.rows for number, taken in batch if number not in kept)
            self._problem = faults[0] if faults else ""
            self._changed.notify_all()
        self._tell(batch[-1][0], faults[0] if faults else "")
        return not kept

    def _oldest(self) -> list[tuple[int, PredictionRecord | Pending]]:
        """What is written next; at least one. By index: others append meanwhile, which an iterator would not survive."""
        batch, rows = [self._ring[0]], self._ring[0][1].rows
        for i in range(1, min(len(self._ring), BATCH_RECORDS)):
            item = self._ring[i]
            rows += item[1].rows
            if rows > BATCH_ROWS:
                break
            batch.append(item)
        return batch

    def _tell(self, last: int, problem: str) -> None:
        """Call those who wait for records up to this number."""
        while self._waiting and self._waiting[0][0] <= last:
            self._waiting.popleft()[1](problem)

    def _write(
        self, deployment: str, records: Sequence[tuple[int, PredictionRecord]], faults: list[str]
    ) -> Sequence[tuple[int, PredictionRecord]]:
        """Write one deployment's records as one unit, count what became of them, and give those that must stay in the ring."""
        rows = sum(record.rows for _, record in records)
        try:
            writer = self._writers.get(deployment)
            if writer is None:
                writer = self._writers[deployment] = self._open_writer(deployment)
            writer.write([record for _, record in records])
        except InputInvalid as error:
            # One record that cannot be kept must not hold up the others for ever.
            if len(records) > 1:
                return [kept for record in records for kept in self._write(deployment, [record], faults)]
            faults.append(error.headline())
            self._count(dropped=rows)
            return ()
        except NoriaError as error:
            faults.append(error.headline())
            self._count(failures=1)
            return records
        except Exception as error:  # the thread must live: without it every later answer would be lost silently
            log.exception("the prediction journal of %s failed unexpectedly", deployment)
            faults.append(f"{type(error).__name__}: {error}")
            self._count(failures=1)
            return records
        self._count(written=rows)
        return ()

    def _count(self, *, written: int = 0, dropped: int = 0, failures: int = 0) -> None:
        with self._changed:
            self._written += written
            self._dropped += dropped
            self._failures += failures
