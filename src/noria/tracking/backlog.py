"""What a run could not send because its store was away: operations in a local file, sent again later. Sending one twice changes nothing.

One file a run, `<run id>.backlog`: frames of `length u32 | crc32 u32 | msgpack`; a torn end (the training was killed) is left out.
Filled by recorder.py; emptied there and by `replay`.
"""

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from noria.domain.ids import RunId
from noria.domain.run import Artifact, Metric, ParamValue, Run, RunStatus
from noria.errors import Conflict, DiskFull, InputInvalid, NotFound, StoreUnavailable
from noria.ports.blobs import BlobStore
from noria.ports.runs import RunStore

PREFIX = struct.Struct("<II")
REFUSALS = (Conflict, InputInvalid, NotFound)
"""A store that answers so will answer so again: what it refused is not kept for later."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """A run began."""

    run: Run


class Params(msgspec.Struct, frozen=True, tag=True):
    """Params were set."""

    params: dict[str, ParamValue]


class Points(msgspec.Struct, frozen=True, tag=True):
    """Metrics were measured."""

    points: list[Metric]


class Tags(msgspec.Struct, frozen=True, tag=True):
    """Tags were set."""

    tags: dict[str, str]


class Attach(msgspec.Struct, frozen=True, tag=True):
    """A file belongs to the run; its content is in the blob store, or, while that is away, in `content`."""

    path: str
    artifact: Artifact | None
    content: bytes = b""


class End(msgspec.Struct, frozen=True, tag=True):
    """The run ended."""

    status: RunStatus
    at: datetime
    error: str


Operation = Begin | Params | Points | Tags | Attach | End


def send(operation: Operation, run_id: RunId, *, runs: RunStore, blobs: BlobStore) -> None:
    """Do one operation. Raises what the stores raise."""
    match operation:
        case Begin(run):
            runs.create(run)
        case Params(params):
            runs.log_params(run_id, params)
        case Points(points):
            runs.log_metrics(run_id, points)
        case Tags(tags):
            runs.set_tags(run_id, tags)
        case Attach(path, artifact, content):
            if artifact is None:
                artifact = Artifact(path=path, digest=blobs.put(content), size=len(content))
            runs.add_artifacts(run_id, [artifact])
        case End(status, at, error):
            runs.finish(run_id, status=status, at=at, error=error)


class Backlog:
    """The file of one run; locked against `replay` while its run lives. Thread-safe."""

    def __init__(self, folder: Path, run_id: RunId) -> None:
        self.path = folder / f"{run_id}.backlog"
        self._descriptor: int | None = None
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether everything has been sent."""
        return self._descriptor is None

    def append(self, operations: Sequence[Operation]) -> None:
        """Keep operations for later, all or none. Raises DiskFull, StoreUnavailable."""
        body = msgspec.msgpack.encode(list(operations))
        try:
            with self._lock:
                if self._descriptor is None:
                    self._descriptor = self._begun()
                _append(self._descriptor, PREFIX.pack(len(body), zlib.crc32(body)) + body)
        except OSError as exc:
            kind = DiskFull if DiskFull.is_behind(exc) else StoreUnavailable
            raise kind(f"backlog {str(self.path)!r} cannot be written", cause=str(exc)) from exc

    def operations(self) -> tuple[list[Operation], int]:
        """What is kept, in order, and where in the file it ends."""
        with self._lock:
            if self._descriptor is None:
                return [], 0
            return list(_read(self.path)), os.fstat(self._descriptor).st_size

    def clear(self, end: int) -> None:
        """Everything up to `end` was sent: remove the file, unless more has come."""
        with self._lock:
            if self._descriptor is not None and os.fstat(self._descriptor).st_size == end:
                self.path.unlink(missing_ok=True)
                os.close(self._descriptor)
                self._descriptor = None

    def release(self) -> None:
        """Leave the file to whoever replays it."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _begun(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def replay(folder: Path, runs: RunStore, *, blobs: BlobStore) -> list[RunId]:
    """Send what earlier runs could not send; gives the runs that are complete now. Files of live runs are left to them.

    A record that the store refuses is left out; a run that it refuses, because another has its id, is put aside as `.refused`.
    Raises StoreUnavailable while the store is still away; nothing is lost then, and what was sent before is not sent twice in effect.
    """
    done: list[RunId] = []
    for path in sorted(folder.glob("*.backlog")):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _sent(path, runs, blobs):
                path.unlink(missing_ok=True)
                done.append(RunId(path.stem))
            else:
                path.rename(path.with_suffix(".refused"))
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    return done


def _sent(path: Path, runs: RunStore, blobs: BlobStore) -> bool:
    """Send a whole file. False if the run itself was refused."""
    for operation in _read(path):
        try:
            send(operation, RunId(path.stem), runs=runs, blobs=blobs)
        except REFUSALS:
            if isinstance(operation, Begin):
                return False
    return True


def _append(descriptor: int, frame: bytes) -> None:
    end = os.fstat(descriptor).st_size
    view = memoryview(frame)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _read(path: Path) -> Iterator[Operation]:
    content = path.read_bytes()
    position = 0
    while position + PREFIX.size <= len(content):
        length, check = PREFIX.unpack_from(content, position)
        body = content[position + PREFIX.size : position + PREFIX.size + length]
        if len(body) != length or zlib.crc32(body) != check:
            return
        yield from msgspec.msgpack.decode(body, type=list[Operation])
        position += PREFIX.size + length
