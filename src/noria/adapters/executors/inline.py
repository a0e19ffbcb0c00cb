"""Run steps in the calling thread, one after the other. Other processes are process.py. Loaded by name (app/plugins)."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from noria.errors import StepFailed, StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")


class InlineExecutor:
    """Fills ports.executor.Executor. An item runs when its result is asked for; nothing is pickled."""

    def __init__(self) -> None:
        self._closed = False

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results in order; the first error is raised as StepFailed."""
        if self._closed:
            raise StoreUnavailable("the executor is closed", cause="close() was called", remedy="open a new one")
        return self._results(function, list(items))

    def close(self) -> None:
        """Nothing is left running; no more work is taken."""
        self._closed = True

    def _results(self, function: Callable[[T], R], items: list[T]) -> Iterator[R]:
        for position, item in enumerate(items):
            try:
                result = function(item)
            except Exception as error:
                raise StepFailed(
                    f"item {position + 1} of {len(items)} failed: {type(error).__name__}: {error}",
                    cause="its code raised",
                    remedy="see the error below it",
                ) from error
            yield result


def open_executor(*, workers: int) -> InlineExecutor:
    """An executor of this thread; the number of workers makes no difference."""
    del workers
    return InlineExecutor()
