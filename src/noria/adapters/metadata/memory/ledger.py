"""The ledger in memory. The chain is wire/chain; what counts as an advance is metadata/rules. Made by MemoryMetadata."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from threading import RLock

from noria.adapters.metadata import rules
from noria.domain.events import kind_of
from noria.domain.ids import EventId
from noria.domain.ledger import Cursor, Draft, Entry, Head, StoredEntry
from noria.errors import NotFound
from noria.wire import chain


class MemoryLedger:
    """ports.ledger.Ledger."""

    def __init__(self, project: str, lock: RLock) -> None:
        self._project = project
        self._lock = lock
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self._rows: list[StoredEntry] = []
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._head = chain.genesis(self._project)
        self._cursors: dict[str, int] = {}

    def append(self, drafts: Sequence[Draft], *, advance: Cursor | None = None) -> list[Entry]:
        prepared = [chain.prepare(draft) for draft in drafts]
        with self._lock:
            head, answer, fresh = self._head, [], []
            known: dict[str, Entry] = {}
            for draft in prepared:
                stored = self._by_id.get(draft.draft.id) or known.get(draft.draft.id)
                if stored is not None:
                    answer.append(chain.same_event(stored, draft))
                    continue
                entry, row = chain.seal(draft, project=self._project, head=head, recorded_at=datetime.now(UTC))
                head = Head(seq=entry.seq, hash=entry.hash)
                known[entry.id] = entry
                fresh.append((entry, row))
                answer.append(entry)
            if advance is not None:
                rules.check_advance(advance, head)
                self._cursors[advance.name] = max(advance.seq, self._cursors.get(advance.name, 0))
            self._entries += [entry for entry, _ in fresh]
            self._rows += [row for _, row in fresh]
            self._by_id |= known
            self._head = head
            return answer

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[str] | None = None) -> list[Entry]:
        with self._lock:
            return _first(iter(self._entries[max(after, 0) :]), kinds, limit)

    def latest(self, *, limit: int = 100, kinds: Collection[str] | None = None) -> list[Entry]:
        with self._lock:
            return _first(reversed(self._entries), kinds, limit)

    def get(self, event_id: EventId) -> Entry:
        with self._lock:
            if event_id not in self._by_id:
                raise NotFound.of("event", event_id)
            return self._by_id[event_id]

    def head(self) -> Head:
        with self._lock:
            return self._head

    def cursor(self, name: str) -> Cursor:
        with self._lock:
            return Cursor(name=name, seq=self._cursors.get(name, 0))

    def stored(self) -> Iterator[StoredEntry]:
        with self._lock:
            rows = list(self._rows)
        return iter(rows)


def _first(entries: Iterator[Entry], kinds: Collection[str] | None, limit: int) -> list[Entry]:
    found: list[Entry] = []
    for entry in entries:
        if len(found) >= limit:
            break
        if kinds is None or kind_of(entry.event) in kinds:
            found.append(entry)
    return found
