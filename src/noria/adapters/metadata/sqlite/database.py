"""One store file as this process holds it: a writer, and connections for reading. Shared by everybody in the process who opens the same file.

The thread that writes is sql/group, its transactions writer.py; checking and migrating the file is open.py; the queries are in the file of each port.
"""

import os
import sqlite3
from pathlib import Path
from threading import Lock
from typing import TypeVar

from noria.adapters.metadata.sql.connection import Dialect, Work
from noria.adapters.metadata.sql.group import Group, closed, refuse_fork
from noria.adapters.metadata.sql.migrations import NEWEST
from noria.adapters.metadata.sqlite.connection import Connection, check_revision, connect
from noria.adapters.metadata.sqlite.faults import translate
from noria.adapters.metadata.sqlite.writer import MOST_AT_ONCE, PATIENCE_S, Writer
from noria.errors import InputInvalid

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
        writer = Writer(
            path, lambda: connect(path, wait_s=min(5.0, patience_s)), patience_s=patience_s, revision=revision
        )
        self._writer = Group(str(path), writer, most=MOST_AT_ONCE)
        self._idle: list[Connection] = []
        self._lock = Lock()
        self._pid = os.getpid()
        self._closed = False

    def write(self, work: Work[T], *, only: str = "") -> T:
        """Run some work in a transaction; the answer means durable. The work may run more than once and must not touch anything else.

        only: makes no difference here, where one writer holds the file.
        """
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

    def waiting(self) -> int:
        """Writes that wait for their transaction."""
        return self._writer.waiting()

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
                raise closed(str(self.path))
            refuse_fork(str(self.path), self._pid)
            if self._idle:
                return self._idle.pop()
        try:
            connection = connect(self.path)
            connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        return connection
