"""A run's journal: what was recorded, in local files, before any store knows of it. A process that is killed at any moment loses nothing of it.

A folder a run: `run` (whose journal it is; locked while its process lives) and numbered segments of frames `length u32 | crc32 u32 | body`. A
segment is a mapped file whose space is reserved when it is made: writing is no system call, and a full disk is met there and not in the middle.
What was sent is dropped segment by segment. A power failure is another matter: nothing here is synced to the disk. Filled by active_run.py, sent
by sync.py.
"""

import fcntl
import mmap
import os
import struct
import zlib
from pathlib import Path

from noria.domain.ids import RunId, derive
from noria.errors import DiskFull, StoreUnavailable

SEGMENT_BYTES = 512 * 1024
MOST_PROCESSES = 64
"""Processes of one run that record beside each other on one machine."""
_PREFIX = struct.Struct("<II")
_OWNER = "run"


class Journal:
    """The journal of one run, for the process that records it. Not thread-safe but for `drop` and `read`."""

    def __init__(self, folder: Path, run_id: RunId) -> None:
        self._parent = folder
        self._run_id = run_id
        self.folder = folder / name_of(run_id)
        self._lock: int | None = None
        self._map: mmap.mmap | None = None
        self._at = 0
        self._number = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return self._at == 0 and not (self._lock is not None and segments(self.folder))

    def append(self, body: bytes) -> None:
        """Keep a record; it survives this process from here on. Raises DiskFull, StoreUnavailable if no file can take it."""
        size = _PREFIX.size + len(body)
        if self._map is None or self._at + size + _PREFIX.size > len(self._map):
            try:
                self._begin(size + _PREFIX.size)
            except OSError as exc:
                kind = DiskFull if DiskFull.is_behind(exc) else StoreUnavailable
                raise kind(f"journal {str(self.folder)!r} cannot be written", cause=str(exc)) from exc
        assert self._map is not None
        start = self._at + _PREFIX.size
        self._map[start : start + len(body)] = body
        # The length comes last: a frame without one was never written.
        _PREFIX.pack_into(self._map, self._at, len(body), zlib.crc32(body))
        self._at += size

    def cut(self) -> list[Path]:
        """Close the segment that is being filled; gives all that wait to be sent, in order."""
        if self._at:
            self._close_segment()
        return segments(self.folder) if self._lock is not None else []

    def drop(self, segment: Path) -> None:
        """Forget a segment: it was sent."""
        segment.unlink(missing_ok=True)

    def release(self, *, remove: bool) -> None:
        """End. remove: everything was sent. Otherwise the files are left to `sync`."""
        if self._at:
            self._close_segment()
        if self._map is not None:
            self._map.close()
            self._map = None
            self._path().unlink(missing_ok=True)
        if self._lock is not None:
            if remove:
                discard(self.folder)
            os.close(self._lock)
            self._lock = None

    def _begin(self, needed: int) -> None:
        """Go on in a new segment. Raises OSError."""
        if self._lock is None:
            self._lock = self._taken()
            self._number = max((int(path.stem) for path in segments(self.folder)), default=0)
        if self._map is not None:
            self._close_segment()
        self._number += 1
        size = max(SEGMENT_BYTES, needed)
        descriptor = os.open(self._path(), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            self._map = mmap.mmap(descriptor, size)
        except OSError:
            self._path().unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self._at = 0

    def _close_segment(self) -> None:
        assert self._map is not None
        used, self._at = self._at, 0
        self._map.close()
        self._map = None
        os.truncate(self._path(), used)

    def _path(self) -> Path:
        return self.folder / f"{self._number:08}.segment"

    def _taken(self) -> int:
        """The lock of a folder of this run's own; a second process of the run has a second folder. Raises OSError."""
        for number in range(MOST_PROCESSES):
            folder = self._parent / f"{name_of(self._run_id)}{f'.{number}' if number else ''}"
            folder.mkdir(parents=True, exist_ok=True)
            lock = locked(folder, create=self._run_id)
            if lock is not None:
                self.folder = folder
                return lock
        raise BlockingIOError(f"{MOST_PROCESSES} processes record run {self._run_id!r} on this machine already")


def name_of(run_id: RunId) -> str:
    """The folder of a run: its id, if that is a plain name."""
    return run_id if len(run_id) <= 64 and run_id.replace("-", "").isalnum() and run_id.isascii() else derive(run_id)


def locked(folder: Path, *, create: RunId | None = None) -> int | None:
    """A descriptor that holds a journal's lock; None if its process lives, or if it is gone. Raises OSError."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create is not None else 0)
    try:
        descriptor = os.open(folder / _OWNER, flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink == 0:  # it was sent and removed while we took it
            raise BlockingIOError
        if create is not None and os.fstat(descriptor).st_size == 0:
            os.write(descriptor, create.encode())
    except OSError as exc:
        os.close(descriptor)
        if isinstance(exc, BlockingIOError):
            return None
        raise
    return descriptor


def owner(folder: Path) -> RunId:
    """Whose journal a folder is. Raises OSError."""
    return RunId((folder / _OWNER).read_text())


def journals(folder: Path) -> list[Path]:
    """Every run's journal in a folder, those of live processes included."""
    return sorted(path.parent for path in folder.glob(f"*/{_OWNER}") if path.parent.suffix != ".refused")


def segments(folder: Path) -> list[Path]:
    """The segments of a journal, in order."""
    return sorted(folder.glob("*.segment"))


def discard(folder: Path) -> None:
    """Remove a journal. The caller holds its lock."""
    for path in segments(folder):
        path.unlink(missing_ok=True)
    (folder / _OWNER).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:  # something else lies in it, or it is gone
        pass


def put_aside(folder: Path) -> Path:
    """Rename a journal that cannot be sent, so that no one tries again. The caller holds its lock."""
    number = 0
    while (target := folder.with_name(f"{folder.name}{f'-{number}' if number else ''}.refused")).exists():
        number += 1
    return folder.rename(target)


def read(segment: Path) -> tuple[list[bytes], bool]:
    """The bodies of a segment, and whether it is whole: one that a kill cut short is, one whose bytes have changed since is not."""
    content = memoryview(segment.read_bytes())
    found: list[bytes] = []
    at = 0
    while at + _PREFIX.size <= len(content):
        length, check = _PREFIX.unpack_from(content, at)
        if not length:
            break
        body = content[at + _PREFIX.size : at + _PREFIX.size + length]
        if len(body) != length or zlib.crc32(body) != check:
            return found, False
        found.append(bytes(body))
        at += _PREFIX.size + length
    return found, True
