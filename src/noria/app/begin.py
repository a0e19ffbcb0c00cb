"""Begin a project: the first row of its ledger. Kept apart from turn.py, so that beginning imports nothing of the loop. Called by init and turn."""

from noria import __version__
from noria.app.workspace import Workspace
from noria.domain.events import ProjectCreated
from noria.domain.ids import EventId, derive
from noria.domain.ledger import Draft, Entry


def begin(workspace: Workspace, *, actor: str = "noria") -> Entry:
    """Write the first row of a project's ledger; on a project that has begun this gives the row it has."""
    event_id = EventId(derive("project", workspace.project))
    known = workspace.ledger.read(limit=1)
    if known:
        return known[0]
    event = ProjectCreated(project=workspace.project, noria_version=__version__)
    return workspace.ledger.append([Draft(id=event_id, at=workspace.clock.now(), actor=actor, event=event)])[0]
