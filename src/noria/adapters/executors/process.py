"""Run steps in warm worker processes on this machine. Nothing of the parent is shared but what is pickled. Loaded by name (app/plugins)."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from threading import Lock
from typing import TypeVar

from noria.errors import SettingInvalid, StepFailed, StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")


class ProcessExecutor:
    """Fills ports.executor.Executor. Workers are spawned (never forked: a fork copies locks that other threads hold) with the first work and
    kept; after a worker died, the next work gets new ones."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise SettingInvalid(
                f"{workers} workers cannot work", cause="at least one is needed", remedy="workers = 1 or more"
            )
        self._workers = workers
        self._lock = Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results in order; all items are handed out at once. The first error is raised as StepFailed and the rest is cancelled."""
        pool = self._open()
        try:
            futures = [pool.submit(function, item) for item in items]
        except BrokenProcessPool:
            pool = self._open(instead_of=pool)
            futures = [pool.submit(function, item) for item in items]
        return self._results(pool, futures)

    def close(self) -> None:
        """Wait for what runs, end the workers; closing twice is no error."""
        with self._lock:
            pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _open(self, *, instead_of: ProcessPoolExecutor | None = None) -> ProcessPoolExecutor:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the executor is closed", cause="close() was called", remedy="open a new one")
            if self._pool is None or self._pool is instead_of:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self._workers, mp_context=context)
            return self._pool

    def _results(self, pool: ProcessPoolExecutor, futures: list[Future[R]]) -> Iterator[R]:
        try:
            for position, future in enumerate(futures):
                try:
                    result = future.result()
                except Exception as error:
                    raise self._failed(pool, position, len(futures), error) from error
                yield result
        finally:
            for future in futures:
                future.cancel()

    def _failed(self, pool: ProcessPoolExecutor, position: int, count: int, error: Exception) -> StepFailed:
        problem = f"item {position + 1} of {count} failed: {type(error).__name__}: {error}"
        if isinstance(error, BrokenProcessPool):
            with self._lock:
                if self._pool is pool:
                    self._pool = None
            return StepFailed(
                f"item {position + 1} of {count} was lost: its worker process died",
                cause="it was killed, ran out of memory, crashed in native code, or could not start (a script needs if __name__ == '__main__')",
                remedy="look for 'killed' in the system's log; give it more memory or fewer workers, then run again",
            )
        if isinstance(error, pickle.PicklingError) or "pickle" in str(error):
            return StepFailed(
                problem,
                cause="what goes to another process must pickle",
                remedy="define the function at the top of a module and hand in plain values, or use the executor 'inline'",
            )
        return StepFailed(problem, cause="its code raised", remedy="see the error below it")


def open_executor(*, workers: int) -> ProcessExecutor:
    """A pool of that many processes; none is started before there is work. Raises SettingInvalid."""
    return ProcessExecutor(workers)
