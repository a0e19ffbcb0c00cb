"""A deployment inside this process: for notebooks, batch jobs and reading. The same routing, checks and record as the worker, without HTTP.

Called by the SDK (`noria.Endpoint`). Serving others is app/worker.
"""

import time
from collections.abc import Mapping, Sequence

import msgspec

from noria.app.redaction import redaction_salt
from noria.app.workspace import Workspace
from noria.domain.ids import PredictionId, derive, fresh
from noria.domain.prediction import PredictionRecord, Scalar
from noria.errors import ModelNotReady, ModelUnknown
from noria.packaging.bundle import OpenBundle, open_bundle
from noria.packaging.signature import check
from noria.ports.predictions import PredictionWriter
from noria.serving import desired
from noria.serving.columns import from_lists, to_lists
from noria.serving.desired import DesiredState
from noria.serving.recording import EVERYTHING, as_set, check_against, is_kept
from noria.serving.route import chances, pick, position, sticky_of


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back for one request: an id and the outputs of each row, and who answered."""

    ids: tuple[PredictionId, ...]
    outputs: dict[str, list[Scalar]]
    variant: str
    number: int


class Endpoint:
    """Answers as a worker would, and records each answer before it is given. Models in the shadow get no copies here.

    Raises ModelUnknown when nothing is deployed under the name, ModelNotReady when it was stopped.
    """

    def __init__(self, workspace: Workspace, deployment: str) -> None:
        self._workspace = workspace
        self._deployment = deployment
        self._state: DesiredState | None = None
        self._opened: dict[str, OpenBundle] = {}
        self._writer: PredictionWriter | None = None

    def predict(self, columns: Mapping[str, Sequence[Scalar]], *, key: str | None = None) -> Answer:
        """Answer all rows of one request. key: the same key is the same request, however often it is asked. Raises RequestInvalid."""
        state = self._current()
        begun = time.perf_counter_ns()
        request_id = f"r{derive(self._deployment, key) if key else fresh()}"
        answering = [v for v in state.variants if not v.shadow]
        held, name = sticky_of(state.sticky_by)
        first = columns.get(name) if held == "input" else None
        kept_by = str(first[0]) if first and first[0] is not None else key or request_id
        variant = answering[pick(answering, position(kept_by, salt=state.rollout or self._deployment))]
        opened = self._opened[variant.bundle]
        signature = opened.manifest.signature
        inputs = {name: list(values) for name, values in columns.items()}
        arrays = from_lists(inputs, signature)
        check(arrays, signature)
        outputs = to_lists(opened.predictor.predict(arrays), signature.outputs)
        rows = len(next(iter(outputs.values())))
        record = PredictionRecord(
            request_id=request_id,
            deployment=self._deployment,
            variant=variant.name,
            model=variant.model,
            number=variant.number,
            bundle=variant.bundle,
            generation=state.generation,
            at=self._workspace.clock.now(),
            latency_us=(time.perf_counter_ns() - begun) // 1000,
            protocol="in-process",
            rows=rows,
            inputs=inputs,
            outputs=outputs,
            rollout=state.rollout,
            weight=chances(answering, loaded=[v.name for v in answering])[variant.name],
        )
        self._record(record)
        ids = tuple(record.prediction_id(row) for row in range(rows))
        return Answer(ids=ids, outputs=outputs, variant=variant.name, number=variant.number)

    def close(self) -> None:
        """Finish the journal."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _current(self) -> DesiredState:
        """What shall answer now; a new generation is loaded before it is used."""
        state = desired.read(self._workspace.blobs, self._deployment)
        if state is None:
            raise ModelUnknown(f"nothing is deployed as {self._deployment!r}", remedy="noria status")
        if state.stopped:
            raise ModelNotReady(
                f"deployment {self._deployment!r} was stopped",
                cause=state.stopped,
                remedy=f"noria resume {self._deployment}",
            )
        if self._state is None or state.generation != self._state.generation:
            cache = self._workspace.home / "cache"
            opened: dict[str, OpenBundle] = {
                v.bundle: self._opened.get(v.bundle)
                or open_bundle(v.bundle, blobs=self._workspace.blobs, cache=cache, flavors=self._workspace.flavors)
                for v in state.variants
                if not v.shadow
            }
            recording = self._workspace.settings.serving.recording.get(self._deployment, EVERYTHING)
            for each in opened.values():
                check_against(recording, each.manifest.signature, deployment=self._deployment)
            self._opened, self._state = opened, state
        return state

    def _record(self, record: PredictionRecord) -> None:
        recording = self._workspace.settings.serving.recording.get(self._deployment, EVERYTHING)
        if not is_kept(recording, record.request_id):
            return
        record = as_set(record, recording, salt=redaction_salt(self._workspace.home) if recording.digest else b"")
        if self._writer is None:
            self._writer = self._workspace.predictions.writer(self._deployment, name=f"in-process-{fresh()[:8]}")
        self._writer.write([record])
