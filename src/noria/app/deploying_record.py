"""What is declared: the declaration in force of each deployment, and how another takes its place. Called by app/deploying and the loop's composition.

A declaration is kept by its digest beside the bundles; `DeploymentDeclared` in the ledger says which is in force, since when, and by whom.
"""

import msgspec

from noria.app.begin import begin
from noria.app.workspace import Workspace
from noria.domain.declaration import Declaration
from noria.domain.events import DeploymentDeclared
from noria.domain.ids import EventId, derive
from noria.domain.ledger import Draft, Entry
from noria.errors import NotFound, StoreCorrupt
from noria.wire.canonical import canonical

KIND = "DeploymentDeclared"
MOST = 100_000


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """A declaration, and the event that put it in force."""

    deployment: str
    declaration: Declaration
    event: EventId


def in_force(workspace: Workspace) -> dict[str, InForce]:
    """The declaration in force of each deployment that has one, by name. A recipe that was declared from Python is none: it is in the code."""
    found: dict[str, InForce] = {}
    for entry in workspace.ledger.latest(limit=MOST, kinds=(KIND,)):
        event = entry.event
        if not isinstance(event, DeploymentDeclared) or event.deployment in found:
            continue
        declaration = _read(workspace, event)
        if declaration is not None:
            found[event.deployment] = InForce(deployment=event.deployment, declaration=declaration, event=entry.id)
    return dict(sorted(found.items()))


def newest(workspace: Workspace) -> EventId | None:
    """The last event that declared anything: while it stays the same, so does what is in force."""
    return next((entry.id for entry in workspace.ledger.latest(limit=1, kinds=(KIND,))), None)


def put_in_force(
    workspace: Workspace, name: str, declaration: Declaration, *, before: InForce | None, actor: str
) -> Entry | None:
    """Keep a declaration and say in the ledger that it is in force; None if it is already. Repeated after a crash, it is one event."""
    if before is not None and before.declaration == declaration:
        return None
    first = begin(workspace, actor=actor)
    digest = workspace.blobs.put(canonical(declaration))
    event = DeploymentDeclared(deployment=name, model=declaration.model, declaration=digest)
    event_id = EventId(derive("declared", name, digest, before.event if before else ""))
    draft = Draft(id=event_id, at=workspace.clock.now(), actor=actor, event=event, cause=first.id)
    return workspace.ledger.append([draft])[0]


def _read(workspace: Workspace, event: DeploymentDeclared) -> Declaration | None:
    try:
        content = workspace.blobs.get(event.declaration)
    except NotFound:
        return None
    try:
        return msgspec.json.decode(content, type=Declaration)
    except msgspec.DecodeError as exc:
        raise StoreCorrupt(
            f"what was declared for deployment {event.deployment!r} cannot be read",
            cause=str(exc),
            remedy="bring this process to the version of Noria that declared it, or declare it again: noria apply",
        ) from exc
