"""One project of a database as this process holds it: a writer, and connections for reading. Shared by everybody in the process who opens the same.

The thread that writes is sql/group, its transactions writer.py; checking and migrating is open.py; the queries are in sql/.
"""

import os
from threading import BoundedSemaphore, Lock
from typing import TypeVar
from zlib import crc32

from noria.adapters.metadata.postgres.connection import Connection, check_revision, connect
from noria.adapters.metadata.postgres.faults import can_repeat, is_lost, translate
from noria.adapters.metadata.postgres.location import Location
from noria.adapters.metadata.postgres.writer import LANES, MOST_AT_ONCE, PATIENCE_S, Patience, Writer
from noria.adapters.metadata.sql.connection import Dialect, Work
from noria.adapters.metadata.sql.group import Group, closed, refuse_fork
from noria.adapters.metadata.sql.migrations import NEWEST
from noria.errors import StoreUnavailable

T = TypeVar("T")
MOST_READERS = 12
"""Connections for reading at once; whoever comes then waits. A database takes 100 connections, if nobody has changed that."""
MOST_IDLE = 4
_BEGIN = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
    # Takes no view of the data yet: the view begins behind a migration that is waited for here.
    " LOCK TABLE alembic_version IN ACCESS SHARE MODE;"
    " SELECT version_num FROM alembic_version"
)


class Database:
    """sql.connection.Database. Thread-safe. Closed when the last of those who hold it lets go. revision: of the schema that its users know."""

    dialect: Dialect = "postgres"

    def __init__(
        self, location: Location, *, project: int, patience_s: float = PATIENCE_S, revision: str = NEWEST
    ) -> None:
        self.location = location
        self.project = project
        self.holders = 0
        self._revision = revision
        self._patience_s = patience_s
        self._idle: list[Connection] = []
        self._turn = BoundedSemaphore(MOST_READERS)
        self._lock = Lock()
        self._pid = os.getpid()
        self._closed = False
        self._beginning = Lock()
        self._writers: dict[int | None, Group] = {None: self._begin(None)}

    def write(self, work: Work[T], *, only: str = "") -> T:
        """Run some work in a transaction; the answer means durable. The work may run more than once and must not touch anything else.

        only: the run to which the work keeps; work for different runs may go on side by side.
        """
        refuse_fork(self.location.shown, self._pid)
        lane = crc32(only.encode(errors="replace")) % LANES if only else None
        writer = self._writers.get(lane)
        if writer is None:
            with self._beginning:
                if self._closed:
                    raise closed(self.location.shown)
                writer = self._writers[lane] = self._writers.get(lane) or self._begin(lane)
        return writer.write(work)

    def read(self, query: Work[T]) -> T:
        """Run queries on one unchanging view of the store, which holds all that was answered before."""
        refuse_fork(self.location.shown, self._pid)
        if not self._turn.acquire(timeout=self._patience_s):
            raise StoreUnavailable(
                f"store '{self.location.shown}' is read by too many at once",
                cause=f"{MOST_READERS} queries have been running for {self._patience_s:g} s",
                remedy="ask less, or again later",
            )
        try:
            return self._read(query)
        finally:
            self._turn.release()

    def waiting(self) -> int:
        """Writes that wait for their transaction, in any lane."""
        return sum(writer.waiting() for writer in list(self._writers.values()))

    def close(self) -> None:
        """Finish what waits to be written and close every connection."""
        if os.getpid() != self._pid:
            return  # a child must not close what it shares with its parent
        with self._beginning:
            self._closed = True
        for writer in self._writers.values():
            writer.close()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _begin(self, lane: int | None) -> Group:
        """A writer. Those of lanes connect when they are first used."""
        writer = Writer(
            self.location,
            lambda: connect(self.location),
            project=self.project,
            lane=lane,
            revision=self._revision,
            patience_s=self._patience_s,
        )
        return Group(self.location.shown, writer, most=MOST_AT_ONCE)

    def _read(self, query: Work[T]) -> T:
        patience = Patience(self._patience_s)
        while True:
            connection = None
            try:
                connection = self._take()
                found = connection.begin(_BEGIN)
                check_revision(found[0] if found else "", self.location, known=self._revision)
                answer = query(connection)
                connection.end("COMMIT")
            except BaseException as error:
                self._drop(connection)
                raw = connection.raw if connection else None
                problem = translate(error, self.location)
                lost = is_lost(error, raw) or can_repeat(error)
                if lost and getattr(problem, "retryable", False) and patience.left():
                    continue
                if problem is error:
                    raise
                raise problem from error
            self._give_back(connection)
            return answer

    def _take(self) -> Connection:
        with self._lock:
            if self._closed:
                raise closed(self.location.shown)
            if self._idle:
                return self._idle.pop()
        return connect(self.location)

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < MOST_IDLE and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _drop(self, connection: Connection | None) -> None:
        """A connection on which something failed. If it was lost, the idle ones are most likely lost as well."""
        if connection is None:
            return
        lost = connection.raw.broken
        connection.close()
        if lost:
            with self._lock:
                idle, self._idle = self._idle, []
            for other in idle:
                other.close()
