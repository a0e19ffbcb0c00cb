"""What the processes of one worker agree on, as small files in a folder of their own: what was unloaded, and that all have written their records.

One process changes the choice, each looks about every 100 ms, follows, and says so. Called by worker.py; the folder is the parent's.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from noria.app.worker_unloaded import Choice, Unloaded

PATIENCE_S = 15.0
LOOK_S = 0.02

T = TypeVar("T")


class _Written(msgspec.Struct, frozen=True):
    change: int = 0
    names: tuple[str, ...] = ()


class _Seen(msgspec.Struct, frozen=True):
    change: int = 0
    flushed: bool = False


class GroupUnloaded(Unloaded):
    """The same choice in all processes. folder: holds `slot-<n>` for each process that lives (see `enter`)."""

    def __init__(self, folder: Path, slot: int, *, flush: Callable[[], bool]) -> None:
        """flush: writes every record taken so far; each process does so before it says that it has followed a change."""
        super().__init__()
        self._folder, self._slot, self._flush = folder, slot, flush
        self._seen = _Seen(change=-1)

    def read(self) -> Choice:
        """See Unloaded."""
        written = _read(self._folder / "choice.json", _Written) or _Written()
        return Choice(frozenset(written.names), written.change)

    def touch(self) -> int:
        """Change nothing; but when all have followed, all have written their records."""
        return self._change(lambda names: names)

    def add(self, name: str) -> int:
        """See Unloaded."""
        return self._change(lambda names: names | {name})

    def discard(self, name: str) -> int:
        """See Unloaded."""
        return self._change(lambda names: names - {name})

    def followed(self, choice: Choice) -> None:
        """See Unloaded."""
        if choice.change > self._seen.change:
            self._seen = _Seen(choice.change, self._flush())
            _write(self._folder / f"seen-{self._slot}.json", self._seen)

    def wait_for(self, change: int, *, flushed: bool = False) -> bool:
        """See Unloaded. flushed: they must also have written their records."""
        until = time.monotonic() + PATIENCE_S
        while True:
            seen = [_read(self._folder / f"seen-{slot}.json", _Seen) for slot in slots(self._folder)]
            if all(one is not None and one.change >= change for one in seen):
                return not flushed or all(one is not None and one.flushed for one in seen)
            if time.monotonic() >= until:
                return False
            time.sleep(LOOK_S)

    def _change(self, new: Callable[[frozenset[str]], frozenset[str]]) -> int:
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            choice = self.read()
            written = _Written(choice.change + 1, tuple(sorted(new(choice.names))))
            _write(self._folder / "choice.json", written)
            return written.change


def enter(folder: Path, slot: int, pid: int) -> None:
    """Note that a process lives. What its predecessor had followed does not count for it."""
    leave(folder, slot)
    _write(folder / f"slot-{slot}.json", pid)


def leave(folder: Path, slot: int) -> None:
    """Note that a process has ended."""
    for name in (f"slot-{slot}.json", f"seen-{slot}.json"):
        (folder / name).unlink(missing_ok=True)


def slots(folder: Path) -> list[int]:
    """Those whose process lives, in order."""
    return sorted(int(path.stem.removeprefix("slot-")) for path in folder.glob("slot-*.json"))


def restarted(folder: Path, count: int) -> None:
    """Note how often a process has come back after a crash."""
    _write(folder / "restarts.json", count)


def standing(folder: Path) -> tuple[int, int]:
    """How many processes live, and how often one has come back after a crash."""
    return len(slots(folder)), _read(folder / "restarts.json", int) or 0


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None


def _write(path: Path, value: object) -> None:
    """Whole or not at all."""
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(value))
    os.replace(fresh, path)
