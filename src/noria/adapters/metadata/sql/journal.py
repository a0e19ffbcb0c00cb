"""Steps in SQL: one row a cache key, changed only inside the transaction that read it, so that two holders cannot both win.

Who may hold, extend and commit is rules.py. Called through ports.journal.StepJournal.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.connection import Connection, Database, listed, portions
from noria.domain.ids import Digest
from noria.domain.pipeline import JournalEntry, StepTask
from noria.wire.nouns import pack, unpack


class SqlJournal:
    """ports.journal.StepJournal."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def find(self, keys: Sequence[Digest]) -> dict[Digest, JournalEntry]:
        def query(connection: Connection) -> list[tuple[bytes]]:
            rows: list[tuple[bytes]] = []
            for some in portions(keys):
                marks, values = listed(some)
                rows += connection.execute(
                    f"SELECT doc FROM steps WHERE project = ? AND state = 'done' AND cache_key IN ({marks})",
                    (self._project, *values),
                ).fetchall()
            return rows

        rows = self._database.read(query)
        done = {entry.cache_key: entry for entry in map(_entry, rows)}
        return {key: done[key] for key in keys if key in done}

    def last_done(self, step: str) -> JournalEntry | None:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT doc FROM steps WHERE project = ? AND step = ? AND finished IS NOT NULL ORDER BY finished DESC LIMIT 1",
                (self._project, step),
            ).fetchone()
        )
        return _entry(row) if row else None

    def lease(self, task: StepTask, *, holder: str, now: datetime, seconds: float, run_id: str = "") -> JournalEntry:
        return self._change(
            task.cache_key,
            lambda stored: rules.leased(stored, task, holder=holder, now=now, seconds=seconds, run_id=run_id),
        )

    def heartbeat(self, entry: JournalEntry, *, now: datetime, seconds: float) -> JournalEntry:
        return self._change(entry.cache_key, lambda stored: rules.extended(stored, entry, now=now, seconds=seconds))

    def commit(self, entry: JournalEntry, *, output: Digest, seconds: float) -> JournalEntry:
        return self._change(
            entry.cache_key, lambda stored: rules.committed(stored, entry, output=output, seconds=seconds)
        )

    def release(self, entry: JournalEntry) -> None:
        self._change(entry.cache_key, lambda stored: rules.released(stored, entry) or stored or entry, only_known=True)

    def outputs(self) -> Iterator[Digest]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT doc FROM steps WHERE project = ? AND state = 'done'", (self._project,)
            ).fetchall()
        )
        return (output for output in (_entry(row).output for row in rows) if output)

    def _change(
        self, key: Digest, change: Callable[[JournalEntry | None], JournalEntry], *, only_known: bool = False
    ) -> JournalEntry:
        """Read one row, decide, and write what changed. only_known: a key without a row stays without one."""

        def work(connection: Connection) -> JournalEntry:
            row = connection.execute(
                "SELECT doc FROM steps WHERE project = ? AND cache_key = ?", (self._project, key)
            ).fetchone()
            stored = _entry(row) if row else None
            changed = change(stored)
            if changed is not stored and not (only_known and stored is None):
                self._write(connection, changed)
            return changed

        return self._database.write(work)

    def _write(self, connection: Connection, entry: JournalEntry) -> None:
        finished = None
        if entry.state == "done":
            finished = connection.execute(
                "SELECT coalesce(max(finished), 0) + 1 FROM steps WHERE project = ? AND step = ?",
                (self._project, entry.step),
            ).fetchone()[0]
        connection.execute(
            "INSERT INTO steps (project, cache_key, step, state, finished, doc) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (project, cache_key) DO UPDATE SET step = excluded.step, state = excluded.state,"
            " finished = excluded.finished, doc = excluded.doc",
            (self._project, entry.cache_key, entry.step, entry.state, finished, pack(entry)),
        )


def _entry(row: tuple[bytes]) -> JournalEntry:
    return unpack(row[0], JournalEntry, what="a stored step")
