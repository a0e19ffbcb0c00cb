"""One transaction for many: each job in a savepoint of its own, all on the disk by one COMMIT. Processes take turns by SQLite's own lock.

Who waits, and the thread, is sql/group; reading is database.py; what is written is the jobs'.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from noria.adapters.metadata.sql.group import Job
from noria.adapters.metadata.sqlite.connection import Connection, check_revision
from noria.adapters.metadata.sqlite.faults import is_busy, translate
from noria.errors import InputInvalid, NoriaError, StoreNewer

MOST_AT_ONCE = 512
PATIENCE_S = 30.0
"""How long to try for the write lock while another process holds it."""


class Writer:
    """sql.group.Committer: owns the write connection."""

    def __init__(
        self, path: Path, connect: Callable[[], Connection], *, revision: str, patience_s: float = PATIENCE_S
    ) -> None:
        self._path = path
        self._revision = revision
        self._patience_s = patience_s
        self._connection = connect()

    def commit(self, jobs: Sequence[Job[Any]]) -> None:
        """Run jobs in one transaction; each alone if it fails as a whole."""
        try:
            self._transaction(jobs)
        except Exception as error:  # noqa: BLE001 - goes to who asked; the thread must live on
            self._roll_back()
            if len(jobs) > 1 and not is_busy(error) and not isinstance(error, StoreNewer):
                # The transaction as a whole failed (a full disk, mostly): let each try alone, so that small ones are not lost with a large one.
                for job in jobs:
                    self.commit([job])
                return
            for job in jobs:
                job.error = error
        for job in jobs:
            job.settle(self._known)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _transaction(self, jobs: Sequence[Job[Any]]) -> None:
        self._begin()
        check_revision(self._connection, self._path, known=self._revision)
        for job in jobs:
            self._savepoint(job)
        self._connection.execute("COMMIT")

    def _savepoint(self, job: Job[Any]) -> None:
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

    def _known(self, error: BaseException) -> BaseException:
        """The error as one of Noria's, if it came from SQLite or from binding a value to a statement."""
        if isinstance(error, NoriaError):
            return error
        if isinstance(error, sqlite3.Error):
            known: NoriaError = translate(error, self._path)
        elif isinstance(error, OverflowError | UnicodeEncodeError):
            known = InputInvalid("a value cannot be stored", cause=str(error))
        else:
            return error
        known.__cause__ = error
        return known
