"""Alerts as lines of JSON in a file, for whatever follows files. Loaded by app/plugins; the port is ports/notifier."""

import contextlib
import fcntl
import os
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import msgspec

from noria.domain.alert import Notice
from noria.errors import SettingInvalid, StoreUnavailable


def open_notifier(location: str, *, secret: str = "") -> "LogNotifier":
    """Give a notifier that appends to a file, which is made with the first alert. A file has no secret. Raises SettingInvalid without one."""
    if not location:
        raise SettingInvalid(
            "the log notifier has no file", remedy="in noria.toml, [notify]: location = 'alerts.jsonl'"
        )
    return LogNotifier(Path(location))


class _Line(msgspec.Struct):
    id: str
    change: str


class LogNotifier:
    """Appends one line a notice; what stands in the file already is not written again. Thread-safe, and safe beside other processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._read = 0
        self._known: set[str] = set()

    def notify(self, notice: Notice) -> None:
        """See ports/notifier. The line is on the disk when this returns; a full disk counts as a receiver that is away."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, open(self._path, "a+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                torn = self._catch_up(file)
                if notice.id not in self._known:
                    _append(file, (b"\n" if torn else b"") + msgspec.json.encode(notice) + b"\n")
        except OSError as exc:
            raise StoreUnavailable(
                f"alert {notice.alert.id!r} cannot be written",
                cause=str(exc),
                remedy=f"check the disk and the permissions of {str(self._path)!r}",
            ) from exc

    def _catch_up(self, file: BinaryIO) -> bool:
        """Learn what this or another process wrote since the last look. Gives whether the file ends in a torn line."""
        if os.fstat(file.fileno()).st_size < self._read:  # somebody rotated or emptied it
            self._read = 0
            self._known.clear()
        file.seek(self._read)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        for line in content[:whole].splitlines():
            with contextlib.suppress(msgspec.MsgspecError):  # a line that somebody else put there
                self._known.add(msgspec.json.decode(line, type=_Line).id)
        self._read += whole
        return whole < len(content)


def _append(file: BinaryIO, line: bytes) -> None:
    """All of the line or nothing."""
    end = os.fstat(file.fileno()).st_size
    view = memoryview(line)
    try:
        while view:
            view = view[os.write(file.fileno(), view) :]
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), end)
        raise
