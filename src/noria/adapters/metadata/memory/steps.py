"""The journal of steps in memory. Who holds a step is metadata/rules. Made by MemoryMetadata."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from threading import RLock

from noria.adapters.metadata import rules
from noria.domain.ids import Digest
from noria.domain.pipeline import JournalEntry, StepTask


class MemoryJournal:
    """ports.journal.StepJournal."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self._entries: dict[str, JournalEntry] = {}
        self._done: dict[str, JournalEntry] = {}

    def find(self, keys: Sequence[Digest]) -> dict[Digest, JournalEntry]:
        with self._lock:
            found = ((key, self._entries.get(key)) for key in keys)
            return {key: entry for key, entry in found if entry is not None and entry.state == "done"}

    def last_done(self, step: str) -> JournalEntry | None:
        with self._lock:
            return self._done.get(step)

    def outputs(self) -> Iterator[Digest]:
        with self._lock:
            return iter([entry.output for entry in self._entries.values() if entry.state == "done" and entry.output])

    def lease(self, task: StepTask, *, holder: str, now: datetime, seconds: float, run_id: str = "") -> JournalEntry:
        with self._lock:
            stored = self._entries.get(task.cache_key)
            return self._keep(rules.leased(stored, task, holder=holder, now=now, seconds=seconds, run_id=run_id))

    def heartbeat(self, entry: JournalEntry, *, now: datetime, seconds: float) -> JournalEntry:
        with self._lock:
            return self._keep(rules.extended(self._entries.get(entry.cache_key), entry, now=now, seconds=seconds))

    def commit(self, entry: JournalEntry, *, output: Digest, seconds: float) -> JournalEntry:
        with self._lock:
            stored = self._entries.get(entry.cache_key)
            done = self._keep(rules.committed(stored, entry, output=output, seconds=seconds))
            if done is not stored:
                self._done[done.step] = done
            return done

    def release(self, entry: JournalEntry) -> None:
        with self._lock:
            free = rules.released(self._entries.get(entry.cache_key), entry)
            if free is not None:
                self._keep(free)

    def _keep(self, entry: JournalEntry) -> JournalEntry:
        self._entries[entry.cache_key] = entry
        return entry
