"""Errors that were logged, grouped by what they are and counted: a thousand lines of one fault are one group, with when it began and was last seen.

All processes of a project write to one file in its home, `errors/groups.json`, which may be deleted. Shown by `noria doctor --errors` and in
status; counted at /metrics. Called by log_lines.
"""

import contextlib
import hashlib
import logging
import re
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from noria.errors import NoriaError
from noria.ports.telemetry import Telemetry

PAUSE_S = 2.0
"""At most so often a process writes what it counted; the first of a group at once."""
RECENT = timedelta(days=1)
"""What `noria doctor` and status speak of."""
MOST_GROUPS = 200
MOST_TEXT = 2_000
_VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8,}\b|\b\d+(?:\.\d+)?\b")


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """All errors of one kind at one place. group: its name, of what it is made of. kind: the exception, or 'message' where there was none.

    where: module and function of Noria in which it came up, or the logger. services: which processes had it. message, trace: of the newest.
    """

    group: str
    kind: str
    code: str
    where: str
    services: tuple[str, ...]
    count: int
    first: datetime
    last: datetime
    message: str
    trace: str = ""


class ErrorBook(logging.Handler):
    """Takes every line of the log from ERROR on. Writing is a thread's business: who logs an error waits for no disk."""

    def __init__(self, home: Path | None, *, service: str) -> None:
        """home: the project's; None keeps everything in memory."""
        super().__init__(logging.ERROR)
        self._file = None if home is None else file_of(home)
        # Not the handler's own lock: logging holds that one while it closes, and the thread must come to its end then.
        self._guard = threading.Lock()
        self._service = service
        self._new: dict[str, ErrorGroup] = {}
        self._counted: dict[str, tuple[ErrorGroup, int]] = {}
        self._telemetry: Telemetry | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            self._take(group_of(record, service=self._service))
        except Exception:  # noqa: BLE001 - logging's own rule: a line that cannot be handled disturbs nobody
            self.handleError(record)

    def _take(self, one: ErrorGroup) -> None:
        with self._guard:
            if self._file is not None:
                held = self._new.get(one.group)
                self._new[one.group] = one if held is None else merged(held, one)
            if one.group in self._counted or len(self._counted) < MOST_GROUPS:
                self._counted[one.group] = (one, self._counted.get(one.group, (one, 0))[1] + 1)
            self._tell(one, 1)
            if self._file is not None and self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="noria-errors", daemon=True)
                self._thread.start()
        self._wake.set()

    def count_in(self, telemetry: Telemetry) -> None:
        """Count groups at /metrics from now on, with what was counted before."""
        with self._guard:
            self._telemetry = telemetry
            telemetry.count("noria_errors_total", 0.0)  # so that the first error is an increase
            for one, count in self._counted.values():
                self._tell(one, count)

    def flush(self) -> None:
        """Write what was counted. A disk that takes nothing costs no counts: they are written later."""
        if self._file is None:
            return
        with self._guard:
            new, self._new = self._new, {}
        if not new:
            return
        try:
            add(self._file, list(new.values()))
        except OSError:
            with self._guard:
                for group, one in new.items():
                    self._new[group] = merged(one, self._new[group]) if group in self._new else one

    def close(self) -> None:
        """Write a last time."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        self.flush()
        super().close()

    def _tell(self, one: ErrorGroup, count: int) -> None:
        if self._telemetry is not None:
            self._telemetry.count("noria_errors_total", count)
            if one.group in self._counted:
                labels = {"group": one.group, "kind": one.kind, "where": one.where}
                self._telemetry.count("noria_error_group_total", count, **labels)

    def _follow(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            self.flush()
            self._stop.wait(PAUSE_S)


def count_errors(telemetry: Telemetry) -> None:
    """Let the log of this process count its errors there; nothing where no log was set up."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ErrorBook):
            handler.count_in(telemetry)


def group_of(record: logging.LogRecord, *, service: str) -> ErrorGroup:
    """What group a line of the log belongs to. Numbers, names in quotes and line numbers make no group of their own: they vary within one fault."""
    error = record.exc_info[1] if record.exc_info else None
    message = record.getMessage()
    if error is None:
        kind, code, trace, where = "message", "", "", record.name
        parts = [record.name, _VARIES.sub("…", str(record.msg))]
    else:
        kind, code = type(error).__name__, error.code if isinstance(error, NoriaError) else ""
        frames = [(_module(f.filename), f.name) for f in traceback.extract_tb(error.__traceback__)]
        own = [frame for frame in frames if frame[0].startswith("noria.")] or frames[-1:]
        where = ":".join(own[-1]) if own else record.name
        parts = [kind, code, *(":".join(frame) for frame in own)]
        text = error.headline() if isinstance(error, NoriaError) else f"{kind}: {error}"
        message = message if text in message else f"{message} ({text})"
        trace = "".join(traceback.format_exception(error))[-MOST_TEXT:]
    at = datetime.fromtimestamp(record.created, UTC)
    return ErrorGroup(
        group=hashlib.blake2b("\n".join(parts).encode(errors="replace"), digest_size=5).hexdigest(),
        kind=kind,
        code=code,
        where=where,
        services=(service,),
        count=1,
        first=at,
        last=at,
        message=message[:MOST_TEXT],
        trace=trace,
    )


def merged(one: ErrorGroup, other: ErrorGroup) -> ErrorGroup:
    """Both together: the counts added, the newest told."""
    newest = max(one, other, key=lambda each: each.last)
    return msgspec.structs.replace(
        newest,
        count=one.count + other.count,
        first=min(one.first, other.first),
        services=tuple(sorted({*one.services, *other.services})),
    )


def file_of(home: Path) -> Path:
    """Where a project keeps them."""
    return home / "errors" / "groups.json"


def read(home: Path, *, since: datetime | None = None) -> list[ErrorGroup]:
    """The groups of a project, the newest first; since: only those seen after it. A file that cannot be read holds nothing."""
    found = _read(file_of(home))
    return sorted((g for g in found if since is None or g.last >= since), key=lambda g: g.last, reverse=True)


def forget(home: Path) -> int:
    """Begin anew; gives how many groups there were."""
    with _alone(file_of(home)):
        found = len(_read(file_of(home)))
        file_of(home).unlink(missing_ok=True)
    return found


def add(file: Path, groups: list[ErrorGroup]) -> None:
    """Add counts to those in a file, alone among all processes. Beyond 200 groups those that were not seen for the longest time go."""
    with _alone(file):
        held = {each.group: each for each in _read(file)}
        for each in groups:
            held[each.group] = merged(held[each.group], each) if each.group in held else each
        kept = sorted(held.values(), key=lambda each: each.last, reverse=True)[:MOST_GROUPS]
        part = file.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(kept))
        part.replace(file)


def _read(file: Path) -> list[ErrorGroup]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[ErrorGroup])
    except (OSError, msgspec.MsgspecError):
        return []


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold a lock over all processes; where the system has none, only writing is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with (file.parent / ".lock").open("ab") as lock:
        with contextlib.suppress(ModuleNotFoundError):
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _module(filename: str) -> str:
    """`noria.app.turn` for a file of Noria, else the file's own name."""
    parts = Path(filename).with_suffix("").parts
    if "noria" in parts:
        return ".".join(parts[len(parts) - 1 - parts[::-1].index("noria") :])
    return parts[-1] if parts else filename
