"""Deployments over HTTP: the list, one with everything the loop did to it, its realised quality. Deciding is loop/. Called by app.py."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from noria.app import watched
from noria.app.workspace import Workspace
from noria.domain.deployment import Deployment
from noria.domain.events import AnyEvent
from noria.errors import NotFound
from noria.server.control import demo, reading, telling
from noria.server.control.quality import Quality
from noria.server.control.views import DeploymentPage, DeploymentRow, EventView, Generation, QualityView

DECISIONS = (
    "DeploymentDeclared",
    "RetrainRequested",
    "RetrainSuppressed",
    "RunFailed",
    "GatesFailed",
    "ModelVersionApproved",
    "RolloutStarted",
    "RolloutPromoted",
    "RolloutRolledBack",
    "RolloutAdvanced",
    "DeploymentChanged",
    "DeploymentRolledBack",
    "DeploymentStopped",
    "DeploymentResumed",
    "TriggerFired",
    "AlertOpened",
    "AlertResolved",
    "AlertAcknowledged",
    "AlertSnoozed",
    "AlertReopened",
)


@get("/api/v1/deployments", sync_to_thread=True, tags=["deployments"])
def list_deployments(workspace: NamedDependency[Workspace]) -> list[DeploymentRow]:
    """Every deployment: what answers, and whether something is open."""
    waiting = [alert for alert in reading.alerts(workspace.ledger) if not alert.is_over]
    return [
        DeploymentRow(
            name=d.name,
            model=d.model,
            generation=d.generation,
            updated_at=d.updated_at,
            variants=list(d.variants),
            rollout=d.rollout,
            open_alerts=sum(alert.deployment == d.name for alert in waiting),
            rollouts=len(workspace.deployments.rollouts(d.name)),
            stopped=d.stopped.reason if d.stopped is not None else "",
        )
        for d in workspace.deployments.all()
    ]


@get("/api/v1/deployments/{name:str}", sync_to_thread=True, tags=["deployments"])
def read_deployment(workspace: NamedDependency[Workspace], name: FromPath[str]) -> DeploymentPage:
    """One deployment with its rollouts, alerts and decisions, newest first, and the demo's comparison if it is about this one."""
    d = find(workspace, name)
    history = workspace.deployments.history(name)
    names = [other.name for other in workspace.deployments.all()]
    return DeploymentPage(
        name=d.name,
        model=d.model,
        generation=d.generation,
        updated_at=d.updated_at,
        sticky_by=d.sticky_by,
        variants=list(d.variants),
        rollout=d.rollout,
        rollouts=workspace.deployments.rollouts(name)[::-1],
        generations=[generation(past) for past in reversed(history)],
        alerts=reading.alerts(workspace.ledger, name),
        decisions=decisions(workspace, name),
        comparison=demo.comparison(workspace.blobs, name, names),
    )


@get("/api/v1/deployments/{name:str}/quality", sync_to_thread=True, tags=["deployments"])
def read_quality(
    workspace: NamedDependency[Workspace], quality: NamedDependency[Quality], name: FromPath[str]
) -> QualityView:
    """Realised quality of the answers by month, from the log and the labels that have arrived by now. Kept for half a minute."""
    return quality.of(workspace, find(workspace, name))


@get("/api/v1/deployments/{name:str}/watch", sync_to_thread=True, tags=["deployments"])
def read_watch(workspace: NamedDependency[Workspace], name: FromPath[str]) -> watched.WatchStory:
    """How the champion was watched: the evidence for drift window by window, each feature beside its reference, the newest look."""
    return watched.story(workspace, find(workspace, name))


def find(workspace: Workspace, name: str) -> Deployment:
    """A deployment by name. Raises NotFound with the nearest names."""
    try:
        return workspace.deployments.get(name)
    except NotFound as exc:
        raise NotFound.of("deployment", name, [d.name for d in workspace.deployments.all()]) from exc


def generation(deployment: Deployment) -> Generation:
    """A past state in short."""
    return Generation(generation=deployment.generation, at=deployment.updated_at, variants=list(deployment.variants))


def decisions(workspace: Workspace, name: str) -> list[EventView]:
    """What was decided about a deployment, newest first."""
    found = [entry for entry in reading.entries(workspace.ledger, DECISIONS) if _concerns(entry.event, name)]
    return [telling.view(entry) for entry in reversed(found)]


def _concerns(event: AnyEvent, name: str) -> bool:
    return getattr(event, "deployment", None) == name
