"""Hold steps while they run: leases kept alive by a thread, committed with their fencing token, given back on failure.

Who may hold what is the journal port (ADR 7). Called by run.py.
"""

from threading import Event, Lock, Thread
from types import TracebackType

from noria.domain.ids import Digest
from noria.domain.pipeline import JournalEntry, StepTask
from noria.errors import LeaseLost, NoriaError
from noria.ports.clock import Clock
from noria.ports.journal import StepJournal


class Leases:
    """The steps that one run holds. Inside of `with`, what is held is extended; on leaving, what was not committed is given back."""

    def __init__(self, journal: StepJournal, clock: Clock, *, holder: str, seconds: float, run_id: str = "") -> None:
        self._journal, self._clock = journal, clock
        self._holder, self._seconds, self._run_id = holder, seconds, run_id
        self._held: dict[Digest, JournalEntry] = {}
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    def __enter__(self) -> "Leases":
        self._stop.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            held, self._held = list(self._held.values()), {}
        for entry in held:
            self._journal.release(entry)

    def take(self, task: StepTask) -> JournalEntry:
        """Lease a step, or get its entry if it is done. Raises Conflict while another holder is at it."""
        entry = self._journal.lease(
            task, holder=self._holder, now=self._clock.now(), seconds=self._seconds, run_id=self._run_id
        )
        if entry.state == "leased":
            with self._lock:
                self._held[task.cache_key] = entry
            if self._thread is None:
                self._thread = Thread(target=self._extend, name="noria-leases", daemon=True)
                self._thread.start()
        return entry

    def commit(self, task: StepTask, *, output: Digest, seconds: float) -> None:
        """Finish a step. Raises LeaseLost if somebody took it over: their result counts, not this one.

        A step that is not held was done before and had only lost its bytes, which are back now: nothing is left to record.
        """
        with self._lock:
            entry = self._held.pop(task.cache_key, None)
        if entry is not None:
            self._journal.commit(entry, output=output, seconds=seconds)

    def _extend(self) -> None:
        """Three signs of life a lease, so that one lost is none."""
        while not self._stop.wait(self._seconds / 3):
            with self._lock:
                held = list(self._held.items())
            for key, entry in held:
                try:
                    longer = self._journal.heartbeat(entry, now=self._clock.now(), seconds=self._seconds)
                except LeaseLost:
                    continue  # `commit` will say so; the step itself cannot be stopped
                except NoriaError:
                    continue  # the store is away for a moment: there are two more beats before the lease ends
                with self._lock:
                    if key in self._held:
                        self._held[key] = longer
