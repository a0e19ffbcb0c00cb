"""Frames: the only way bytes are appended here. `length u32 | first 8 bytes of BLAKE3(body) | body`, behind a header with a version.

Standard library and blake3 only: a worker imports this. What a frame says is journal.py's and labels.py's business.
"""

import contextlib
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from noria.errors import DiskFull, InputInvalid, NoriaError, StoreCorrupt, StoreNewer, StoreUnavailable

PREFIX = struct.Struct("<I8s")
HEADER_LENGTH = 8
VERSION = 1

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)


def header(kind: bytes, version: int = VERSION) -> bytes:
    """The first bytes of a file of frames. kind: 4 bytes.

    >>> header(b"PRED")
    b'NOPRED\\x00\\x01'
    """
    return b"NO" + kind + struct.pack(">H", version)


AT_ONCE = 1 << 16
"""Bytes of one write: larger ones make the system look for memory in one piece, which costs several times as much."""


class Appender:
    """Appends frames to a file that nobody else appends to. A frame is there whole or not at all. Not thread-safe.

    descriptor: open for appending, positioned anywhere; end: where the last whole frame ends. `broken` says that a failed write could not be taken
    back: nothing may be appended behind it.
    """

    def __init__(self, descriptor: int, *, path: Path, end: int, durable: bool) -> None:
        self.path = path
        self.end = end
        self.broken = False
        self._descriptor = descriptor
        self._durable = durable

    def begin(self, kind: bytes, *, version: int = VERSION) -> None:
        """Write the header of a new file. Raises DiskFull, StoreUnavailable."""
        self._put(header(kind, version))

    def append(self, body: bytes) -> None:
        """Write one frame. Raises DiskFull, StoreUnavailable; nothing of the frame is kept then."""
        self._put(PREFIX.pack(len(body), blake3(body).digest(8)) + body)

    def sync(self) -> None:
        """Make sure that everything has reached the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as exc:
            raise translated(exc, f"journal {str(self.path)!r} cannot be written") from exc

    def close(self) -> None:
        """Let go of the file, and of the lock on it."""
        os.close(self._descriptor)

    def _put(self, content: bytes) -> None:
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._descriptor, view[:AT_ONCE]) :]
            if self._durable:
                os.fsync(self._descriptor)
        except OSError as exc:
            self.broken = True
            with contextlib.suppress(
                OSError
            ):  # if even this fails, `broken` stays and the writer goes on in a new file
                os.ftruncate(self._descriptor, self.end)
                self.broken = False
            raise translated(exc, f"journal {str(self.path)!r} cannot be written") from exc
        self.end += len(content)


def read_frames(
    path: Path, kind: bytes, *, after: int = 0, sealed: bool = False, newest: int = VERSION
) -> tuple[list[bytes], int]:
    """Bodies of the whole frames behind the offset `after` (0: the beginning), and the offset where the last of them ends.

    A torn end (a writer was killed, or is writing now) is left out; `sealed` files were finished and must have none. Raises StoreCorrupt for anything
    else that is not a frame, StoreNewer beyond version `newest`, and FileNotFoundError, which tells a reader that the file has moved on.
    """
    try:
        with open(path, "rb") as file:
            if not after:
                start = file.read(HEADER_LENGTH)
                if len(start) < HEADER_LENGTH and not sealed:
                    return [], 0
                _check_header(start, kind, path, newest)
                after = HEADER_LENGTH
            file.seek(after)
            content = file.read()
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise translated(exc, f"journal {str(path)!r} cannot be read") from exc
    bodies: list[bytes] = []
    position = 0
    while (body := _frame_at(content, position)) is not None:
        bodies.append(body)
        position += PREFIX.size + len(body)
    rest = memoryview(content)[position:]
    if rest and (sealed or not _torn(rest)):
        raise StoreCorrupt(
            f"journal {str(path)!r} is damaged at byte {after + position}",
            cause="the bytes there are not a whole frame, and they are not the end that a killed writer leaves",
            remedy=f"restore this file from a backup, or go on without what follows: mv {str(path)!r} elsewhere",
        )
    return bodies, after + position


def checked_name(name: str, what: str) -> str:
    """A name that is safe as a file's name. Raises InputInvalid.

    >>> checked_name("worker-1", "writer")
    'worker-1'
    """
    if not _NAME.fullmatch(name):
        raise InputInvalid(
            f"{name[:80]!r} cannot name a {what}",
            cause="its name becomes a file's name",
            remedy="use up to 100 letters, digits, '.', '_' and '-', not beginning with '.'",
        )
    return name


def make_folder(folder: Path) -> None:
    """Make a folder with its parents; it need not survive a power cut before something in it is synced."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise translated(exc, f"folder {str(folder)!r} cannot be made") from exc


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """No other process holds this folder's lock during the block; waits for its turn. Makes the folder if it is missing."""
    make_folder(folder)
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise translated(exc, f"folder {str(folder)!r} cannot be locked") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def listing(folder: Path) -> list[str]:
    """Names in a folder as of one moment: read until two readings agree, for a rename may hide an entry from a single one. Sorted."""
    names = _names(folder)
    while names != (names := _names(folder)):
        pass
    return names


def translated(error: OSError, problem: str) -> NoriaError:
    """The project's error for one of the operating system."""
    kind = DiskFull if DiskFull.is_behind(error) else StoreUnavailable
    return kind(problem, cause=str(error))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise translated(exc, f"folder {str(folder)!r} cannot be read") from exc


def _check_header(start: bytes, kind: bytes, path: Path, newest: int) -> None:
    if start in [header(kind, version) for version in range(1, newest + 1)]:
        return
    if start[:6] == header(kind)[:6] and len(start) == HEADER_LENGTH:
        raise StoreNewer(
            f"journal {str(path)!r} was written by a newer Noria", cause=f"it has format {start[6:].hex()}"
        )
    raise StoreCorrupt(
        f"{str(path)!r} is not a journal",
        cause=f"it begins with {start!r}",
        remedy=f"restore it from a backup, or: mv {str(path)!r} elsewhere",
    )


def _frame_at(content: bytes, position: int) -> bytes | None:
    start = position + PREFIX.size
    if start > len(content):
        return None
    length, check = PREFIX.unpack_from(content, position)
    body = content[start : start + length]
    if len(body) != length or not length or blake3(body).digest(8) != check:
        return None
    return body


def _torn(rest: memoryview) -> bool:
    """Whether bytes look like the end of a killed writer: fewer than the frame's length says, or only zeros (a power cut can leave those)."""
    if len(rest) < PREFIX.size or not any(rest):
        return True
    length, _ = PREFIX.unpack_from(rest)
    return bool(length > len(rest) - PREFIX.size)
