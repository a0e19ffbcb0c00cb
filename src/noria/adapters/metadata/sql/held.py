"""Databases that this process holds open, each shared by everybody who opens the same one. Called by sqlite/open and postgres/open."""

import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol, TypeVar, cast


class Shared(Protocol):
    """What can be held by several."""

    holders: int

    def close(self) -> None:
        """Called when the last one lets go."""
        ...


D = TypeVar("D", bound=Shared)
_open: dict[tuple[int, Hashable], Shared] = {}
_opening = Lock()


@contextmanager
def held(key: Hashable, make: Callable[[], D]) -> Iterator[D]:
    """The database of a key, the same one for everybody in this process. Count yourself in by leaving the block; a failing one changes nothing."""
    with _opening:
        place = (os.getpid(), key)
        database = cast(D, _open[place]) if place in _open else make()
        try:
            yield database
        except BaseException:
            if not database.holders:
                database.close()
            raise
        database.holders += 1
        _open[place] = database


def let_go(database: Shared) -> None:
    """Count one holder out; the last one closes the database."""
    with _opening:
        database.holders -= 1
        if database.holders > 0:
            return
        for place in [place for place, value in _open.items() if value is database]:
            del _open[place]
    database.close()
