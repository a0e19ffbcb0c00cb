"""What a run records, as operations, and how they reach the stores: what waits goes in one call. Sending an operation twice changes nothing.

Where operations wait is journal.py. Called by active_run.py and sync.py.
"""

from array import array
from collections.abc import Iterable
from datetime import datetime

import msgspec

from noria.domain.ids import RunId
from noria.domain.run import Artifact, DatasetUse, ModelLink, ParamValue, Run, RunBatch, RunStatus
from noria.errors import Conflict, InputInvalid, NoriaError, NotFound
from noria.ports.blobs import BlobStore
from noria.ports.runs import RunStore
from noria.wire.metrics import MetricColumns

BATCH_POINTS = 20_000
REFUSALS = (Conflict, InputInvalid, NotFound)
"""A store that answers so will answer so again: what it refused is not kept for later."""


class Begin(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A run began."""

    run: Run


class Measured(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Metrics were measured. at: microseconds since 1970."""

    step: int
    at: int
    values: dict[str, float]


class Params(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Params were set."""

    params: dict[str, ParamValue]


class Tags(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Tags were set."""

    tags: dict[str, str]


class Attach(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A file belongs to the run; its content is in the blob store, or, while that is away, in `content`."""

    path: str
    artifact: Artifact | None
    content: bytes = b""


class Link(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Datasets and trained models belong to the run."""

    inputs: tuple[DatasetUse, ...] = ()
    models_in: tuple[ModelLink, ...] = ()
    models_out: tuple[ModelLink, ...] = ()


class Resume(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The run goes on after its end."""


class End(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The run ended."""

    status: RunStatus
    at: datetime
    error: str


Operation = Begin | Measured | Params | Tags | Attach | Link | Resume | End

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Operation).decode


class Delivery:
    """Operations of one run on their way to the stores. refused: what a store said against some; those are left out, the rest is sent."""

    def __init__(self, run_id: RunId, runs: RunStore, *, blobs: BlobStore) -> None:
        self._run_id = run_id
        self._runs = runs
        self._blobs = blobs
        self.refused: list[NoriaError] = []
        self.run_refused = False
        """The store holds another run of this id, or none: nothing may be added to that one."""
        self._clear()

    def send(self, operations: Iterable[Operation]) -> None:
        """Send operations in order. Raises what the stores raise, other than refusals; all of it may be sent again then."""
        self._clear()
        for operation in operations:
            match operation:
                case Measured():
                    self._add_points(operation)
                case Params(params):
                    self._params |= params
                case Tags(tags):
                    self._tags |= tags
                case _:
                    self._flush()
                    self._do(operation)
        self._flush()

    def _add_points(self, measured: Measured) -> None:
        for key, value in measured.values.items():
            self._which.append(self._names.setdefault(key, len(self._names)))
            self._steps.append(measured.step)
            self._times.append(measured.at)
            self._values.append(value)
        if len(self._values) >= BATCH_POINTS:
            self._flush()

    def _flush(self) -> None:
        """Send params, points and tags that came together in one call; if that is refused, each by itself."""
        points = MetricColumns(
            list(self._names),
            None if len(self._names) < 2 else array("I", self._which),
            steps=array("q", self._steps),
            times=array("q", self._times),
            bits=array("q", array("d", self._values).tobytes()),
        )
        whole = RunBatch(run_id=self._run_id, metrics=points, params=self._params, tags=self._tags)
        self._clear()
        parts = [
            *(RunBatch(run_id=self._run_id, params={key: value}) for key, value in whole.params.items()),
            *([RunBatch(run_id=self._run_id, metrics=points)] if len(points) else []),
            *([RunBatch(run_id=self._run_id, tags=whole.tags)] if whole.tags else []),
        ]
        if not parts or self.run_refused:
            return
        try:
            self._runs.log(whole)
        except REFUSALS as error:
            if len(parts) == 1:
                self.refused.append(error)
                return
            for part in parts:
                self._try(part)

    def _try(self, batch: RunBatch) -> None:
        try:
            self._runs.log(batch)
        except REFUSALS as error:
            self.refused.append(error)

    def _do(self, operation: Operation) -> None:
        if self.run_refused:
            return
        try:
            self._call(operation)
        except REFUSALS as error:
            self.refused.append(error)
            self.run_refused = isinstance(operation, Begin)

    def _call(self, operation: Operation) -> None:
        match operation:
            case Begin(run):
                self._runs.create(run)
            case Attach(path, artifact, content):
                if artifact is None:
                    artifact = Artifact(path=path, digest=self._blobs.put(content), size=len(content))
                self._runs.add_artifacts(self._run_id, [artifact])
            case Link(inputs, models_in, models_out):
                self._runs.link(self._run_id, inputs=inputs, models_in=models_in, models_out=models_out)
            case Resume():
                self._runs.amend(self._run_id, status="running")
            case End(status, at, error):
                self._runs.finish(self._run_id, status=status, at=at, error=error)
            case _:
                raise AssertionError(operation)

    def _clear(self) -> None:
        self._names: dict[str, int] = {}
        self._which: list[int] = []
        self._steps: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._params: dict[str, ParamValue] = {}
        self._tags: dict[str, str] = {}
