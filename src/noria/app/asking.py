"""A person asks for a training: the event that the wheel waits for. Called by `noria retrain` and REST; what is due by itself the loop decides.

A person may exceed the policy's limits, and is held back only by what makes a second challenger senseless: a stop, a rollout, a training under way.
"""

from dataclasses import replace

from noria.app.turn import Loop
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.dataset import Schema
from noria.domain.ids import Digest, EventId, derive
from noria.domain.ledger import Draft, Entry
from noria.domain.policy import Policy
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound
from noria.loop.context import Recipe
from noria.loop.stages.decide import decided

LONGEST_REASON = 2000


def retrain(workspace: Workspace, name: str, *, reason: str, actor: str, recipe: Recipe | None = None) -> Entry:
    """Ask for a challenger on all labels known now; the loop trains it on its next stroke, and its gates and canary decide what becomes of it.

    recipe: if it is at hand, the request shows its policy's limits too. Two who ask at the same moment ask once. Raises NotFound for a deployment
    that was never declared, Conflict with the reason when it is stopped or something is under way, InputInvalid without a reason.
    """
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise InputInvalid(
            "a training is asked for without a reason" if not reason.strip() else "the reason is too long",
            cause=f"between 1 and {LONGEST_REASON} characters stand in the ledger for those who ask later",
            remedy=f"noria retrain {name} --because '...'",
        )
    asked = [
        x
        for x in workspace.ledger.latest(limit=100_000, kinds=("DeploymentDeclared", "RetrainRequested"))
        if isinstance(x.event, e.DeploymentDeclared | e.RetrainRequested) and x.event.deployment == name
    ]
    if not asked:
        declared = sorted(d.name for d in workspace.deployments.all())
        raise NotFound.of("deployment that the loop trains for", name, declared, remedy="noria status")
    newest = asked[0].event
    assert isinstance(newest, e.DeploymentDeclared | e.RetrainRequested)
    now = workspace.clock.now()
    context = Loop(workspace, [], tell=False).context
    found = decided("hand", recipe or _bare(name, newest.model), context, now=now, because=reason.strip())
    if isinstance(found, e.RetrainSuppressed):
        raise Conflict(
            f"no training of deployment {name!r} can be asked for now", cause=found.reason, remedy=f"noria why {name}"
        )
    if recipe is None:
        found = e.RetrainRequested(
            deployment=name,
            model=found.model,
            reason=found.reason,
            trigger="hand",
            data_until=now,
            evidence=found.evidence,
        )
    event_id = EventId(derive("hand", name, asked[0].id))
    draft = Draft(id=event_id, at=now, actor=actor, event=found, cause=asked[-1].id)
    try:
        return workspace.ledger.append([draft])[0]
    except AlreadyExists:
        return workspace.ledger.get(event_id)


def _bare(name: str, model: str) -> Recipe:
    """What a person's request needs of a recipe, where the project's own is not at hand."""
    recipe = Recipe(
        deployment=name,
        model=model,
        base=Digest(""),
        schema=Schema(columns=()),
        features=(),
        candidates={},
        gates=(),
    )
    return replace(recipe, policy=Policy(on=()))
