"""Why: from one prediction back to all that made it, and the same answer computed again. Reads only. Called by SDK, `noria why` and the pages."""

import struct
from datetime import datetime
from typing import Any

import msgspec

from noria.app.deliveries import DeliveryStory, Told, delivery
from noria.app.workspace import Workspace
from noria.domain.bundle import Bundle
from noria.domain.dataset import DatasetVersion
from noria.domain.deployment import Deployment, Rollout
from noria.domain.events import AlertOpened, kind_of
from noria.domain.ids import EventId, PredictionId
from noria.domain.ledger import Entry
from noria.domain.model import AliasMove, ModelVersion
from noria.domain.prediction import LoggedPrediction, Scalar
from noria.domain.run import Run
from noria.errors import NoriaError, NotFound
from noria.packaging.bundle import open_bundle
from noria.registry.lineage import causes
from noria.registry.packaged import bundle_of, run_of
from noria.registry.promote import alias_on


class Recomputed(msgspec.Struct, frozen=True, kw_only=True):
    """The same request answered again by the same bundle. equal: every output of every row has the same bits."""

    equal: bool
    outputs: dict[str, Scalar]
    problem: str = ""


class LedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event on the way to this prediction, with a sentence about it."""

    seq: int
    id: str
    kind: str
    at: datetime
    sentence: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Everything behind one prediction. datasets: the versions it learnt from; events: the chain of causes, oldest first."""

    prediction_id: str
    asked_at: datetime
    protocol: str
    latency_us: int
    inputs: dict[str, Scalar]
    outputs: dict[str, Scalar]
    label: float | None
    label_at: datetime | None
    variant: str
    deployment: Deployment
    rollout: Rollout | None
    version: ModelVersion
    champion_then: AliasMove | None
    bundle: Bundle
    run: Run
    datasets: list[DatasetVersion]
    events: list[LedEvent]
    recomputed: Recomputed


def why(workspace: Workspace, prediction_id: str) -> Why:
    """Explain one prediction. Raises NotFound when it is not in the log."""
    found = workspace.predictions.get(PredictionId(prediction_id))
    record = found.record
    deployment = workspace.deployments.at_generation(record.deployment, record.generation)
    version = workspace.models.get(record.model, record.number)
    run = workspace.runs.get(run_of(version))
    bundle = msgspec.json.decode(workspace.blobs.get(bundle_of(version)), type=Bundle)
    rollout = deployment.rollout if record.rollout and deployment.rollout else None
    return Why(
        prediction_id=prediction_id,
        asked_at=record.at,
        protocol=record.protocol,
        latency_us=record.latency_us,
        inputs={name: values[found.row] for name, values in record.inputs.items()},
        outputs={name: values[found.row] for name, values in record.outputs.items()},
        label=found.label,
        label_at=found.label_at,
        variant=record.variant,
        deployment=deployment,
        rollout=rollout,
        version=version,
        champion_then=alias_on(workspace.models, model=record.model, alias="champion", day=record.at),
        bundle=bundle,
        run=run,
        datasets=_datasets(workspace, run),
        events=[_led(entry) for entry in _chain(workspace, deployment, version)],
        recomputed=_recompute(workspace, found, version),
    )


class Led(msgspec.Struct, frozen=True, kw_only=True):
    """One event, alert or rollout: what led to it, oldest first, and what followed from it.

    delivery: the story that it belongs to, if it is one of a rollout or of what a person did to a deployment.
    """

    id: str
    events: list[LedEvent]
    followed: list[LedEvent]
    evidence: dict[str, float | str] = {}
    budget: str = ""
    delivery: DeliveryStory | None = None


def why_event(workspace: Workspace, identity: str) -> Led:
    """Explain an event by its id, the alert or the rollout of this id. Raises NotFound."""
    story = _story(workspace, identity)
    if story is not None:
        return Led(
            id=identity,
            events=[_of_told(told) for told in story.led],
            followed=[_of_told(told) for told in story.followed],
            delivery=story,
        )
    entries = workspace.ledger.read(limit=1_000_000)
    found = next(
        (x for x in entries if identity in (x.id, x.event.alert.id if isinstance(x.event, AlertOpened) else "")), None
    )
    if found is None:
        raise NotFound.of("prediction, event, alert or rollout", identity, remedy="noria status")
    followed: set[str] = {found.id}
    after = []
    for entry in entries:
        if entry.cause in followed:
            followed.add(entry.id)
            after.append(entry)
    alert = found.event.alert if isinstance(found.event, AlertOpened) else None
    return Led(
        id=identity,
        events=[_led(entry) for entry in causes(workspace.ledger, found.id)],
        followed=[_led(entry) for entry in after],
        evidence=alert.evidence if alert else {},
        budget=alert.budget if alert else "",
    )


def _story(workspace: Workspace, identity: str) -> DeliveryStory | None:
    try:
        return delivery(workspace, identity)
    except NotFound:
        return None


def _of_told(told: Told) -> LedEvent:
    return LedEvent(seq=told.seq, id=told.id, kind=told.kind, at=told.at, sentence=told.sentence)


def _datasets(workspace: Workspace, run: Run) -> list[DatasetVersion]:
    found = []
    for digest in run.datasets:
        try:
            found.append(workspace.tables.version(digest))
        except NotFound:
            continue
    return found


def _chain(workspace: Workspace, deployment: Deployment, version: ModelVersion) -> list[Entry]:
    """Causes of the deployment's state and of the version, merged in ledger order."""
    merged: dict[int, Entry] = {}
    for event_id in (deployment.cause, version.cause):
        if event_id is not None:
            merged.update({entry.seq: entry for entry in causes(workspace.ledger, EventId(event_id))})
    return [merged[seq] for seq in sorted(merged)]


def _led(entry: Entry) -> LedEvent:
    from noria.app.sentences import sentence

    return LedEvent(seq=entry.seq, id=entry.id, kind=kind_of(entry.event), at=entry.at, sentence=sentence(entry.event))


def _recompute(workspace: Workspace, found: LoggedPrediction, version: ModelVersion) -> Recomputed:
    """Answer the whole request again: a row's bits may depend on the rows beside it (matrix products do)."""
    from noria.serving.predict import answer

    record = found.record
    if record.redacted:
        names = ", ".join(repr(name) for name in record.redacted)
        return Recomputed(
            equal=False, outputs={}, problem=f"the log was told to redact {names}: it cannot be answered again"
        )
    try:
        opened = open_bundle(
            bundle_of(version), blobs=workspace.blobs, cache=workspace.home / "cache", flavors=workspace.flavors
        )
        outputs = answer(opened, record.inputs)
    except NoriaError as error:
        return Recomputed(equal=False, outputs={}, problem=error.problem)
    equal = outputs.keys() == record.outputs.keys() and all(
        len(outputs[name]) == len(values) and all(_same_bits(a, b) for a, b in zip(outputs[name], values, strict=True))
        for name, values in record.outputs.items()
    )
    return Recomputed(equal=equal, outputs={name: values[found.row] for name, values in outputs.items()})


def _same_bits(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return type(a) is type(b) and bool(a == b)
