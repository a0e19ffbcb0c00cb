"""What SQLite's errors mean: no room, another writer, a damaged file. Called by writer.py and open.py."""

import shutil
import sqlite3
import sys
from pathlib import Path

from noria.errors import DiskFull, StoreCorrupt, StoreError, StoreUnavailable

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_ACCESS = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_ROOM_NEEDED = 64 * 1024
"""Bytes: with less than this free, a failed write is taken for a full disk."""


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code, without what the extended one adds; 0 for an error that has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def is_busy(error: BaseException) -> bool:
    """Whether somebody else held the lock for too long."""
    return primary_code(error) in _BUSY


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """Say what an error of SQLite's means for the store at `path`."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_room(path)):
        return DiskFull(f"no room left for '{path}'", cause=str(error))
    if code in _BUSY:
        return StoreUnavailable(
            f"store '{path}' is held by another writer",
            cause=str(error),
            remedy="end the process that holds it (a backup, a shell?), then repeat the command",
        )
    if code in _DAMAGED:
        return StoreCorrupt(
            f"store '{path}' is damaged",
            cause=str(error),
            remedy="restore it from a backup; `noria doctor` says what can still be read",
        )
    if code in _NO_ACCESS:
        return StoreUnavailable(
            f"store '{path}' cannot be opened or written",
            cause=str(error),
            remedy="look at the rights of the file and its folder",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnavailable(f"the disk under '{path}' does not answer", cause=str(error))
    return StoreError(f"store '{path}' cannot do this", cause=f"{type(error).__name__}: {error}")


def _no_room(path: Path) -> bool:
    """Whether disk, quota or limit of this process stand behind a failed write. SQLite names only a full disk by itself."""
    try:
        if shutil.disk_usage(path.parent).free < _ROOM_NEEDED:
            return True
        sizes = [file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists()]
    except OSError:
        return False
    return max(sizes, default=0) + _ROOM_NEEDED > _largest_file()


def _largest_file() -> float:
    """Bytes to which this process may let a file grow."""
    if sys.platform == "win32":
        return float("inf")
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit
