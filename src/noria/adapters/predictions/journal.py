"""The worker's half of the prediction log: batches of records appended as frames, column by column. Reading is parquet.py's business.

Imports msgspec, blake3 and the standard library only, so that a serving worker stays light. Called by server/inference's worker through app/worker.
"""

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from noria.adapters.predictions.batches import pack
from noria.adapters.predictions.frames import Appender, checked_name, make_folder, sync_folder, translated
from noria.adapters.predictions.kinds import aside_folder, sorted_out
from noria.domain.prediction import PredictionRecord, RecordKind
from noria.errors import StoreUnavailable

KIND = b"PRED"
ROTATE_BYTES = 16 << 20
ROTATE_SECONDS = 900.0
VERSION = 2
"""Of the files: since 2 a column of numbers may be packed (batches)."""


def open_writer(
    location: str,
    *,
    deployment: str,
    name: str,
    durable: bool = False,
    rotate_bytes: int = ROTATE_BYTES,
    rotate_s: float = ROTATE_SECONDS,
) -> "JournalWriter":
    """Open a worker's writer below the prediction log's folder. name: unique among the live writers of the deployment.

    durable: fsync before `write` returns; else a power cut (not a killed process) may take the last batches.
    A file is finished, and may be compacted, when it has `rotate_bytes` or is `rotate_s` seconds old at the next write, and on close.
    """
    folder = journal_folder(Path(location), deployment)
    return JournalWriter(
        folder,
        deployment=deployment,
        name=checked_name(name, "writer"),
        durable=durable,
        rotate_bytes=rotate_bytes,
        rotate_s=rotate_s,
    )


def journal_folder(location: Path, deployment: str) -> Path:
    """Where the journals of a deployment are. Raises InputInvalid for a name that cannot be a folder's."""
    return location / checked_name(deployment, "deployment") / "journal"


class JournalWriter:
    """Appends batches to `<name>-<ns>.open`, renamed to `.closed` when finished. Thread-safe.

    The file is locked while its writer lives, which is how a reader tells a live journal from an orphan. After a crash the same name goes on in a
    new file, never behind a torn frame.
    """

    def __init__(
        self, folder: Path, *, deployment: str, name: str, durable: bool, rotate_bytes: int, rotate_s: float
    ) -> None:
        self._folder = folder
        self._deployment = deployment
        self._name = name
        self._durable = durable
        self._rotate_bytes = rotate_bytes
        self._rotate_s = rotate_s
        self._file: Appender | None = None
        self._opened = 0.0
        self._closed = False
        self._aside: dict[tuple[RecordKind, str], JournalWriter] = {}
        self._lock = Lock()
        make_folder(folder)

    def write(self, records: Sequence[PredictionRecord]) -> None:
        """See ports/predictions. Raises InputInvalid for a record of another deployment or with columns of unequal length."""
        answers, aside = sorted_out(records)
        if answers:
            self._append(answers)
        for (kind, variant), some in aside.items():
            self._beside(kind, variant)._append(some)

    def close(self) -> None:
        """See ports/predictions. Twice is no error."""
        with self._lock:
            self._closed = True
            aside = list(self._aside.values())
            self._finish()
        for writer in aside:
            writer.close()

    def _append(self, records: Sequence[PredictionRecord]) -> None:
        """Write records of one kind as one unit."""
        body = pack(records, deployment=self._deployment)
        with self._lock:
            self._check_open()
            self._current().append(body)

    def _beside(self, kind: RecordKind, variant: str) -> "JournalWriter":
        """The writer of one variant's records of a kind, opened when the first comes."""
        with self._lock:
            self._check_open()
            writer = self._aside.get((kind, variant))
            if writer is None:
                writer = self._aside[kind, variant] = JournalWriter(
                    aside_folder(self._folder.parent, kind, variant) / "journal",
                    deployment=self._deployment,
                    name=self._name,
                    durable=self._durable,
                    rotate_bytes=self._rotate_bytes,
                    rotate_s=self._rotate_s,
                )
            return writer

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"writer {self._name!r} is closed", remedy="open a new one")

    def _current(self) -> Appender:
        """The file to append to; a full, old or broken one is finished first."""
        file = self._file
        if file is not None:
            young = time.monotonic() - self._opened < self._rotate_s
            if file.end < self._rotate_bytes and young and not file.broken:
                return file
            self._finish()
        self._file = self._begin()
        self._opened = time.monotonic()
        return self._file

    def _begin(self) -> Appender:
        """A new file. It gets its name only when it is locked, so that nobody takes it for an orphan."""
        while True:
            path = self._folder / f"{self._name}-{time.time_ns()}.open"
            fresh = path.with_suffix(".new")
            try:
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                continue
            except OSError as exc:
                raise translated(exc, f"journal {str(path)!r} cannot be made") from exc
            file = Appender(descriptor, path=path, end=0, durable=self._durable)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.begin(KIND, version=VERSION)
                os.rename(fresh, path)
                if self._durable:
                    sync_folder(self._folder)
            except (BlockingIOError, FileNotFoundError):  # whoever clears away leftovers took it for one: take another
                file.close()
                continue
            except BaseException:
                file.close()
                fresh.unlink(missing_ok=True)
                raise
            return file

    def _finish(self) -> None:
        """Sync, and rename to `.closed`; a broken file keeps its name and its torn end, which readers leave out."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if not file.broken:
                file.sync()
                os.rename(file.path, file.path.with_suffix(".closed"))
                sync_folder(self._folder)
        except OSError as exc:
            raise translated(exc, f"journal {str(file.path)!r} cannot be finished") from exc
        finally:
            file.close()
