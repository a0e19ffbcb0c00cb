"""Register a candidate as the next version of a model. Gating it is evaluation/gates, naming the champion is promote. Called by loop/stages."""

from datetime import datetime

from noria.domain.bundle import Bundle
from noria.domain.gate import GateReport
from noria.domain.ids import Digest, EventId
from noria.domain.model import ModelVersion
from noria.domain.run import Run
from noria.errors import GateNotPassed
from noria.ports.models import ModelStore
from noria.registry.version import next_version


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
    """Write the next version; a run that is registered already gives the version it has. Raises GateNotPassed if a gate failed."""
    if not gates.passed:
        failed = ", ".join(f"{r.gate.name!r}" for r in gates.failures()) or "no gate was judged"
        raise GateNotPassed(
            f"run {run.name!r} cannot become a version of model {model!r}",
            cause=f"failed: {failed}",
            remedy=f"noria run {run.id}",
        )
    versions = models.versions(model)
    for known in versions:
        if known.run_id == run.id:
            return known
    previous = versions[-1] if versions else None
    version, reason = next_version(previous, architecture=architecture, datasets=run.datasets, params=run.params)
    return models.register(
        ModelVersion(
            model=model,
            number=(previous.number if previous else 0) + 1,
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
    )
