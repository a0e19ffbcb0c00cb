"""A run that is under way: what is recorded goes into its journal at once, and from there to the store, by a thread of its own.

So memory stays small however long a store is away, and a process that is killed loses nothing. Made by recorder.py.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path, PurePath
from types import TracebackType
from typing import Protocol

from noria.domain.ids import RunId, TrainedModelId
from noria.domain.run import Artifact, DatasetUse, ModelLink, ParamValue, Run, RunStatus
from noria.errors import AccessError, ConfigError, Conflict, InputInvalid, NoriaError, SourceUnreadable
from noria.ports.blobs import BlobStore
from noria.ports.clock import Clock
from noria.ports.runs import RunStore
from noria.tracking.delivery import (
    REFUSALS,
    Attach,
    Begin,
    Delivery,
    End,
    Link,
    Measured,
    Operation,
    Params,
    Resume,
    Tags,
    decode,
    encode,
)
from noria.tracking.journal import Journal, read
from noria.wire.paths import checked_path

FLUSH_SECONDS = 1.0
RETRY_SECONDS = 15.0
BATCH_POINTS = 20_000
"""So many points wait for no second to pass."""
MOST_LOOSE_BYTES = 16 * 1024 * 1024
"""Kept in memory while no file can take records and the store is away; what comes on top is lost, and told."""
NOTE_TAG = "noria.note"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64 = 2**63

_log = logging.getLogger("noria.tracking")


class Figure(Protocol):
    """Whatever can draw itself into a file, as Matplotlib's figures can."""

    def savefig(self, fname: BytesIO, *, format: str) -> object:
        """Draw into a file of a format."""
        ...


class ActiveRun:
    """A run that is under way. Thread-safe; not to be shared with a forked process.

    Made by Recorder.run. Methods return at once; only `artifact` and `figure` read or draw before they return.
    """

    def __init__(
        self, run: Run, runs: RunStore, *, blobs: BlobStore, clock: Clock, journal_folder: Path, resumed: bool = False
    ) -> None:
        self._run = run
        self._runs = runs
        self._blobs = blobs
        self._clock = clock
        self._resumed = resumed
        self._journal = Journal(journal_folder, run.id)
        self._delivery = Delivery(run.id, runs, blobs=blobs)
        self._params = dict(run.params)
        self._keys: set[str] = set()
        self._loose: list[bytes] = []
        self._loose_bytes = 0
        self._lost = 0
        self._waiting = 0  # points since the thread was woken
        self._pid = os.getpid()
        self._lock = threading.Lock()  # over the journal's end, the loose records and `_params`
        self._sending = threading.Lock()  # over the store; taken before `_lock`, never while holding it
        self._wake = threading.Event()
        self._over = False
        self._ended_complete: bool | None = None
        self._warned: set[str] = set()
        self._away_since: float | None = None
        self._thread = threading.Thread(target=self._work, name=f"noria-run-{run.name}", daemon=True)

    @property
    def id(self) -> RunId:
        """The run's id."""
        return self._run.id

    @property
    def name(self) -> str:
        """The run's name."""
        return self._run.name

    @property
    def is_complete(self) -> bool:
        """Whether everything recorded so far is in the store."""
        with self._sending, self._lock:
            return self._ended_complete if self._ended_complete is not None else self._has_nothing_waiting()

    @property
    def lost(self) -> int:
        """Records that neither the store nor any file could take."""
        return self._lost

    def log(
        self, values: Mapping[str, float] | None = None, /, *, step: int = 0, at: datetime | None = None, **more: float
    ) -> None:
        """Record metric points: `run.log(auc=0.91, step=3)`, or `run.log({"val/auc": 0.91})` for names that are no keywords.

        at: when it was measured, now by default. Raises InputInvalid for a value that is no number; NaN and infinities are numbers.
        """
        given = {**values, **more} if values else more
        points = {key: value if type(value) is float else _number(key, value) for key, value in given.items()}
        if not self._keys.issuperset(points):
            self._know(points)
        moment = at or self._clock.now()
        if moment.tzinfo is None:
            raise InputInvalid(f"the time of a metric has no zone: {moment}", remedy="use datetime.now(UTC)")
        if not -_INT64 <= step < _INT64:
            raise InputInvalid(f"step {step} is beyond 64 bits")
        self._record(Measured(int(step), (moment - _EPOCH) // _MICROSECOND, points), points=len(points))

    def param(self, values: Mapping[str, ParamValue] | None = None, /, **more: ParamValue) -> None:
        """Set params. One that has a value keeps it: raises Conflict for another, InputInvalid for what is no text, number, boolean or None."""
        params = {checked_name(key): plain_param(key, value) for key, value in {**(values or {}), **more}.items()}
        with self._lock:
            self._check_open()
            for key, value in params.items():
                held = self._params.get(key, value)
                if (type(held), repr(held)) != (type(value), repr(value)):
                    raise Conflict(
                        f"param {key!r} of run {self.name!r} is {held!r} and cannot become {value!r}",
                        cause="a param says what a run was started with",
                        remedy="use a tag for what changes, or begin another run",
                    )
            self._params.update(params)
            self._write(encode(Params(params)))

    def tag(self, values: Mapping[str, str] | None = None, /, **more: str) -> None:
        """Set tags; the last value counts."""
        tags = {checked_name(key): checked_text(str(value)) for key, value in {**(values or {}), **more}.items()}
        self._record(Tags(tags))

    def note(self, text: str) -> None:
        """Say in words what this run is about; the last note counts. It is the tag 'noria.note'."""
        self.tag({NOTE_TAG: text})

    def dataset(
        self,
        name: str,
        *,
        digest: str,
        source: str = "",
        source_type: str = "",
        context: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Say which dataset the run reads. context: what for ('training', 'validation')."""
        about = {**({"context": context} if context else {}), **(tags or {})}
        use = DatasetUse(
            name=checked_name(name), digest=digest, source=source, source_type=source_type, tags=dict(about)
        )
        self._record(Link(inputs=(use,)))

    def model(self, model_id: TrainedModelId, *, step: int = 0, is_input: bool = False) -> None:
        """Say which trained model the run brought forth, at which step, or (is_input) which one it reads."""
        link = ModelLink(model_id=model_id, step=step)
        self._record(Link(models_in=(link,)) if is_input else Link(models_out=(link,)))

    def artifact(self, content: Path | str | bytes, name: str | None = None) -> None:
        """Attach a file (by its path) or bytes (with a name). The file may be changed or deleted afterwards. Raises SourceUnreadable."""
        if isinstance(content, bytes) and name is None:
            raise InputInvalid("bytes need a name to become an artifact", remedy="run.artifact(content, 'report.json')")
        path = checked_path(name if name is not None else Path(str(content)).name)
        with self._lock:
            self._check_open()
        self._record(self._attach(path, content))

    def figure(self, figure: Figure, name: str) -> None:
        """Attach a figure, drawn in the format that its name ends with ('roc.png', 'roc.svg'). Raises InputInvalid for what cannot be drawn."""
        if not callable(getattr(figure, "savefig", None)):
            raise InputInvalid(
                f"{type(figure).__name__} is no figure", cause="it has no savefig()", remedy="run.artifact(...)"
            )
        form = PurePath(name).suffix.lstrip(".") or "png"
        drawn = BytesIO()
        try:
            figure.savefig(drawn, format=form)
        except (ValueError, TypeError, OSError) as exc:
            raise InputInvalid(f"the figure cannot be drawn as {form!r}", cause=str(exc)) from exc
        self.artifact(drawn.getvalue(), name if PurePath(name).suffix else f"{name}.png")

    def flush(self) -> None:
        """Send what has been recorded so far. What the store cannot take now stays in the journal."""
        with self._sending:
            if self._away_since is None or time.monotonic() - self._away_since >= RETRY_SECONDS:
                self._deliver()

    def __enter__(self) -> "ActiveRun":
        try:
            if self._resumed:
                self._runs.amend(self.id, status="running")
            else:
                self._runs.create(self._run)
        except (*REFUSALS, ConfigError, AccessError):
            raise
        except NoriaError as error:
            with self._lock:
                self._write(encode(Resume() if self._resumed else Begin(self._run)))
            self._gone(error)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:
            return
        status: RunStatus = "finished" if error is None else "failed"
        said = "" if error is None else ascii_safe(f"{type(error).__name__}: {error}")
        with self._lock:
            self._write(encode(End(status, self._clock.now(), said)))
            self._over = True
        self._wake.set()
        self._thread.join()
        with self._sending:
            self._deliver()
            complete = self._ended_complete = self._has_nothing_waiting()
            try:
                self._journal.release(remove=complete)
            except OSError as fault:
                self._warn("journal", f"its journal cannot be closed: {fault}")
        if self._loose:
            self._lost += len(self._loose)
        if self._lost:
            _log.error(
                "run %s: %d records are lost: neither its store nor a file could take them", self.name, self._lost
            )
        elif not complete:
            _log.warning(
                "run %s is not whole in its store; what is missing is kept in %s until `noria sync`, or the next run that reaches the store",
                self.name,
                self._journal.folder,
            )

    def _has_nothing_waiting(self) -> bool:
        return self._journal.is_empty and not self._loose

    def _work(self) -> None:
        while not self._over:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            if not self._over:
                self.flush()

    def _record(self, operation: Operation, *, points: int = 0) -> None:
        body = encode(operation)
        with self._lock:
            self._check_open()
            self._write(body)
            self._waiting += points
            if self._waiting < BATCH_POINTS:
                return
            self._waiting = 0
        self._wake.set()

    def _write(self, body: bytes) -> None:
        """Into the journal; while no file can take it, into memory, as far as there is room. The caller holds `_lock`."""
        if not self._loose:
            try:
                self._journal.append(body)
                return
            except NoriaError as error:
                self._warn("journal", f"its records cannot be kept in a file: {error}")
        if self._loose_bytes + len(body) > MOST_LOOSE_BYTES:
            self._lost += 1
            return
        self._loose.append(body)
        self._loose_bytes += len(body)

    def _deliver(self) -> None:
        """Send everything in order; from the first that the store cannot take, the rest stays where it is. The caller holds `_sending`."""
        try:
            with self._lock:
                segments, loose = self._journal.cut(), list(self._loose)
            for segment in segments:
                self._delivery.send(map(decode, read(segment)[0]))
                if self._delivery.run_refused:  # `sync` will put the journal aside
                    break
                self._journal.drop(segment)
            if loose:
                self._delivery.send(map(decode, loose))
                with self._lock:
                    del self._loose[: len(loose)]
                    self._loose_bytes = sum(map(len, self._loose))
            self._away_since = None
        except Exception as error:  # noqa: BLE001 (no fault of a store may stop a training; the record is kept and the fault is told)
            self._gone(error)
        for refusal in self._delivery.refused:
            _log.warning("run %s: the store refused a record: %s", self.name, refusal)
        self._delivery.refused.clear()

    def _gone(self, error: Exception) -> None:
        self._away_since = time.monotonic()
        self._warn("store", f"goes on without its store, which will be caught up with later: {error}")

    def _warn(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            _log.warning("run %s %s", self.name, text)

    def _attach(self, path: str, content: Path | str | bytes) -> Operation:
        try:
            if isinstance(content, bytes):
                return Attach(path, Artifact(path=path, digest=self._blobs.put(content), size=len(content)))
            digest = self._blobs.put_file(Path(content))
            return Attach(path, Artifact(path=path, digest=digest, size=self._blobs.size(digest)))
        except (InputInvalid, SourceUnreadable):
            raise
        except NoriaError as error:
            self._gone(error)
            return Attach(path, None, content if isinstance(content, bytes) else _bytes(Path(content)))

    def _know(self, points: Mapping[str, float]) -> None:
        for key in points:
            checked_name(key)
        self._keys.update(points)

    def _check_open(self) -> None:
        if os.getpid() != self._pid:
            raise Conflict(
                f"run {self.name!r} is recorded by process {self._pid}",
                cause="a forked process shares its journal's memory, not its thread",
                remedy=f"with noria.run(resume={self.id!r}) as run: ... in this process",
            )
        if self._over:
            raise Conflict(f"run {self.name!r} is over", remedy="record inside the `with` block")


def checked_text(text: str) -> str:
    """A text that every store keeps. Raises InputInvalid."""
    try:
        if "\0" not in text:
            text.encode()
            return text
    except UnicodeEncodeError:
        pass
    raise InputInvalid("a text holds a character that cannot be stored", cause=ascii(text[:80]))


def checked_name(name: str) -> str:
    """The name of a metric, param, tag or dataset. Raises InputInvalid."""
    if not name:
        raise InputInvalid("a name is empty", remedy="give it one")
    return checked_text(name)


def ascii_safe(text: str) -> str:
    """A text as every store keeps it, whatever it holds: what cannot be kept is shown escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def plain_param(key: str, value: object) -> ParamValue:
    """A param's value as it is kept. Raises InputInvalid."""
    plain = value.item() if hasattr(value, "item") else value  # numpy's numbers give Python's
    if isinstance(plain, str):
        return checked_text(plain)
    if plain is None or isinstance(plain, float | bool):
        return plain
    if isinstance(plain, int) and -_INT64 <= plain < _INT64:
        return plain
    raise InputInvalid(f"param {key!r} is {value!r}", remedy="use text, a number within 64 bits, a boolean or None")


def _number(key: str, value: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise InputInvalid(
            f"metric {key!r} is {value!r}, which is no number", remedy="use a tag or a param for text"
        ) from exc


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise SourceUnreadable(f"file {str(file)!r} cannot be read", cause=str(exc)) from exc
