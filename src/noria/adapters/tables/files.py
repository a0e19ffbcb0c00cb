"""Write a file whole or not at all, for one name once, beside other processes. What is in the file is parquet.py. Called by it."""

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from noria.errors import DiskFull, StoreUnavailable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def create(path: Path, content: bytes | memoryview) -> bool:
    """Put a new file into place; False if the name is taken already (whoever came first wins). Durable when it returns True.

    Raises DiskFull (nothing is kept), StoreUnavailable for any other failure of the file system.
    """
    with _translated(path):
        with _temporary(path.parent, content) as temporary:
            try:
                os.link(temporary, path)  # fails if the name exists, unlike a rename: this is what makes 'once' safe
            except FileExistsError:
                return False
        _sync_folder(path.parent)
        return True


def replace(path: Path, content: bytes | memoryview) -> None:
    """Put a file into place of whatever stands there, at once and whole."""
    with _translated(path):
        with _temporary(path.parent, content) as temporary:
            os.replace(temporary, path)
        _sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder with its parents; no error if it is there."""
    with _translated(path):
        path.mkdir(parents=True, exist_ok=True)


def sweep(folder: Path) -> int:
    """Remove what killed writers left behind in a folder; a live writer's file is locked and stays. Gives the number removed."""
    removed = 0
    for left in folder.glob(".new-*"):
        with suppress(OSError), left.open("rb") as handle:  # gone, or locked by its writer: both are fine
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
            removed += 1
    return removed


@contextmanager
def _temporary(folder: Path, content: bytes | memoryview) -> Iterator[Path]:
    """A complete, synced file under a passing name, removed afterwards if it is still there."""
    path = folder / f".new-{os.getpid()}-{os.urandom(6).hex()}"
    try:
        with _open_locked(path) as handle:
            view = memoryview(content)
            while view:
                view = view[handle.write(view) :]
            os.fsync(handle.fileno())
            yield path
    finally:
        path.unlink(missing_ok=True)


def _open_locked(path: Path) -> io.FileIO:
    """A new file under a lock that tells `sweep` that its writer lives."""
    while True:
        handle = path.open("xb", buffering=0)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle.fileno()).st_nlink:
            return handle
        handle.close()  # swept between the two calls above


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(
                f"'{path}' could not be written: {error.strerror}",
                cause="the disk, a quota or a file-size limit is exhausted",
            ) from error
        raise StoreUnavailable(
            f"'{path}' could not be written: {error.strerror or error}",
            cause="the file system refused",
            remedy=f"check that '{path.parent}' exists and may be written",
        ) from error
