"""Leases in SQL: one row a name, changed only inside the transaction that read it, so that of two who take it one wins.

Who may hold, extend and give back is rules_leases.py. Called through ports.leases.LeaseStore.
"""

from collections.abc import Callable

from noria.adapters.metadata import rules_leases
from noria.adapters.metadata.sql.connection import Connection, Database
from noria.domain.lease import Lease
from noria.wire.nouns import pack, unpack


class SqlLeases:
    """ports.leases.LeaseStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def find(self, name: str) -> Lease | None:
        return self._database.read(lambda connection: self._stored(connection, name))

    def acquire(self, name: str, *, holder: str, seconds: float, seen: Lease | None = None) -> Lease:
        return self._change(
            name, lambda stored: rules_leases.acquired(stored, name, holder=holder, seconds=seconds, seen=seen)
        )

    def renew(self, lease: Lease) -> Lease:
        return self._change(lease.name, lambda stored: rules_leases.renewed(stored, lease))

    def release(self, lease: Lease) -> None:
        def work(connection: Connection) -> None:
            free = rules_leases.released(self._stored(connection, lease.name), lease)
            if free is not None:
                self._write(connection, free)

        self._database.write(work)

    def _change(self, name: str, change: Callable[[Lease | None], Lease]) -> Lease:
        def work(connection: Connection) -> Lease:
            changed = change(self._stored(connection, name))
            self._write(connection, changed)
            return changed

        return self._database.write(work)

    def _stored(self, connection: Connection, name: str) -> Lease | None:
        row = connection.execute(
            "SELECT doc FROM leases WHERE project = ? AND name = ?", (self._project, name)
        ).fetchone()
        return unpack(row[0], Lease, what="a stored lease") if row else None

    def _write(self, connection: Connection, lease: Lease) -> None:
        connection.execute(
            "INSERT INTO leases (project, name, doc) VALUES (?, ?, ?)"
            " ON CONFLICT (project, name) DO UPDATE SET doc = excluded.doc",
            (self._project, lease.name, pack(lease)),
        )
