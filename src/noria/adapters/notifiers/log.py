"""Alerts as lines of JSON in a file. Loaded by name; the port is ports/notifier."""

import os
from pathlib import Path

import msgspec

from noria.domain.alert import Alert
from noria.errors import StoreUnavailable


class LogNotifier:
    """Appends one line an alert; an alert that stands in the file already is not written again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def notify(self, alert: Alert) -> None:
        """Write the alert and wait until it is on disk. Raises StoreUnavailable."""
        line = msgspec.json.encode(alert) + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and alert.id.encode() in self._path.read_bytes():
                return
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise StoreUnavailable(f"alerts cannot be written to {self._path.name!r}", cause=str(exc)) from exc


def open_notifier(location: str) -> LogNotifier:
    """A notifier over a file."""
    return LogNotifier(Path(location))
