"""The one thread of a process that writes to a store: all that wait are served by one transaction, and answered after its COMMIT.

One fsync then serves everybody who waited for the last one, so a durable answer costs little under load (ADR 5, 12). Several processes take turns by
SQLite's own lock. Reading is open.py; what is written is ledger.py, runs.py, ... Called by them through Database.write.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, Generic, TypeVar

from noria.adapters.metadata.sql.connection import Work
from noria.adapters.metadata.sqlite.connection import Connection, check_revision
from noria.adapters.metadata.sqlite.faults import is_busy, translate
from noria.errors import InputInvalid, NoriaError, StoreNewer, StoreUnavailable

T = TypeVar("T")
MOST_AT_ONCE = 512
"""Jobs in one transaction: bounds how long the first of them waits."""
PATIENCE_S = 30.0
"""How long to try for the write lock while another process holds it."""


class _Job(Generic[T]):
    """Some work and who waits for it. The work must be repeatable: it runs again by itself if its transaction fails for somebody else."""

    __slots__ = ("answer", "error", "result", "work")

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self.answer: Future[T] = Future()
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self, connection: Connection) -> None:
        self.result, self.error = None, None
        try:
            self.result = self.work(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is goes to who asked
            self.error = error

    def settle(self, path: Path) -> None:
        if self.error is None:
            self.answer.set_result(self.result)  # type: ignore[arg-type]
        else:
            self.answer.set_exception(_known(self.error, path))


class Writer:
    """Owns the write connection. Thread-safe; closing it twice is no error."""

    def __init__(
        self, path: Path, connect: Callable[[], Connection], *, revision: str, patience_s: float = PATIENCE_S
    ) -> None:
        self._path = path
        self._revision = revision
        self._patience_s = patience_s
        self._pid = os.getpid()
        self._connection = connect()
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._closing = Lock()
        self._closed = False
        self._thread = Thread(target=self._serve, name=f"noria-writer-{path.name}", daemon=True)
        self._thread.start()

    def write(self, work: Work[T]) -> T:
        """Run some work inside a transaction and give its result when it is durable. Its error, if it fails, leaves nothing behind."""
        if os.getpid() != self._pid:
            raise StoreUnavailable(
                f"store '{self._path}' was opened in another process",
                cause="this process was forked from it; connections to SQLite do not survive that",
                remedy="open the store again in this process, or start it with 'spawn'",
            )
        job = _Job(work)
        with self._closing:
            if self._closed:
                raise StoreUnavailable(f"store '{self._path}' is closed", remedy="open it again")
            self._queue.put(job)
        return job.answer.result()

    def close(self) -> None:
        """Finish what waits, then let go of the connection."""
        with self._closing:
            if self._closed or os.getpid() != self._pid:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        open_ = True
        while open_:
            jobs, open_ = self._take()
            if jobs:
                self._commit(jobs)
        self._connection.close()

    def _take(self) -> tuple[list[_Job[Any]], bool]:
        """Wait for one job, then take all that wait."""
        jobs: list[_Job[Any]] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == MOST_AT_ONCE:
                break
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
        return jobs, job is not None

    def _commit(self, jobs: list[_Job[Any]]) -> None:
        try:
            self._transaction(jobs)
        except Exception as error:  # noqa: BLE001 - goes to who asked; the thread must live on
            self._roll_back()
            if len(jobs) > 1 and not is_busy(error) and not isinstance(error, StoreNewer):
                # The transaction as a whole failed (a full disk, mostly): let each try alone, so that small ones are not lost with a large one.
                for job in jobs:
                    self._commit([job])
                return
            for job in jobs:
                job.error = error
        for job in jobs:
            job.settle(self._path)

    def _transaction(self, jobs: list[_Job[Any]]) -> None:
        self._begin()
        check_revision(self._connection, self._path, known=self._revision)
        for job in jobs:
            self._savepoint(job)
        self._connection.execute("COMMIT")

    def _savepoint(self, job: _Job[Any]) -> None:
        """One job; if it fails, only it is undone. Raises if SQLite has given up the whole transaction."""
        execute = self._connection.execute
        execute("SAVEPOINT job")
        job.run(self._connection)
        if job.error is not None:
            if not self._connection.in_transaction or isinstance(job.error, sqlite3.OperationalError):
                raise job.error
            execute("ROLLBACK TO job")
        execute("RELEASE job")

    def _begin(self) -> None:
        """Take the write lock. SQLite waits by itself (busy_timeout); some states it reports at once, so it is asked again until patience ends."""
        deadline = monotonic() + self._patience_s
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not is_busy(error) or monotonic() >= deadline:
                    raise
                sleep(0.005)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            # A failing rollback leaves the transaction to the next BEGIN, which will say so.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


def _known(error: BaseException, path: Path) -> BaseException:
    """The error as one of Noria's, if it came from SQLite or from binding a value to a statement."""
    if isinstance(error, NoriaError):
        return error
    if isinstance(error, sqlite3.Error):
        known: NoriaError = translate(error, path)
    elif isinstance(error, OverflowError | UnicodeEncodeError):
        known = InputInvalid("a value cannot be stored", cause=str(error))
    else:
        return error
    known.__cause__ = error
    return known
