"""Monitoring's window counts and sketches in SQL, a row a window. Called through ports.counts.CountStore."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.connection import Connection, Database
from noria.domain.profile import WindowCounts
from noria.domain.sketch import WindowSketches
from noria.wire.nouns import pack, unpack

_BEGINNING, _END = -(2**63), 2**63 - 1


class SqlCounts:
    """ports.counts.CountStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def put(self, windows: Sequence[WindowCounts]) -> None:
        rules.check_windows(windows)
        self._put("windows", windows)

    def windows(
        self,
        deployment: str,
        number: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> list[WindowCounts]:
        docs = self._docs("windows", deployment, number, since=since, until=until, step=step)
        return [unpack(doc, WindowCounts, what="a stored window") for doc in docs]

    def latest(self, deployment: str) -> datetime | None:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT max(until) FROM windows WHERE project = ? AND deployment = ?", (self._project, deployment)
            ).fetchone()
        )
        return None if row[0] is None else rules.moment(row[0])

    def put_sketches(self, sketches: Sequence[WindowSketches]) -> None:
        rules.check_windows(sketches)
        self._put("sketches", sketches)

    def sketches(
        self,
        deployment: str,
        number: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> list[WindowSketches]:
        docs = self._docs("sketches", deployment, number, since=since, until=until, step=step)
        return [unpack(doc, WindowSketches, what="stored sketches") for doc in docs]

    def forget(self, deployment: str, *, step: int, before: datetime) -> int:
        values = (self._project, deployment, step, rules.micros(before))

        def work(connection: Connection) -> int:
            dropped = 0
            for table in ("windows", "sketches"):
                rows = connection.execute(
                    f"DELETE FROM {table} WHERE project = ? AND deployment = ? AND step = ? AND since < ? RETURNING since",
                    values,
                )
                dropped += len(rows.fetchall())
            return dropped

        return self._database.write(work)

    def counted(self, deployment: str) -> dict[str, int]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT part, held FROM counted_parts WHERE project = ? AND deployment = ? ORDER BY part",
                (self._project, deployment),
            ).fetchall()
        )
        return {str(part): int(held) for part, held in rows}

    def mark_counted(self, deployment: str, *, parts: Mapping[str, int], gone: Collection[str] = ()) -> None:
        rules.check_parts(parts)
        new = [(self._project, deployment, part, held) for part, held in parts.items()]
        old = [(self._project, deployment, part) for part in gone if part not in parts]

        def work(connection: Connection) -> None:
            if old:
                connection.executemany(
                    "DELETE FROM counted_parts WHERE project = ? AND deployment = ? AND part = ?", old
                )
            if new:
                connection.executemany(
                    "INSERT INTO counted_parts (project, deployment, part, held) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (project, deployment, part) DO UPDATE SET held = excluded.held",
                    new,
                )

        if new or old:
            self._database.write(work)

    def _put(self, table: str, windows: Sequence[WindowCounts] | Sequence[WindowSketches]) -> None:
        rows = [
            (self._project, w.deployment, w.number, w.step, rules.micros(w.since), rules.micros(w.until), pack(w))
            for w in windows
        ]

        def work(connection: Connection) -> None:
            connection.executemany(
                f"INSERT INTO {table} (project, deployment, number, step, since, until, doc) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (project, deployment, number, step, since)"
                " DO UPDATE SET until = excluded.until, doc = excluded.doc",
                rows,
            )

        if rows:
            self._database.write(work)

    def _docs(
        self,
        table: str,
        deployment: str,
        number: int,
        *,
        since: datetime | None,
        until: datetime | None,
        step: int | None,
    ) -> list[bytes]:
        first = _BEGINNING if since is None else rules.micros(since)
        end = _END if until is None else rules.micros(until)
        tier = "" if step is None else " AND step = ?"
        values = (self._project, deployment, number, *(() if step is None else (step,)), first, end)
        rows = self._database.read(
            lambda connection: connection.execute(
                f"SELECT doc FROM {table} WHERE project = ? AND deployment = ? AND number = ?{tier}"
                " AND since >= ? AND since < ? ORDER BY since, step",
                values,
            ).fetchall()
        )
        return [row[0] for row in rows]
