"""Home over HTTP: the loop on one screen, and whether the server lives. Folding it is app/status. Called by app.py."""

from litestar import get
from litestar.di import NamedDependency

from noria import __version__
from noria.app.status import status as loop_status
from noria.app.workspace import Workspace
from noria.server.control import demo, telling
from noria.server.control.views import Health, StatusView

NEWS = 12


@get("/api/v1/health", sync_to_thread=False, tags=["home"])
def health(workspace: NamedDependency[Workspace]) -> Health:
    """Answers as long as the server lives; touches no store."""
    return Health(status="ok", project=workspace.project, version=__version__)


@get("/api/v1/status", sync_to_thread=True, tags=["home"])
def status(workspace: NamedDependency[Workspace]) -> StatusView:
    """Six stations, what needs a person, what changed; and how far a running demo has come."""
    now = loop_status(workspace, changes=0)
    return StatusView(
        project=now.project,
        now=now.now,
        turns=now.turns,
        stations=list(now.stations),
        needs_you=list(now.needs_you),
        what_changed=[telling.view(entry) for entry in workspace.ledger.latest(limit=NEWS)],
        entries=workspace.ledger.head().seq,
        deployments=[deployment.name for deployment in workspace.deployments.all()],
        progress=demo.progress(workspace.blobs),
    )
