"""The newest look at each deployment, kept where other processes find it: a loop may turn in one, /metrics be asked of another. Called by app/turn.

A file each, `looks/<deployment>.msgpack` in the home, that may be deleted: the next look writes it anew. What was decided stands in the ledger.
"""

import os
from pathlib import Path
from threading import Lock
from urllib.parse import quote

import msgspec

from noria.domain.look import Look

FOLDER, ENDING = "looks", ".msgpack"


class Looks:
    """Newest looks by deployment. home: None keeps them in memory.

    >>> Looks(None).all()
    []
    """

    def __init__(self, home: Path | None) -> None:
        self._folder = None if home is None else home / FOLDER
        self._lock = Lock()
        self._held: dict[str, Look] = {}
        self._files: dict[str, tuple[tuple[int, int], Look]] = {}

    def keep(self, look: Look) -> None:
        """Put a look in place of the former one. A disk that takes nothing costs the other processes its news, and stops no look."""
        with self._lock:
            self._held[look.deployment] = look
            if self._folder is None:
                return
            place = self._folder / f"{quote(look.deployment, safe='')}{ENDING}"
            part = place.with_suffix(f".{os.getpid()}.part")
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                part.write_bytes(msgspec.msgpack.encode(look, enc_hook=float))  # numbers out of arrays are numbers
                part.replace(place)
            except OSError:
                part.unlink(missing_ok=True)

    def all(self) -> list[Look]:
        """The newest look at each deployment by name, whichever process took it. A file that is no look is left out."""
        with self._lock:
            newest = dict(self._held)
        for look in self._read():
            held = newest.get(look.deployment)
            if held is None or look.at > held.at:
                newest[look.deployment] = look
        return [newest[name] for name in sorted(newest)]

    def _read(self) -> list[Look]:
        if self._folder is None or not self._folder.is_dir():
            return []
        found = []
        for place in os.scandir(self._folder):
            if not place.name.endswith(ENDING):
                continue
            try:
                held = place.stat()
                version = (
                    held.st_mtime_ns,
                    held.st_ino,
                )  # a look is a new file, so one that was read needs not be read again
                known = self._files.get(place.name)
                if known is None or known[0] != version:
                    known = version, msgspec.msgpack.decode(Path(place).read_bytes(), type=Look)
                    self._files[place.name] = known
                found.append(known[1])
            except (OSError, msgspec.MsgspecError):
                continue  # taken away, or of a Noria that knew other fields
        return found
