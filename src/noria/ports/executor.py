"""The executor port: where steps run."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Runs functions somewhere: in this thread, in processes, on a cluster. Functions and values must survive pickling unless it is inline."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results in the order of the items. The first error is raised as StepFailed with the original as its cause, the rest is cancelled."""
        ...

    def close(self) -> None:
        """Wait for what runs and free the workers."""
        ...
