"""One prediction explained, over HTTP. Walking back is app/why. Called by app.py."""

from typing import TYPE_CHECKING

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from noria.app.workspace import Workspace
from noria.domain.ids import EventId
from noria.registry.packaged import bundle_of
from noria.server.control import models, reading, telling
from noria.server.control.deployments import generation
from noria.server.control.runs import page as run_page
from noria.server.control.views import EventView, Recomputed, WhyView

if TYPE_CHECKING:
    from noria.app.why import Why


@get("/api/v1/why/{prediction_id:str}", sync_to_thread=True, tags=["predictions"])
def read_why(workspace: NamedDependency[Workspace], prediction_id: FromPath[str]) -> WhyView:
    """Everything behind one prediction, and the same answer computed again."""
    from noria.app.why import why as explain  # computing again brings the model's runtime: not at start-up

    found = explain(workspace, prediction_id)
    version = found.version
    return WhyView(
        prediction_id=found.prediction_id,
        asked_at=found.asked_at,
        protocol=found.protocol,
        latency_us=found.latency_us,
        inputs=found.inputs,
        outputs=found.outputs,
        label=found.label,
        label_at=found.label_at,
        variant=found.variant,
        deployment=found.deployment.name,
        generation=generation(found.deployment),
        rollout=found.rollout,
        model=version.model,
        number=version.number,
        version=str(version.version),
        version_reason=version.version_reason,
        registered_at=version.created_at,
        gates=version.gates,
        champion_then=found.champion_then,
        bundle=models.view(bundle_of(version), found.bundle),
        run=run_page(workspace, found.run.id),
        datasets=[reading.dataset(workspace.tables, digest) for digest in found.run.datasets],
        events=_told(workspace, found),
        recomputed=Recomputed(
            equal=found.recomputed.equal, outputs=found.recomputed.outputs, problem=found.recomputed.problem
        ),
    )


def _told(workspace: Workspace, found: "Why") -> list[EventView]:
    return [telling.view(workspace.ledger.get(EventId(event.id))) for event in found.events]
