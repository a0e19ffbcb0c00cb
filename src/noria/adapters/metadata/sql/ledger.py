"""The ledger in SQL. The head is read inside the transaction that writes after it, so that many threads and processes keep one chain.

Sealing and reading rows is wire/chain. Called through ports.ledger.Ledger.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.connection import Connection, Database, listed
from noria.domain.ids import EventId
from noria.domain.ledger import Cursor, Draft, Entry, Head, StoredEntry
from noria.errors import NotFound
from noria.wire import chain

PAGE = 1000
"""Rows read at once by `stored`: no view of the store is held open between two pages."""


class SqlLedger:
    """ports.ledger.Ledger."""

    def __init__(self, database: Database, project: str, number: int) -> None:
        self._database = database
        self._project = project
        self._number = number

    def append(self, drafts: Sequence[Draft], *, advance: Cursor | None = None) -> list[Entry]:
        prepared = [chain.prepare(draft) for draft in drafts]
        if not prepared and advance is None:
            return []

        def work(connection: Connection) -> list[Entry]:
            start = self._head(connection)
            head = start
            answer: list[Entry] = []
            for draft in prepared:
                stored = self._by_id(connection, draft.draft.id)
                if stored is not None:
                    answer.append(chain.same_event(stored, draft))
                    continue
                entry, row = chain.seal(draft, project=self._project, head=head, recorded_at=datetime.now(UTC))
                connection.execute(
                    "INSERT INTO ledger (project, seq, id, kind, body, hash) VALUES (?, ?, ?, ?, ?, ?)",
                    (self._number, row.seq, entry.id, draft.kind, row.body, row.hash),
                )
                head = Head(seq=row.seq, hash=row.hash)
                answer.append(entry)
            if head is not start:
                connection.execute(
                    "INSERT INTO heads (project, seq, hash) VALUES (?, ?, ?)"
                    " ON CONFLICT (project) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
                    (self._number, head.seq, head.hash),
                )
            if advance is not None:
                rules.check_advance(advance, head)
                connection.execute(
                    "INSERT INTO cursors (project, name, seq) VALUES (?, ?, ?)"
                    " ON CONFLICT (project, name) DO UPDATE SET"
                    " seq = CASE WHEN excluded.seq > cursors.seq THEN excluded.seq ELSE cursors.seq END",
                    (self._number, advance.name, advance.seq),
                )
            return answer

        return self._database.write(work)

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[str] | None = None) -> list[Entry]:
        return self._entries("seq > ?", (after,), kinds, order="ASC", limit=limit)

    def latest(self, *, limit: int = 100, kinds: Collection[str] | None = None) -> list[Entry]:
        return self._entries("seq > ?", (0,), kinds, order="DESC", limit=limit)

    def get(self, event_id: EventId) -> Entry:
        entry = self._database.read(lambda connection: self._by_id(connection, event_id))
        if entry is None:
            raise NotFound.of("event", event_id)
        return entry

    def head(self) -> Head:
        return self._database.read(self._head)

    def cursor(self, name: str) -> Cursor:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT seq FROM cursors WHERE project = ? AND name = ?", (self._number, name)
            ).fetchone()
        )
        return Cursor(name=name, seq=row[0] if row else 0)

    def stored(self) -> Iterator[StoredEntry]:
        after = -(2**63)  # below every seq there is: a row with a wrong number must be seen as well
        while rows := self._page(after):
            yield from rows
            after = rows[-1].seq

    def _page(self, after: int) -> list[StoredEntry]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT seq, body, hash FROM ledger WHERE project = ? AND seq > ? ORDER BY seq LIMIT ?",
                (self._number, after, PAGE),
            ).fetchall()
        )
        return [_row(row) for row in rows]

    def _head(self, connection: Connection) -> Head:
        row = connection.execute("SELECT seq, hash FROM heads WHERE project = ?", (self._number,)).fetchone()
        return Head(seq=row[0], hash=row[1]) if row else chain.genesis(self._project)

    def _by_id(self, connection: Connection, event_id: str) -> Entry | None:
        row = connection.execute(
            "SELECT seq, body, hash FROM ledger WHERE project = ? AND id = ?", (self._number, event_id)
        ).fetchone()
        return chain.read(_row(row)) if row else None

    def _entries(
        self, where: str, values: tuple[int, ...], kinds: Collection[str] | None, *, order: str, limit: int
    ) -> list[Entry]:
        marks, chosen = ("", ()) if kinds is None else listed(sorted(kinds))
        by_kind = f" AND kind IN ({marks})" if marks else ""
        rows = self._database.read(
            lambda connection: connection.execute(
                f"SELECT seq, body, hash FROM ledger WHERE project = ? AND {where}{by_kind} ORDER BY seq {order} LIMIT ?",
                (self._number, *values, *chosen, max(limit, 0)),
            ).fetchall()
        )
        return [chain.read(_row(row)) for row in rows]


def _row(row: tuple[int, bytes | str, str]) -> StoredEntry:
    """A row as it stands. Somebody's hand in the file may have turned the body into text: verification must still see it."""
    seq, body, digest = row
    return StoredEntry(seq=seq, body=body.encode() if isinstance(body, str) else body, hash=digest)
