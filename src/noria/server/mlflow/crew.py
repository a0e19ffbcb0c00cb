"""Threads that run handlers for an event loop, cheaply: one queue in, one list out, the loop woken once for all that is done by then.

`ThreadPoolExecutor` makes two locked futures and wakes the loop anew for every call, which costs more than most handlers do. Called by app.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar, cast

T = TypeVar("T")
Work = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Crew:
    """At most `size` threads, begun when they are needed, for the one event loop that calls first."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._is_told = False
        self._threads: list[Thread] = []
        self._under_way = 0

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in a thread; what it raises is raised here. Cancelled, it runs on, and nobody takes its result."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._under_way += 1
        if len(self._threads) < min(self._under_way, self._size):
            thread = Thread(target=self._labour, args=(loop,), name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._work.put((future, function, arguments))
        try:
            return cast(T, await future)
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """End the threads once they have done what they hold."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _labour(self, loop: asyncio.AbstractEventLoop) -> None:
        while (work := self._work.get()) is not None:
            future, function, arguments = work
            try:
                self._done.append((future, function(*arguments), None))
            except BaseException as error:  # noqa: BLE001  it is raised where the result is awaited
                self._done.append((future, None, error))
            del work, future, function, arguments  # a thread that waits holds nothing
            # Appended first, then looked at: `_deliver` takes the mark down before it looks, so nothing is left lying.
            if not self._is_told:
                self._is_told = True
                try:
                    loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return  # the loop has ended, and with it whoever waited

    def _deliver(self) -> None:
        self._is_told = False
        while self._done:
            future, result, error = self._done.popleft()
            if future.done():
                continue  # whoever waited was cancelled
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
