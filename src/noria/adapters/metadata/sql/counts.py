"""Monitoring's window counts in SQL, a row a window. Called through ports.counts.CountStore."""

from collections.abc import Sequence
from datetime import datetime

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.connection import Connection, Database
from noria.domain.profile import WindowCounts
from noria.wire.nouns import pack, unpack

_BEGINNING, _END = -(2**63), 2**63 - 1


class SqlCounts:
    """ports.counts.CountStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def put(self, windows: Sequence[WindowCounts]) -> None:
        rules.check_windows(windows)
        rows = [
            (self._project, w.deployment, w.number, rules.micros(w.since), rules.micros(w.until), pack(w))
            for w in windows
        ]

        def work(connection: Connection) -> None:
            connection.executemany(
                "INSERT INTO windows (project, deployment, number, since, until, doc) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (project, deployment, number, since) DO UPDATE SET until = excluded.until, doc = excluded.doc",
                rows,
            )

        if rows:
            self._database.write(work)

    def windows(
        self, deployment: str, number: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[WindowCounts]:
        first = _BEGINNING if since is None else rules.micros(since)
        end = _END if until is None else rules.micros(until)
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT doc FROM windows WHERE project = ? AND deployment = ? AND number = ? AND since >= ? AND since < ?"
                " ORDER BY since",
                (self._project, deployment, number, first, end),
            ).fetchall()
        )
        return [unpack(row[0], WindowCounts, what="a stored window") for row in rows]

    def latest(self, deployment: str) -> datetime | None:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT max(until) FROM windows WHERE project = ? AND deployment = ?", (self._project, deployment)
            ).fetchone()
        )
        return None if row[0] is None else rules.moment(row[0])
