"""Register a candidate as the next version of a model. Gating it is evaluation/gates, naming the champion is promote. Called by loop/stages."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from noria.domain.bundle import Bundle
from noria.domain.gate import GateReport
from noria.domain.ids import Digest, EventId, RunId, digest_of
from noria.domain.model import ModelVersion
from noria.domain.run import DatasetUse, ParamValue, Run
from noria.domain.trained import TrainedModel
from noria.errors import AlreadyExists, GateNotPassed, NotFound
from noria.ports.models import ModelStore
from noria.registry.version import next_of_same_files, next_version

TRAINING = frozenset({"training", "train"})
"""What recorders call the use of a dataset for fitting (its tag 'context')."""
ARCHITECTURE = ("architecture", "estimator_class")
"""Tags that say of what kind a model is, the first that is there. The second is what training libraries' own recorders write."""
TRIES = 100
"""Writers that register at once take turns; more than this at one moment is a fault."""
_ADDRESS = re.compile(r"blake3:[0-9a-f]{64}")


def register(
    models: ModelStore,
    *,
    model: str,
    run: Run,
    bundle: Digest,
    manifest: Bundle,
    gates: GateReport,
    architecture: str,
    at: datetime,
    cause: EventId | None = None,
) -> ModelVersion:
    """Write the next version; a run whose bundle is registered already gives the version it has. Raises GateNotPassed if a gate failed."""
    if not gates.passed:
        failed = ", ".join(f"{r.gate.name!r}" for r in gates.failures()) or "no gate was judged"
        raise GateNotPassed(
            f"run {run.name!r} cannot become a version of model {model!r}",
            cause=f"failed: {failed}",
            remedy=f"noria run {run.id}",
        )
    for number in _numbers(models, model):
        versions = models.versions(model)
        for known in versions:
            if known.run_id == run.id and known.bundle == bundle:
                return known
        previous = versions[-1] if versions else None
        version, reason = next_version(previous, architecture=architecture, datasets=run.datasets, params=run.params)
        made = ModelVersion(
            model=model,
            number=number,
            version=version,
            version_reason=reason,
            run_id=run.id,
            bundle=bundle,
            flavor=manifest.flavor,
            signature=manifest.signature,
            created_at=at,
            datasets=run.datasets,
            gates=gates,
            metrics=run.metrics,
            params=run.params,
            tags={"architecture": architecture},
            cause=cause,
        )
        if (written := _written(models, made)) is not None:
            return written
    raise _crowded(model)


def register_external(
    models: ModelStore,
    *,
    model: str,
    run: Run | None,
    trained: TrainedModel | None,
    source: str,
    at: datetime,
    user: str,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    run_id: RunId | None = None,
    architecture: str = "",
    flavor: str = "",
) -> ModelVersion:
    """Write the next version of what was trained outside of the loop: it has no bundle yet, and no gates.

    run_id: the run that is named, where nothing more is known of it. architecture: what kind of model it is, if the caller knows; else what the tags
    of version, trained model or run say, else the trained model's kind, else the flavor. Training data are the run's datasets: those that it says
    it was trained on, or all if it says of none what for. Hyper-parameters are those of run and trained model. The same trained model, or the same
    source of the same run, is the same files. The rule is next_version's. Raises InputInvalid for a name that no model can have.
    """
    kind = architecture or _architecture(tags or {}, run, trained)
    datasets, params = _training_data(run), _params(run, trained)
    named = run.id if run else run_id or (trained.run_id if trained else None)
    for number in _numbers(models, model):
        previous = _newest(models, model, before=number)
        if previous is not None and _same_files(previous, trained=trained, source=source, run_id=named):
            version, reason = next_of_same_files(previous)
        else:
            version, reason = next_version(
                previous, architecture=kind or flavor or None, datasets=datasets or None, params=params or None
            )
        made = ModelVersion(
            model=model,
            number=number,
            version=version,
            version_reason=reason,
            run_id=named,
            bundle=None,
            flavor=flavor,
            signature=None,
            created_at=at,
            datasets=datasets,
            metrics=dict(run.metrics) if run else {},
            params=params,
            tags=dict(tags or {}),
            description=description,
            source=source,
            trained=trained.id if trained else None,
            user=user,
            architecture=kind or flavor,
        )
        if (written := _written(models, made)) is not None:
            return written
    raise _crowded(model)


def _numbers(models: ModelStore, model: str) -> Iterator[int]:
    """The next number, again and again: somebody else may have taken it meanwhile."""
    return (models.next_number(model) for _ in range(TRIES))


def _written(models: ModelStore, version: ModelVersion) -> ModelVersion | None:
    """The version, or None if its number was taken while it was made."""
    try:
        return models.register(version)
    except AlreadyExists:
        return None


def _crowded(model: str) -> AlreadyExists:
    return AlreadyExists(
        f"model '{model}' got no new version",
        cause=f"{TRIES} times somebody else took the next number first",
        remedy="register it again",
    )


def _newest(models: ModelStore, model: str, *, before: int) -> ModelVersion | None:
    """The newest version that is there; mostly the one before this number, so that a long history is not read."""
    if before == 1:
        return None
    try:
        return models.get(model, before - 1)
    except NotFound:
        return next(reversed(models.versions(model)), None)


def _architecture(tags: Mapping[str, str], run: Run | None, trained: TrainedModel | None) -> str:
    held = [tags, trained.tags if trained else {}, run.tags if run else {}]
    said = [found[key] for found in held for key in ARCHITECTURE if found.get(key)]
    return said[0] if said else (trained.kind if trained else "")


def _training_data(run: Run | None) -> tuple[Digest, ...]:
    """Addresses of what a run was trained on: its dataset versions, and the datasets that its recorder named."""
    if run is None:
        return ()
    told = [use for use in run.inputs if use.tags.get("context")]
    chosen = [use for use in told if use.tags["context"] in TRAINING] if told else run.inputs
    return tuple(sorted({*run.datasets, *(_address(use) for use in chosen)}))


def _address(use: DatasetUse) -> Digest:
    """Of a dataset version of Noria its address; of any other one an address made from its name and its recorder's digest."""
    if _ADDRESS.fullmatch(use.digest):
        return Digest(use.digest)
    return digest_of(f"{use.name}\x1f{use.digest}".encode())


def _params(run: Run | None, trained: TrainedModel | None) -> dict[str, ParamValue]:
    return {**(run.params if run else {}), **(trained.params if trained else {})}


def _same_files(previous: ModelVersion, *, trained: TrainedModel | None, source: str, run_id: RunId | None) -> bool:
    """A trained model's files are fixed, and so are those of one place of one run. The same place without a run may hold anything by now."""
    if trained is not None and previous.trained is not None:
        return previous.trained == trained.id
    return bool(source) and previous.source == source and run_id is not None and previous.run_id == run_id
