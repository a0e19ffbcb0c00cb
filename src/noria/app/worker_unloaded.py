"""What was unloaded by hand, so that a worker serves it no longer although it is published. One worker keeps it in memory.

Called by worker_loader.
"""

import msgspec


class Choice(msgspec.Struct, frozen=True):
    """What is unloaded, and the how manyth change this is."""

    names: frozenset[str] = frozenset()
    change: int = 0


class Unloaded:
    """The deployments that a worker does not serve although it could.

    >>> unloaded = Unloaded()
    >>> unloaded.add("late"), unloaded.read().names, unloaded.discard("late")
    (1, frozenset({'late'}), 2)
    """

    def __init__(self) -> None:
        self._choice = Choice()

    def read(self) -> Choice:
        """What is unloaded now."""
        return self._choice

    def add(self, name: str) -> int:
        """Serve it no longer; gives the number of the change."""
        return self._write(self.read().names | {name})

    def discard(self, name: str) -> int:
        """Serve it again; gives the number of the change."""
        return self._write(self.read().names - {name})

    def followed(self, choice: Choice) -> None:
        """This worker's board shows the choice."""

    def wait_for(self, change: int) -> bool:
        """Wait until every worker that shares this shows the change; False: one did not in time."""
        return True

    def _write(self, names: frozenset[str]) -> int:
        self._choice = Choice(names, self._choice.change + 1)
        return self._choice.change
