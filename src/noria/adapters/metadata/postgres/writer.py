"""One transaction for many, under the project's lock: whoever else writes to this project, here or in another server, waits for its COMMIT (ADR 16).

Work for single runs goes into lanes: several transactions that share the project's lock, each alone with its runs.

No job needs a savepoint: one that fails before it wrote anything leaves nothing to undo, any other makes the transaction begin anew without it.
Who waits, and the thread, is sql/group.
"""

import contextlib
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any, TypeVar

import psycopg

from noria.adapters.metadata.postgres.connection import Connection, check_revision
from noria.adapters.metadata.postgres.faults import can_repeat, is_lost, translate
from noria.adapters.metadata.postgres.location import Location
from noria.adapters.metadata.sql.group import Job
from noria.errors import NoriaError

T = TypeVar("T")
MOST_AT_ONCE = 128
PATIENCE_S = 10.0
"""How long to go on trying while the database does not answer, or while others are in the way."""
LANES = 4
"""How many transactions of a project may run side by side, each for other runs."""
LOCKS = 0x4E6F7269
"""'Nori' in ASCII: the first half of the keys of our advisory locks; the second is a project's number, or 0 for migrations. Lanes: + 1."""
_ALONE = "SELECT pg_advisory_xact_lock({locks}, {project});"
_LANE = "SELECT pg_advisory_xact_lock_shared({locks}, {project}); SELECT pg_advisory_xact_lock({locks} + 1, {project} * {lanes} + {lane});"
_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {lock}"
    # Held until the end of the transaction: a migration waits for it, and it for a migration.
    " LOCK TABLE alembic_version IN ACCESS SHARE MODE;"
    # An answer means durable, whatever the database's default is; stricter settings are left as they are.
    " SELECT version_num, pg_current_xact_id()::text,"
    " CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END"
    " FROM alembic_version"
)


class Spoiled(Exception):
    """A job failed after it had written: the transaction cannot be kept. at: which one of the jobs."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Writer:
    """sql.group.Committer: owns a connection that writes to one project. lane: which one it keeps to; None: it has the project for itself."""

    def __init__(
        self,
        location: Location,
        connect: Callable[[], Connection],
        *,
        project: int,
        lane: int | None = None,
        revision: str,
        patience_s: float,
    ) -> None:
        self._location = location
        self._connect = connect
        lock = _ALONE if lane is None else _LANE
        self._begin = _BEGIN.format(lock=lock.format(locks=LOCKS, project=project, lanes=LANES, lane=lane))
        self._revision = revision
        self._patience_s = patience_s
        self._connection: Connection | None = connect() if lane is None else None

    def commit(self, jobs: Sequence[Job[Any]]) -> None:
        """Run jobs in one transaction. One that spoils it is run alone afterwards, between those before and those behind it."""
        try:
            self._durably(jobs)
        except Spoiled as spoiled:
            if len(jobs) > 1:
                for some in (jobs[: spoiled.at], jobs[spoiled.at : spoiled.at + 1], jobs[spoiled.at + 1 :]):
                    if some:
                        self.commit(some)
                return
        except Exception as error:  # noqa: BLE001 - goes to who asked; the thread must live on
            self._roll_back()
            if len(jobs) > 1 and not isinstance(error, NoriaError):
                for job in jobs:  # the COMMIT itself was refused: let each try alone
                    self.commit([job])
                return
            for job in jobs:
                job.error = error
        for job in jobs:
            job.settle(self._known)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()

    def _durably(self, jobs: Sequence[Job[Any]]) -> None:
        """Repeat the transaction while it is only others who are in its way, or the connection is lost. Raises what remains after that."""
        patience = Patience(self._patience_s)
        transaction, begun = "", False
        while True:
            try:
                if transaction and self._was_committed(transaction):
                    return
                transaction = ""
                connection = self._connection = self._connection or self._connect()
                begun = False
                found = connection.begin(self._begin)
                check_revision(found[0] if found else "", self._location, known=self._revision)
                begun = True
                self._run(connection, jobs)
                transaction = found[1]
                connection.end("COMMIT")
                return
            except psycopg.Error as error:
                if is_lost(error, self._connection.raw if self._connection else None):
                    self._drop()
                elif not can_repeat(error):
                    if begun:
                        raise
                    raise translate(error, self._location) from error  # it is nothing that a job has done
                else:
                    transaction = ""
                    self._roll_back()
                problem = translate(error, self._location)
                if not getattr(problem, "retryable", False) or not patience.left():
                    raise problem from error

    def _run(self, connection: Connection, jobs: Sequence[Job[Any]]) -> None:
        for at, job in enumerate(jobs):
            connection.wrote = False
            job.run(connection)
            if job.error is None:
                continue
            if isinstance(job.error, psycopg.Error) and (can_repeat(job.error) or is_lost(job.error, connection.raw)):
                raise job.error
            if connection.wrote or isinstance(job.error, psycopg.Error):
                self._roll_back()
                raise Spoiled(at)

    def _was_committed(self, transaction: str) -> bool:
        """What became of a COMMIT whose answer was lost. Where the server has not noticed yet that the connection is gone, it is waited for."""
        connection = self._connection = self._connection or self._connect()
        patience = Patience(self._patience_s)
        while True:
            try:
                row = connection.execute("SELECT pg_xact_status(CAST(? AS xid8))", (transaction,)).fetchone()
            except psycopg.errors.InvalidParameterValue:
                return False  # a number that this server never gave: another one has taken over, without it
            if row[0] != "in progress" or not patience.left():
                return bool(row[0] == "committed")

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.raw.info.transaction_status:
            try:
                self._connection.end("ROLLBACK")
            except psycopg.Error:
                self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def _known(self, error: BaseException) -> BaseException:
        return translate(error, self._location)


class Patience:
    """Waits a little longer each time, until there is no time left."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds
        self._wait = 0.0

    def left(self) -> bool:
        """Wait; False when the time is up. The first time it does not wait."""
        now = monotonic()
        if now >= self._end:
            return False
        sleep(min(self._wait, self._end - now))
        self._wait = min(max(0.02, self._wait * 2), 0.5)
        return True
