"""Record a run while it happens. Tracking never stops a training: what the store cannot take now is kept in a local file and sent later.

Points are sent in batches by a thread of their own. Keeping runs is the RunStore port; the local file is backlog.py. Called by app/recording.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType

from noria.domain.ids import Digest, EventId, RunId, fresh
from noria.domain.run import Artifact, CodeVersion, Metric, ParamValue, Run, RunStatus
from noria.errors import Conflict, InputInvalid, NoriaError, SourceUnreadable, StoreUnavailable
from noria.ports.blobs import BlobStore
from noria.ports.clock import Clock
from noria.ports.runs import RunStore
from noria.tracking.backlog import REFUSALS, Attach, Backlog, Begin, End, Operation, Params, Points, Tags, replay, send
from noria.tracking.naming import human_name

FLUSH_SECONDS = 1.0
RETRY_SECONDS = 15.0
BATCH_POINTS = 5_000
BUFFERED_POINTS = 50_000

_log = logging.getLogger("noria.tracking")


class Recorder:
    """Begins runs in one store. journal_folder: where a run keeps what its store cannot take; made when it is needed.

    >>> recorder = Recorder(store.runs, store.blobs, clock=clock, journal_folder=folder)  # doctest: +SKIP
    >>> with recorder.run("churn", params={"lr": 0.1}) as run:  # doctest: +SKIP
    ...     run.log(auc=0.91, step=3)
    """

    def __init__(self, runs: RunStore, blobs: BlobStore, *, clock: Clock, journal_folder: Path) -> None:
        self._runs = runs
        self._blobs = blobs
        self._clock = clock
        self._folder = journal_folder

    @contextmanager
    def run(
        self,
        experiment: str,
        *,
        name: str | None = None,
        params: Mapping[str, ParamValue] | None = None,
        tags: Mapping[str, str] | None = None,
        seed: int | None = None,
        datasets: Sequence[Digest] = (),
        code: CodeVersion | None = None,
        environment: Digest | None = None,
        parent: RunId | None = None,
        cause: EventId | None = None,
        run_id: RunId | None = None,
    ) -> Iterator["ActiveRun"]:
        """Record what happens in the block; the run is 'failed', with the error, if it raises. Without a name it is given one that people can say.

        Raises what the store says against the run itself (AlreadyExists, InputInvalid) before the block begins; a store that is away stops nothing.
        """
        chosen = run_id or RunId(fresh())
        begun = Run(
            id=chosen,
            experiment=experiment,
            name=name or human_name(chosen),
            status="running",
            started_at=self._clock.now(),
            params={key: _param(key, value) for key, value in (params or {}).items()},
            tags=dict(tags or {}),
            datasets=tuple(datasets),
            seed=seed,
            code=code,
            environment=environment,
            parent=parent,
            cause=cause,
        )
        with ActiveRun(begun, self._runs, blobs=self._blobs, clock=self._clock, journal_folder=self._folder) as active:
            yield active
        if active.is_complete:
            self._send_backlogs()

    def _send_backlogs(self) -> None:
        """The store is there: send what earlier runs left."""
        try:
            for run_id in replay(self._folder, self._runs, blobs=self._blobs):
                _log.info("run %s was sent from its backlog", run_id)
        except (NoriaError, OSError) as error:
            _log.info("backlogs in %s are kept: %s", self._folder, error)


class ActiveRun:
    """A run that is under way. Thread-safe; not to be shared with a forked process.

    Made by Recorder.run. Methods return at once; only `artifact` reads its file before it returns.
    """

    def __init__(self, run: Run, runs: RunStore, *, blobs: BlobStore, clock: Clock, journal_folder: Path) -> None:
        self._run = run
        self._runs = runs
        self._blobs = blobs
        self._clock = clock
        self._backlog = Backlog(journal_folder, run.id)
        self._params = dict(run.params)
        self._operations: list[Operation] = []
        self._points: list[Metric] = []
        self._lock = threading.Lock()  # over the two lists and `_params`
        self._sending = threading.Lock()  # over the store and the backlog; taken before `_lock`, never while holding it
        self._wake = threading.Event()
        self._over = False
        self._warned = False
        self._refused = False  # the store holds another run of this id: nothing may be added to that one
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
            return not self._operations and not self._points and self._backlog.is_empty

    def log(
        self, values: Mapping[str, float] | None = None, /, *, step: int = 0, at: datetime | None = None, **more: float
    ) -> None:
        """Record metric points: `run.log(auc=0.91, step=3)`, or `run.log({"val/auc": 0.91})` for names that are no keywords.

        at: when it was measured, now by default. Raises InputInvalid for a value that is no number; NaN and infinities are numbers.
        """
        moment = at or self._clock.now()
        points = [
            Metric(key=key, value=_number(key, value), step=int(step), at=moment)
            for key, value in {**(values or {}), **more}.items()
        ]
        with self._lock:
            self._check_open()
            self._points += points
            waiting = len(self._points)
        if waiting >= BUFFERED_POINTS:
            self._spill()
        elif waiting >= BATCH_POINTS:
            self._wake.set()

    def param(self, values: Mapping[str, ParamValue] | None = None, /, **more: ParamValue) -> None:
        """Set params. One that has a value keeps it: raises Conflict for another, InputInvalid for what is no text, number, boolean or None."""
        params = {key: _param(key, value) for key, value in {**(values or {}), **more}.items()}
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
            self._operations.append(Params(params))

    def tag(self, values: Mapping[str, str] | None = None, /, **more: str) -> None:
        """Set tags; the last value counts."""
        tags = {key: str(value) for key, value in {**(values or {}), **more}.items()}
        with self._lock:
            self._check_open()
            self._operations.append(Tags(tags))

    def artifact(self, content: Path | str | bytes, name: str | None = None) -> None:
        """Attach a file (by its path) or bytes (with a name). The file may be changed or deleted afterwards. Raises SourceUnreadable."""
        if isinstance(content, bytes) and name is None:
            raise InputInvalid("bytes need a name to become an artifact", remedy="run.artifact(content, 'report.json')")
        path = name if name is not None else Path(str(content)).name
        with self._lock:
            self._check_open()
        operation = self._attach(path, content)
        with self._lock:
            self._operations.append(operation)

    def flush(self) -> None:
        """Send, or keep in the backlog, what has been recorded so far."""
        with self._sending:
            operations = self._taken()
            if not self._backlog.is_empty and time.monotonic() - (self._away_since or 0.0) >= RETRY_SECONDS:
                self._catch_up()
            if operations:
                self._deliver(operations)

    def __enter__(self) -> "ActiveRun":
        try:
            self._runs.create(self._run)
        except REFUSALS:
            raise
        except NoriaError as error:
            with self._sending:
                self._keep([Begin(self._run)], error)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status: RunStatus = "finished" if error is None else "failed"
        said = "" if error is None else f"{type(error).__name__}: {error}"
        with self._lock:
            self._over = True
            self._operations.append(End(status, self._clock.now(), said))
        self._wake.set()
        self._thread.join()
        with self._sending:
            self._catch_up()
            self._deliver(self._taken())
            if not self._backlog.is_empty:
                _log.warning(
                    "run %s: its store is still away; what is missing is kept in %s and is sent by the next run that reaches the store",
                    self.name,
                    self._backlog.path,
                )
                self._backlog.release()

    def _work(self) -> None:
        while not self._over:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            if not self._over:
                self.flush()

    def _check_open(self) -> None:
        if self._over:
            raise Conflict(f"run {self.name!r} is over", remedy="record inside the `with` block")

    def _taken(self) -> list[Operation]:
        """What waits, in an order in which it can be sent: the end last."""
        with self._lock:
            operations, points = self._operations, self._points
            self._operations, self._points = [], []
        batches: list[Operation] = [
            Points(points[start : start + BATCH_POINTS]) for start in range(0, len(points), BATCH_POINTS)
        ]
        ends = [operation for operation in operations if isinstance(operation, End)]
        return [operation for operation in operations if not isinstance(operation, End)] + batches + ends

    def _attach(self, path: str, content: Path | str | bytes) -> Operation:
        try:
            if isinstance(content, bytes):
                return Attach(path, Artifact(path=path, digest=self._blobs.put(content), size=len(content)))
            file = Path(content)
            digest = self._blobs.put_file(file)
            return Attach(path, Artifact(path=path, digest=digest, size=self._blobs.size(digest)))
        except (InputInvalid, SourceUnreadable):
            raise
        except NoriaError as error:
            self._warn(error)
            return Attach(path, None, content if isinstance(content, bytes) else _bytes(Path(content)))

    def _deliver(self, operations: list[Operation]) -> None:
        """Send in order; from the first that the store cannot take, the rest is kept. Behind a backlog everything is kept, so that order holds."""
        for place, operation in enumerate(operations):
            if not self._backlog.is_empty:
                self._keep(operations[place:], None)
                return
            error = self._sent(operation)
            if error is not None:
                self._keep(operations[place:], error)
                return

    def _catch_up(self) -> None:
        """Send the backlog; a store that is still away leaves it as it is."""
        kept, end = self._backlog.operations()
        for operation in kept:
            if self._sent(operation) is not None:
                self._away_since = time.monotonic()
                return
        self._backlog.clear(end)

    def _sent(self, operation: Operation) -> Exception | None:
        """Send one operation. Gives the error if it must be kept for later; what the store refuses is said and left out."""
        if self._refused:
            return None
        try:
            send(operation, self.id, runs=self._runs, blobs=self._blobs)
        except REFUSALS as error:
            self._refused = isinstance(operation, Begin)
            _log.warning("run %s: the store refused a record: %s", self.name, error)
        except NoriaError as error:
            return error
        except Exception as error:  # noqa: BLE001 (a fault of a store must not stop the training; the record is kept and the fault is told)
            return error
        return None

    def _keep(self, operations: list[Operation], error: Exception | None) -> None:
        if error is not None:
            self._away_since = time.monotonic()
            self._warn(error)
        try:
            self._backlog.append(operations)
        except NoriaError as unkept:
            _log.error(
                "run %s: records are lost, for neither its store nor its backlog can take them: %s", self.name, unkept
            )

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("run %s goes on without its store, which will be caught up with later: %s", self.name, error)

    def _spill(self) -> None:
        """The store is slower than the training: points go into the backlog instead of filling the memory. Their order does not matter."""
        with self._lock:
            points, self._points = self._points, []
        if points:
            self._keep([Points(points)], StoreUnavailable("the store takes points more slowly than they come"))


def _number(key: str, value: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as exc:
        raise InputInvalid(
            f"metric {key!r} is {value!r}, which is no number", remedy="use a tag or a param for text"
        ) from exc


def _param(key: str, value: object) -> ParamValue:
    plain = value.item() if hasattr(value, "item") else value  # numpy's numbers give Python's
    if plain is None or isinstance(plain, str | float | bool):
        return plain
    if isinstance(plain, int) and -(2**63) <= plain < 2**63:
        return plain
    raise InputInvalid(f"param {key!r} is {value!r}", remedy="use text, a number within 64 bits, a boolean or None")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise SourceUnreadable(f"file {str(file)!r} cannot be read", cause=str(exc)) from exc
