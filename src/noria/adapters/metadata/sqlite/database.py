"""One store file as this process holds it: a writer, and connections for reading. Shared by everybody in the process who opens the same file.

The thread that writes is writer.py; checking and migrating the file is open.py; the queries are in the file of each port.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TypeVar

from noria.adapters.metadata.sql.connection import Dialect, Work
from noria.adapters.metadata.sql.migrations import NEWEST
from noria.adapters.metadata.sqlite.connection import Connection, check_revision, connect
from noria.adapters.metadata.sqlite.faults import translate
from noria.adapters.metadata.sqlite.writer import PATIENCE_S, Writer
from noria.errors import InputInvalid, StoreUnavailable

T = TypeVar("T")
MOST_READERS = 8
"""Connections kept open for reading; more are opened under load and closed after use."""


class Database:
    """sql.connection.Database. Thread-safe. Closed when the last of those who hold it lets go. revision: of the schema that its users know."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, *, patience_s: float = PATIENCE_S, revision: str = NEWEST) -> None:
        self.path = path
        self.holders = 0
        self._revision = revision
        self._writer = Writer(
            path, lambda: connect(path, wait_s=min(5.0, patience_s)), patience_s=patience_s, revision=revision
        )
        self._idle: list[Connection] = []
        self._lock = Lock()
        self._pid = os.getpid()
        self._closed = False

    def write(self, work: Work[T]) -> T:
        """Run some work in a transaction; the answer means durable. The work may run more than once and must not touch anything else."""
        return self._writer.write(work)

    def read(self, query: Work[T]) -> T:
        """Run queries on one unchanging view of the store, which holds all that was answered before."""
        connection = self._reader()
        try:
            connection.execute("BEGIN")
            check_revision(connection, self.path, known=self._revision)
            answer = query(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            connection.close()
            raise translate(error, self.path) from error
        except (OverflowError, UnicodeEncodeError) as error:
            connection.close()
            raise InputInvalid("a value cannot be looked up", cause=str(error)) from error
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._idle) < MOST_READERS and not self._closed:
                self._idle.append(connection)
                return answer
        connection.close()
        return answer

    def close(self) -> None:
        """Finish what waits to be written and close every connection."""
        self._writer.close()
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        if os.getpid() == self._pid:  # a child must not close what it shares with its parent
            for connection in idle:
                connection.close()

    def _reader(self) -> Connection:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"store '{self.path}' is closed", remedy="open it again")
            if os.getpid() != self._pid:
                raise StoreUnavailable(
                    f"store '{self.path}' was opened in another process",
                    cause="this process was forked from it; connections to SQLite do not survive that",
                    remedy="open the store again in this process, or start it with 'spawn'",
                )
            if self._idle:
                return self._idle.pop()
        try:
            connection = connect(self.path)
            connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        return connection


_open: dict[tuple[int, Path], Database] = {}
_opening = Lock()


@contextmanager
def held(path: Path, make: Callable[[], Database]) -> Iterator[Database]:
    """The database of a file, the same one for everybody in this process. Count yourself in within the block; a failing block changes nothing."""
    with _opening:
        key = (os.getpid(), path)
        database = _open.get(key) or make()
        try:
            yield database
        except BaseException:
            if not database.holders:
                database.close()
            raise
        database.holders += 1
        _open[key] = database


def let_go(database: Database) -> None:
    """Count one holder out; the last one closes the database."""
    with _opening:
        database.holders -= 1
        if database.holders > 0:
            return
        for key in [key for key, value in _open.items() if value is database]:
            del _open[key]
    database.close()
