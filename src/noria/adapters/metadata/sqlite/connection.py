"""One connection to a store file. Who holds it, and when it is closed, is database.py and writer.py."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from noria.adapters.metadata.sql.migrations import NEWEST
from noria.errors import StoreNewer


class Connection(sqlite3.Connection):
    """sql.connection.Connection."""

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]], /) -> None:
        """Insert many rows."""
        names = ", ".join(f'"{column}"' for column in columns)
        self.executemany(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", rows)


def connect(path: Path, *, wait_s: float = 5.0) -> Connection:
    """A connection without transactions of its own. Every commit is on the disk before it is answered (WAL, synchronous=FULL)."""
    connection = sqlite3.connect(
        path, timeout=wait_s, isolation_level=None, check_same_thread=False, cached_statements=256, factory=Connection
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def check_revision(connection: Connection, path: Path, *, known: str) -> None:
    """Asked in every transaction: has a newer Noria migrated the file since it was opened? Then what this one knows of it is wrong."""
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if found is None or found[0] != known:
        raise StoreNewer(
            f"store '{path}' has schema revision '{found[0] if found else ''}' by now; this process works with '{known}'",
            cause="a newer Noria has migrated it meanwhile; nothing of this was written",
            remedy="pip install --upgrade noria, then start this process again"
            if known == NEWEST
            else "start this process again",
        )
