"""A person's approval of a version: judged by governance/approve, written as the event the wheel waits for. Called by `noria models --approve`."""

from noria.app.workspace import Workspace
from noria.domain.events import ModelVersionApproved, ModelVersionRegistered
from noria.domain.ledger import Draft, Entry, caused
from noria.errors import GateNotPassed, NotFound
from noria.governance.approve import Approval, approve


def approve_version(workspace: Workspace, model: str, number: int, *, actor: str, reason: str) -> Entry:
    """Let a registered version meet traffic. Approved before, it gives the approval that stands. The loop rolls it out on its next stroke.

    Raises NotFound for a version that was never registered, GateNotPassed when its gates, or the name or reason of the person, are missing.
    """
    registered = next(
        (
            entry
            for entry in workspace.ledger.latest(limit=100_000, kinds=("ModelVersionRegistered",))
            if isinstance(entry.event, ModelVersionRegistered)
            and (entry.event.model, entry.event.number) == (model, number)
        ),
        None,
    )
    if registered is None or not isinstance(registered.event, ModelVersionRegistered):
        raise NotFound.of("registered version", f"{model}/{number}", workspace.models.models(), remedy="noria models")
    now = workspace.clock.now()
    given = Approval(model=model, number=number, actor=actor, reason=reason, at=now)
    judged = approve(workspace.models.get(model, number), policy="person", approvals=[given])
    if not judged.approved:
        remedy = f'noria models {model}/{number} --approve --because "..."'
        raise GateNotPassed(
            f"version {number} of model {model!r} cannot be approved", cause=judged.reason, remedy=remedy
        )
    event = ModelVersionApproved(
        deployment=registered.event.deployment, model=model, number=number, by=judged.by, reason=judged.reason
    )
    standing = [
        entry
        for entry in workspace.ledger.latest(limit=100_000, kinds=("ModelVersionApproved",))
        if entry.cause == registered.id
    ]
    if standing:
        return standing[0]
    draft = Draft(id=caused(registered, "approve"), at=now, actor=actor, event=event, cause=registered.id)
    return workspace.ledger.append([draft])[0]
