"""Blobs as files under one folder: `objects/ab/cd/<rest of the digest>`, `documents/<name>`, `incoming/` for what is being written.

Every write goes to a temporary file first, reaches the disk, and is then renamed: a crash leaves it whole or absent. Loaded by app/plugins.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from noria.adapters.blobs.names import hexadecimal, parts_of
from noria.domain.ids import Digest, digest_of
from noria.errors import (
    AlreadyExists,
    DiskFull,
    InputInvalid,
    NoriaError,
    NotFound,
    SourceUnreadable,
    StoreCorrupt,
    StoreUnavailable,
)

CHUNK = 1 << 20
NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


def open_store(location: str) -> "LocalBlobStore":
    """Open the store in a folder, which is made if it is missing. Leftovers of killed writers are removed.

    >>> import tempfile
    >>> store = open_store(tempfile.mkdtemp())
    >>> store.get(store.put(b"abc"))
    b'abc'
    """
    return LocalBlobStore(Path(location))


class LocalBlobStore:
    """Content-addressed read-only files. Safe for any number of threads and processes on one machine."""

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "objects"
        self._documents = folder / "documents"
        self._incoming = folder / "incoming"
        self._lock = folder / "lock"
        try:
            for needed in (self._objects, self._documents, self._incoming):
                needed.mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as exc:
            raise _translated(exc, f"the blob store {str(folder)!r} cannot be opened") from exc

    def put(self, content: bytes) -> Digest:
        """See ports/blobs. Costs one hash if the content is held already, else a write that has reached the disk when this returns."""
        digest = digest_of(content)
        target = self._path(digest)
        if not self._touched(target, len(content)):
            self._write(lambda: target, iter((content,)), what=f"content {digest}", mode=0o444)
        return digest

    def put_chunks(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """See ports/blobs."""
        hasher = blake3()
        size = 0

        def hashed() -> Iterator[bytes]:
            nonlocal size
            for chunk in _theirs(chunks):
                hasher.update(chunk)
                size += len(chunk)
                yield chunk

        try:
            self._write(lambda: self._path(_address(hasher)), hashed(), what="content that comes in pieces", mode=0o444)
        except _SourceBroke as broke:
            raise broke.error from None
        return _address(hasher), size

    def put_file(self, path: Path) -> Digest:
        """See ports/blobs. Reads once, 1 MiB at a time; a file that changes meanwhile is kept as it was read."""
        hasher = blake3()

        def chunks() -> Iterator[bytes]:
            for chunk in _chunks(path):
                hasher.update(chunk)
                yield chunk

        self._write(lambda: self._path(_address(hasher)), chunks(), what=f"file {str(path)!r}", mode=0o444)
        return _address(hasher)

    def chunks(self, digest: Digest, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See ports/blobs."""
        path = self._path(digest)
        try:
            file = open(path, "rb")  # noqa: SIM115 (the generator closes it)
        except OSError as exc:
            raise _unread(exc, digest, path) from exc
        return _pieces(file, digest, path, start=max(start, 0), end=end)

    def get(self, digest: Digest) -> bytes:
        """See ports/blobs."""
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise _unread(exc, digest, path) from exc
        if digest_of(content) != digest:
            raise _corrupt(digest, path)
        return content

    def export(self, digest: Digest, target: Path) -> None:
        """See ports/blobs. The target is read-only; where the file system cannot link, it is a copy."""
        source = self._path(digest)
        hasher = blake3()
        try:
            for chunk in _chunks(source):
                hasher.update(chunk)
        except SourceUnreadable as exc:
            raise _unread(exc.__cause__, digest, source) from exc
        if _address(hasher) != digest:
            raise _corrupt(digest, source)
        try:
            os.link(source, target)
        except FileExistsError as exc:
            raise AlreadyExists(f"file {str(target)!r} exists", remedy="export to a new path") from exc
        except OSError as exc:
            if exc.errno not in NO_LINKS:
                raise _translated(exc, f"content {digest} cannot be written to {str(target)!r}") from exc
            self._copy(source, target, digest)

    def has(self, digest: Digest) -> bool:
        """See ports/blobs."""
        return self._path(digest).is_file()

    def size(self, digest: Digest) -> int:
        """See ports/blobs."""
        path = self._path(digest)
        try:
            return path.stat().st_size
        except OSError as exc:
            raise _unread(exc, digest, path) from exc

    def delete(self, digest: Digest, *, idle_since: datetime | None = None) -> bool:
        """See ports/blobs. Exported hard links keep their content until they are removed too."""
        path = self._path(digest)
        try:
            with self._locked(fcntl.LOCK_EX):
                if idle_since is not None and not _idle(path, idle_since):
                    return False
                path.unlink()
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise _translated(exc, f"content {digest} cannot be deleted") from exc
        return True

    def digests(self, *, idle_since: datetime | None = None) -> Iterator[Digest]:
        """See ports/blobs."""
        for first in sorted(self._objects.iterdir()):
            for second in sorted(first.iterdir()):
                for file in sorted(second.iterdir()):
                    if idle_since is None or _idle(file, idle_since):
                        yield Digest(f"blake3:{first.name}{second.name}{file.name}")

    def publish(self, name: str, document: bytes) -> None:
        """See ports/blobs."""
        target = self._documents.joinpath(*self._checked(name))
        if target.is_dir():
            raise InputInvalid(
                f"{name!r} would be folder and file at once", cause="documents are published below this name"
            )
        self._write(lambda: target, iter((document,)), what=f"document {name!r}", mode=0o644)

    def published(self, name: str) -> bytes | None:
        """See ports/blobs."""
        target = self._documents.joinpath(*self._checked(name))
        try:
            return target.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as exc:
            raise _translated(exc, f"document {name!r} cannot be read") from exc

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """The lock between who puts content that is here already (shared) and who deletes it (alone)."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _touched(self, target: Path, size: int) -> bool:
        """Whether a whole file of this size is at its address; it then counts as put now, so that nobody deletes it as idle."""
        if not target.is_file():
            return False
        try:
            with self._locked(fcntl.LOCK_SH):
                if target.stat().st_size != size:
                    return False  # damaged: it is written again
                os.utime(target)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise _translated(exc, f"content at {str(target)!r} cannot be kept") from exc
        return True

    def _path(self, digest: Digest) -> Path:
        text = hexadecimal(digest)
        return self._objects / text[:2] / text[2:4] / text[4:]

    def _checked(self, name: str) -> tuple[str, ...]:
        """A name's parts. Refuses a name that leads through a symbolic link, or through a document as if it were a folder."""
        parts = parts_of(name)
        path = self._documents
        for depth, part in enumerate(parts, start=1):
            path /= part
            try:
                mode = path.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                break
            if stat.S_ISLNK(mode):
                raise InputInvalid(
                    f"{name!r} cannot name a document",
                    cause=f"{str(path)!r} is a symbolic link",
                    remedy="remove the link",
                )
            if depth < len(parts) and not stat.S_ISDIR(mode):
                raise InputInvalid(
                    f"{name!r} would be folder and file at once", cause=f"{'/'.join(parts[:depth])!r} is a document"
                )
        return parts

    def _write(self, place: Callable[[], Path], chunks: Iterator[bytes], *, what: str, mode: int) -> None:
        """Write to a temporary file, then rename it to `place()`, which is asked for after the last chunk."""
        try:
            with self._incoming_file() as (temporary, file):
                for chunk in chunks:
                    file.write(chunk)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
                os.utime(file.fileno())  # a long upload is new when it is complete
                target = place()
                _make_folder(target.parent)
                os.rename(temporary, target)
            _sync_folder(target.parent)
        except OSError as exc:
            raise _translated(exc, f"{what} cannot be stored") from exc

    @contextlib.contextmanager
    def _incoming_file(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new temporary file that is gone after the block unless it was renamed."""
        path, file = self._begin()
        try:
            yield path, file
        finally:
            with contextlib.suppress(
                OSError
            ):  # bytes that found no room fail here once more; the first error is on its way
                file.close()
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _begin(self) -> tuple[Path, BinaryIO]:
        """A new file in `incoming`, locked for as long as its writer lives, so that `_sweep` can tell leftovers."""
        while True:
            path = self._incoming / secrets.token_hex(16)
            file = open(path, "xb")  # noqa: SIM115 (the caller's block closes it)
            # If a sweeper came between these two calls, it removes the file, and we take another.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_nlink:
                    return path, file
            file.close()

    def _sweep(self) -> None:
        """Remove temporary files whose writer is dead: those that can be locked."""
        for path in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError, BlockingIOError), open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def _copy(self, source: Path, target: Path, digest: Digest) -> None:
        """Export where links are not possible. The target appears whole."""
        temporary = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with open(temporary, "xb") as file:
                for chunk in _chunks(source):
                    file.write(chunk)
                os.fchmod(file.fileno(), 0o444)
            os.rename(temporary, target)
        except OSError as exc:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise _translated(exc, f"content {digest} cannot be written to {str(target)!r}") from exc


class _SourceBroke(Exception):
    """Carries an OSError of whoever sends the pieces past those of the disk."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _theirs(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except OSError as exc:
        raise _SourceBroke(exc) from exc


def _address(hasher: blake3) -> Digest:
    return Digest("blake3:" + hasher.hexdigest())


def _idle(path: Path, since: datetime) -> bool:
    """Whether nobody has put this content since then."""
    return path.stat().st_mtime < since.timestamp()


def _pieces(file: BinaryIO, digest: Digest, path: Path, *, start: int, end: int | None) -> Iterator[bytes]:
    """Pieces of an open file; the last one of a whole read comes only if all of them have the digest."""
    with file:
        size = os.fstat(file.fileno()).st_size
        stop = size if end is None else min(end, size)
        whole = start == 0 and stop == size
        hasher = blake3()
        position = file.seek(start)
        while position < stop:
            try:
                piece = file.read(min(CHUNK, stop - position))
            except OSError as exc:
                raise _unread(exc, digest, path) from exc
            if not piece:
                raise _corrupt(digest, path)
            position += len(piece)
            if whole:
                hasher.update(piece)
                if position >= stop and _address(hasher) != digest:
                    raise _corrupt(digest, path)
            yield piece
        if whole and size == 0 and _address(hasher) != digest:
            raise _corrupt(digest, path)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as exc:
        raise SourceUnreadable(f"file {str(path)!r} cannot be read", cause=str(exc)) from exc


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents so that they survive a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _corrupt(digest: Digest, path: Path) -> StoreCorrupt:
    return StoreCorrupt(
        f"content {digest} is damaged",
        cause=f"the bytes of {str(path)!r} do not have this digest",
        remedy=f"restore this file from a backup, or delete it and store the content again: rm {str(path)!r}",
    )


def _unread(error: BaseException | None, digest: Digest, path: Path) -> NoriaError:
    if isinstance(error, FileNotFoundError):
        return NotFound.of("content", digest)
    return StoreUnavailable(
        f"content {digest} cannot be read", cause=str(error), remedy=f"check the disk that holds {str(path)!r}"
    )


def _translated(error: OSError, problem: str) -> NoriaError:
    if DiskFull.is_behind(error):
        return DiskFull(problem, cause=str(error))
    if isinstance(error, NotADirectoryError | IsADirectoryError):
        return InputInvalid(problem, cause=str(error), remedy="remove what stands in the way, or use another path")
    return StoreUnavailable(problem, cause=str(error), remedy="check the path, its permissions and the disk")
