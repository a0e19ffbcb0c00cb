"""Counts that every worker process of a machine can read: each process adds in a memory-mapped file of its own, anyone sums them all.

An addition is a store into memory, so a scrape is exact to the moment and a kill -9 loses nothing. What a count means is metrics.
"""

import contextlib
import logging
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import IO, Any, Literal, TypeAlias
from weakref import finalize

import msgspec

from noria.errors import SettingInvalid

Numbers: TypeAlias = "memoryview[float]"
Kept = Literal["sum", "live", "least"]
"""What becomes of a value: 'sum' counts on when its process is gone, 'live' is summed over processes that live, 'least' is their smallest."""

SEGMENT_BYTES = 64 * 1024
MAGIC = b"noriact1"
HEAD = struct.Struct("<8sQ")
ENTRY = struct.Struct("<II")
FOLDED_NAMES = 256
"""Names of files that were added to the gone ones; a scrape that began before the last so many deaths still counts each of them once."""

log = logging.getLogger(__name__)


class _Gone(msgspec.Struct):
    """What processes that are gone have counted. folded: the files that are in here already."""

    folded: list[str] = []
    counts: dict[str, list[float]] = {}


class Shared:
    """The counts of one process, and the sum of all in the folder.

    folder: new for each life of a service, made and removed by whoever starts its processes; None: this process is alone, in plain memory.
    pid: of this process. Open it after the process was born: a fork would share the file. Where the file cannot be made (a full disk), this process
    counts for itself alone and says so in the log. Adding is not thread-safe, as `+=` is not: one thread for each name; the rest is.
    """

    def __init__(self, folder: Path | None, pid: int) -> None:
        """Raises SettingInvalid for a folder on a system without file locks."""
        self.pid = pid
        self.is_alone = folder is None
        self._folder = folder
        self._name = f"{pid}-{token_hex(4)}"
        self._segments: list[mmap.mmap] = []
        self._locks: list[finalize[Any, Any]] = []
        self._names: set[str] = set()
        self._used = SEGMENT_BYTES
        self._placing = Lock()
        self._views: dict[str, Numbers] = {}
        if folder is not None:
            with _locked(folder):
                _fold(folder)

    def slots(self, name: str, count: int, *, kept: Kept = "sum") -> Numbers:
        """This process's own numbers of a name, `count` doubles that are added to in place; the same name gives the same ones."""
        key = f"{kept} {name}"
        view = self._views.get(key)
        if view is None:
            with self._placing:
                view = self._views.get(key) or self._place(key, count)
        return view

    def total(self) -> dict[str, list[float]]:
        """Every name's numbers over all processes. Also of those that are gone, where they count on."""
        values: dict[str, list[float]] = {key: list(view) for key, view in list(self._views.items())}
        if self._folder is not None:
            for _, lives, counts in self._others():
                _add(values, {key: held for key, held in counts.items() if lives or key.startswith("sum ")})
        return {key.partition(" ")[2]: held for key, held in values.items()}

    def pids(self) -> list[int]:
        """Processes that live, this one too."""
        others = [] if self._folder is None else [pid for pid, lives, _ in self._others() if lives]
        return sorted({self.pid, *others})

    def close(self) -> None:
        """Count no more. What was counted stays in the folder."""
        self._views.clear()
        for let_go in self._locks:
            let_go()

    def _others(self) -> Iterator[tuple[int, bool, dict[str, list[float]]]]:
        """(pid, whether it lives, counts) of each file of another process; then the gone ones as pid 0.

        Files are read before the gone ones: whichever was added to these meanwhile is in their list, and is left out.
        """
        assert self._folder is not None
        read: dict[str, tuple[int, bool, dict[str, list[float]]]] = {}
        for path in sorted(self._folder.glob("*.counts")):
            if path.name in self._names:
                continue
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                counts = _entries(file.read())
                read[path.name] = (int(path.name.partition("-")[0]), not _lock(file, exclusive=False), counts)
        gone = _gone(self._folder)
        yield from (one for name, one in read.items() if name not in gone.folded)
        yield 0, False, gone.counts

    def _place(self, key: str, count: int) -> Numbers:
        raw = key.encode()
        padded = -len(raw) % 8 + len(raw)
        size = ENTRY.size + padded + 8 * count
        if self._used + size > SEGMENT_BYTES:
            self._begin_segment()
        segment, at = self._segments[-1], self._used
        segment[at : at + ENTRY.size] = ENTRY.pack(len(raw), count)
        segment[at + ENTRY.size : at + ENTRY.size + len(raw)] = raw
        begin = at + ENTRY.size + padded
        view = memoryview(segment)[begin : begin + 8 * count].cast("d")
        self._used = at + size
        segment[: HEAD.size] = HEAD.pack(MAGIC, self._used)  # last: a reader never sees half an entry
        self._views[key] = view
        return view

    def _begin_segment(self) -> None:
        segment = None
        if self._folder is not None:
            name = f"{self._name}-{len(self._segments)}.counts"
            try:
                with _locked(self._folder):
                    segment = self._file(self._folder / name)
                self._names.add(name)
            except OSError as error:
                log.warning("what process %d counts from now on is its own: %s", self.pid, error)
        self._segments.append(mmap.mmap(-1, SEGMENT_BYTES) if segment is None else segment)
        self._used = HEAD.size

    def _file(self, path: Path) -> mmap.mmap:
        """A file that is reserved in full, because a store into a page for which the disk has no room would end the process."""
        file = path.open("xb+")
        try:
            os.posix_fallocate(file.fileno(), 0, SEGMENT_BYTES)
            _lock(
                file, exclusive=True
            )  # held for life, and let go by the kernel at death: no pid that is used again can mislead
            file.write(HEAD.pack(MAGIC, HEAD.size))
            file.flush()
            segment = mmap.mmap(file.fileno(), SEGMENT_BYTES)
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        self._locks.append(finalize(self, _unlock, file))
        return segment


def _fold(folder: Path) -> None:
    """Add the files of processes that are gone to one, then remove them, with the folder locked. A crash between the two counts nothing twice."""
    gone, done = _gone(folder), []
    for path in sorted(folder.glob("*.counts")):
        with path.open("rb") as file:
            if not _lock(file, exclusive=True):
                continue
            done.append(path)
            if path.name not in gone.folded:
                _add(gone.counts, {k: v for k, v in _entries(file.read()).items() if k.startswith("sum ")})
                gone.folded.append(path.name)
    if done:
        gone.folded = gone.folded[-max(FOLDED_NAMES, len(done)) :]
        part = folder / "gone.part"
        part.write_bytes(msgspec.json.encode(gone))
        part.replace(folder / "gone.json")
    for path in done:
        path.unlink()


def _gone(folder: Path) -> _Gone:
    with contextlib.suppress(FileNotFoundError):
        return msgspec.json.decode((folder / "gone.json").read_bytes(), type=_Gone)
    return _Gone()


def _entries(content: bytes) -> dict[str, list[float]]:
    """What a file counts; nothing for one that is not made yet."""
    if len(content) < HEAD.size:
        return {}
    magic, used = HEAD.unpack_from(content)
    found: dict[str, list[float]] = {}
    at = HEAD.size
    while magic == MAGIC and at < used:
        length, count = ENTRY.unpack_from(content, at)
        at += ENTRY.size
        key = content[at : at + length].decode()
        at += length + -length % 8
        found[key] = list(struct.unpack_from(f"={count}d", content, at))
        at += 8 * count
    return found


def _add(to: dict[str, list[float]], more: dict[str, list[float]]) -> None:
    for key, values in more.items():
        known = to.get(key)
        # A former program's file may have counted a name with other buckets: that cannot be added, and the newer one stands.
        if known is None or len(known) != len(values):
            to[key] = known or values
            continue
        join: Callable[[float, float], float] = min if key.startswith("least ") else float.__add__
        to[key] = [join(a, b) for a, b in zip(known, values, strict=True)]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("ab") as file:
        _lock(file, exclusive=True, wait=True)
        yield


def _unlock(file: IO[bytes]) -> None:
    """Let go, though the mapping holds the file open for as long as somebody has numbers of it."""
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)
    file.close()


def _lock(file: IO[bytes], *, exclusive: bool, wait: bool = False) -> bool:
    """Whether the lock was free; it is kept until the file is closed."""
    try:
        import fcntl
    except ImportError as exc:
        raise SettingInvalid(
            "several worker processes cannot count together here",
            cause="this system has no file locks of the kind that ends with a process",
            remedy="serve with one process",
        ) from exc
    how = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    return True
