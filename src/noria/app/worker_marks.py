"""Which model a process was loading or asking when it died: a byte in a mapped file, set before and cleared after, read by whoever comes next.

A model that takes its process down twice in a while is not loaded again as challenger or shadow (worker_bundles). Files, in `cache/marks`:
`<pid>-<ns>.mark`, locked while its process lives, and `crashes.json`.
"""

import contextlib
import fcntl
import logging
import mmap
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from noria.domain.ids import Digest
from noria.ports.flavor import Columns, Predictor

SLOTS, SLOT_BYTES = 64, 128
_LOADING, _ASKING, _NAME = 0, 1, 2
MEMORY_S = 600.0
"""How long a crash is remembered: what crashed twice within it is in trouble, and may be tried again after it."""
MOST_CRASHES = 2

log = logging.getLogger(__name__)


class _Crash(msgspec.Struct, frozen=True):
    digest: Digest
    at: float


class Marks:
    """The marks of one process, and the crashes of those that shared its home. now: seconds since 1970."""

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._folder, self._now = folder, now
        self._crashes: list[_Crash] = []
        self._path, self._file = folder / f"{os.getpid()}-{time.time_ns()}.mark", -1
        self._slots: dict[Digest, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.read_crashes()
            self._memory = self._mapped()
        except OSError as error:  # a worker on a full disk answers, and leaves no marks
            log.warning("a crash will not be known to the next process: %s", error)
            self._memory = mmap.mmap(-1, SLOTS * SLOT_BYTES)

    def _mapped(self) -> mmap.mmap:
        """The file, with its blocks: a store into a page that the disk has no room for would end the process."""
        fresh = self._path.with_suffix(".new")
        self._file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(self._file, bytes(SLOTS * SLOT_BYTES), 0)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(fresh, self._path)  # named only when it is locked, so that nobody takes it for a dead one's
            return mmap.mmap(self._file, SLOTS * SLOT_BYTES)
        except OSError:
            fresh.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1
            raise

    def close(self) -> None:
        """Leave no mark: this process ends as it should."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def slot(self, digest: Digest) -> int | None:
        """Where a model's marks are; None when too many are loaded at once."""
        if digest not in self._slots:
            free = next((n for n in range(SLOTS) if n not in self._slots.values()), None)
            if free is None:
                return None
            start = free * SLOT_BYTES
            self._memory[start : start + SLOT_BYTES] = bytes(2) + digest.encode().ljust(SLOT_BYTES - _NAME, b"\0")
            self._slots[digest] = free
        return self._slots[digest] * SLOT_BYTES

    def forget(self, digest: Digest) -> None:
        """It is loaded no longer."""
        self._slots.pop(digest, None)

    @contextlib.contextmanager
    def loading(self, digest: Digest) -> Iterator[None]:
        """A model is being opened and tried."""
        slot = self.slot(digest)
        if slot is not None:
            self._memory[slot + _LOADING] = 1
        try:
            yield
        finally:
            if slot is not None:
                self._memory[slot + _LOADING] = 0

    def asked(self, digest: Digest, predictor: Predictor) -> Predictor:
        """The predictor, leaving a mark while it is asked."""
        slot = self.slot(digest)
        return predictor if slot is None else _Marked(predictor, self._memory, slot + _ASKING)

    def crashes(self, digest: Digest) -> int:
        """How often a process died over this model lately."""
        return sum(crash.digest == digest for crash in self._crashes)

    def read_crashes(self) -> None:
        """Take up what processes that died have left."""
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = _decoded(self._folder / "crashes.json")
            found = [*known, *(_Crash(digest, self._now()) for digest in self._left())]
            self._crashes = [crash for crash in found if abs(self._now() - crash.at) < MEMORY_S]
            if self._crashes != known:
                _write(self._folder / "crashes.json", msgspec.json.encode(self._crashes))

    def _left(self) -> Iterator[Digest]:
        """The models that dead processes were at; their files are removed."""
        for path in self._folder.glob("*.mark"):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                content = os.pread(descriptor, SLOTS * SLOT_BYTES, 0)
                path.unlink(missing_ok=True)
                for start in range(0, len(content), SLOT_BYTES):
                    if any(content[start : start + _NAME]):
                        yield Digest(content[start + _NAME : start + SLOT_BYTES].rstrip(b"\0").decode())
            except BlockingIOError:  # it lives
                continue
            finally:
                os.close(descriptor)


class _Marked:
    """A predictor that leaves a mark while it is asked; asked by one thread at a time."""

    __slots__ = ("_memory", "_place", "_predict")

    def __init__(self, predictor: Predictor, memory: mmap.mmap, place: int) -> None:
        self._predict, self._memory, self._place = predictor.predict, memory, place

    def predict(self, columns: Columns) -> Columns:
        """See Predictor."""
        memory, place = self._memory, self._place
        memory[place] = 1
        try:
            return self._predict(columns)
        finally:
            memory[place] = 0


def _decoded(path: Path) -> list[_Crash]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[_Crash])
    except (FileNotFoundError, msgspec.DecodeError):  # a file cut short by a power cut says nothing
        return []


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    fresh.write_bytes(content)
    os.replace(fresh, path)
