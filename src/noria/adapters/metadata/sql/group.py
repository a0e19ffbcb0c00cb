"""The one thread that writes to a store: all that wait are handed to one transaction, and answered after its COMMIT.

One sync of the disk then serves everybody who waited for the last one, so a durable answer costs little under load (ADR 5, 12, 16).
The transaction itself is sqlite/writer and postgres/writer.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Protocol, TypeVar

from noria.adapters.metadata.sql.connection import Connection, Work
from noria.errors import StoreUnavailable

T = TypeVar("T")


class Job(Generic[T]):
    """Some work and who waits for it. The work must be repeatable: it runs again by itself if its transaction fails for somebody else."""

    __slots__ = ("answer", "error", "result", "work")

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self.answer: Future[T] = Future()
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self, connection: Connection) -> None:
        """Do it; its error is kept, for who asked."""
        self.result, self.error = None, None
        try:
            self.result = self.work(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is goes to who asked
            self.error = error

    def settle(self, known: Callable[[BaseException], BaseException]) -> None:
        """Answer who asked. known: says an error in Noria's words."""
        if self.error is None:
            self.answer.set_result(self.result)  # type: ignore[arg-type]
        else:
            self.answer.set_exception(known(self.error))


class Committer(Protocol):
    """Who makes transactions. Both are called in the group's thread only; commit settles every job and raises nothing."""

    def commit(self, jobs: Sequence[Job[Any]]) -> None:
        """Run jobs in one transaction, or in several, and settle each of them."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class Group:
    """Thread-safe; closing it twice is no error. most: jobs in one transaction, which bounds how long the first of them waits."""

    def __init__(self, store: str, committer: Committer, *, most: int) -> None:
        self._store = store
        self._committer = committer
        self._most = most
        self._pid = os.getpid()
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._closing = Lock()
        self._closed = False
        self._thread = Thread(target=self._serve, name=f"noria-writer-{store}", daemon=True)
        self._thread.start()

    def write(self, work: Work[T]) -> T:
        """Run some work inside a transaction and give its result when it is durable. Its error, if it fails, leaves nothing behind."""
        refuse_fork(self._store, self._pid)
        job = Job(work)
        with self._closing:
            if self._closed:
                raise closed(self._store)
            self._queue.put(job)
        return job.answer.result()

    def waiting(self) -> int:
        """How many wait for a transaction to begin."""
        return self._queue.qsize()

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
                self._committer.commit(jobs)
        self._committer.close()

    def _take(self) -> tuple[list[Job[Any]], bool]:
        """Wait for one job, then take all that wait."""
        jobs: list[Job[Any]] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._most:
                break
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
        return jobs, job is not None


def closed(store: str) -> StoreUnavailable:
    """The error of who uses a store after its end."""
    return StoreUnavailable(f"store '{store}' is closed", remedy="open it again")


def refuse_fork(store: str, pid: int) -> None:
    """Connections do not survive a fork. pid: of the process that opened the store. Raises StoreUnavailable in any other."""
    if os.getpid() != pid:
        raise StoreUnavailable(
            f"store '{store}' was opened in another process",
            cause="this process was forked from it; connections to a database do not survive that",
            remedy="open the store again in this process, or start it with 'spawn'",
        )
