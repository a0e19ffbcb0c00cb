"""The ledger port: append-only, ordered, chained."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from noria.domain.ids import EventId
from noria.domain.ledger import Cursor, Draft, Entry, Head, StoredEntry


class Ledger(Protocol):
    """One project's events in order. Thread-safe; several processes may append at once and the chain stays whole.

    An answer from `append` means durable (ADR 12). Reads see every append that was answered before they began.
    """

    def append(self, drafts: Sequence[Draft], *, advance: Cursor | None = None) -> list[Entry]:
        """Write the drafts in order and move the cursor, both or neither.

        A draft whose id stands in the ledger already is not written again: its first entry is returned in its place
        (Conflict.AlreadyExists if the event differs). A cursor never moves back: an `advance` behind the stored one changes nothing.
        Empty drafts with `advance` only move the cursor. Raises DiskFull, StoreUnavailable.
        """
        ...

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[str] | None = None) -> list[Entry]:
        """Entries with seq > after, ascending, at most `limit`, of these kinds only if given."""
        ...

    def latest(self, *, limit: int = 100, kinds: Collection[str] | None = None) -> list[Entry]:
        """The newest entries, newest first."""
        ...

    def get(self, event_id: EventId) -> Entry:
        """One entry. Raises NotFound."""
        ...

    def head(self) -> Head:
        """The newest row's seq and hash."""
        ...

    def cursor(self, name: str) -> Cursor:
        """Where this reader stands; seq 0 if it never read."""
        ...

    def stored(self) -> Iterator[StoredEntry]:
        """Every row as stored, ascending by seq, for verification."""
        ...
