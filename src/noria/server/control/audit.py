"""The ledger over HTTP: its entries, and whether they are what was written. Verifying is governance/audit. Called by app.py."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from noria.app.workspace import Workspace
from noria.governance.audit import verify
from noria.server.control import telling
from noria.server.control.views import AuditView, EventsPage


@get("/api/v1/events", sync_to_thread=True, tags=["ledger"])
def list_events(
    workspace: NamedDependency[Workspace],
    after: Annotated[int, QueryParameter(ge=0)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    newest: Annotated[
        bool, QueryParameter(description="The newest entries, newest first; `after` then counts for nothing.")
    ] = False,
) -> EventsPage:
    """Entries of the ledger with seq > after, in order; or the newest ones."""
    found = workspace.ledger.latest(limit=limit) if newest else workspace.ledger.read(after=after, limit=limit)
    return EventsPage(events=[telling.view(entry) for entry in found], head=workspace.ledger.head().seq)


@get("/api/v1/audit/verify", sync_to_thread=True, tags=["ledger"])
def verify_ledger(workspace: NamedDependency[Workspace]) -> AuditView:
    """Read every row as it is stored and follow the chain of hashes from the first to the last."""
    report = verify(workspace.ledger, project=workspace.project)
    return AuditView(intact=not report.breaks, rows=report.rows, head=report.head.hash, breaks=list(report.breaks))
