"""The journal port: which step is done, and who is at it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from noria.domain.ids import Digest
from noria.domain.pipeline import JournalEntry, StepTask


class StepJournal(Protocol):
    """Steps by cache key, with leases and fencing tokens (ADR 7): at least once, committed once."""

    def find(self, keys: Sequence[Digest]) -> dict[Digest, JournalEntry]:
        """The done ones among these keys, in one query."""
        ...

    def last_done(self, step: str) -> JournalEntry | None:
        """The newest finished entry of a step by its name, to explain what changed since."""
        ...

    def lease(self, task: StepTask, *, holder: str, now: datetime, seconds: float, run_id: str = "") -> JournalEntry:
        """Take the step. Returns the done entry if it is done. Raises Conflict if another holder's lease still runs; takes over an expired one
        with a higher token."""
        ...

    def heartbeat(self, entry: JournalEntry, *, now: datetime, seconds: float) -> JournalEntry:
        """Extend a lease. Raises LeaseLost if somebody took over."""
        ...

    def commit(self, entry: JournalEntry, *, output: Digest, seconds: float) -> JournalEntry:
        """Finish the step. Raises LeaseLost if the token is no longer the newest; the same commit again is a no-op."""
        ...

    def release(self, entry: JournalEntry) -> None:
        """Give the lease back after a failure; nothing is recorded as done."""
        ...

    def outputs(self) -> Iterator[Digest]:
        """The content that done steps gave, in no order, perhaps repeated: what `noria gc` must leave."""
        ...
