"""Register what passed its gates, then approve it by the recipe's rule. Follows GatesPassed, ModelVersionRegistered and DeploymentResumed."""

from collections.abc import Sequence

import msgspec

from noria.domain import events as e
from noria.domain.bundle import Bundle
from noria.domain.ledger import Entry
from noria.governance.approve import approve as judge_approval
from noria.loop.context import Context
from noria.registry import register as registry

LOOKED_THROUGH = 10_000
"""So many of the newest approvals and stops are looked through for what waited."""


def register(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """GatesPassed -> ModelVersionRegistered."""
    event = entry.event
    assert isinstance(event, e.GatesPassed)
    run = context.runs.get(event.run_id)
    version = registry.register(
        context.models,
        model=event.model,
        run=run,
        bundle=event.bundle,
        manifest=msgspec.json.decode(context.blobs.get(event.bundle), type=Bundle),
        gates=event.report,
        architecture=run.tags.get("candidate", ""),
        at=context.clock.now(),
        cause=entry.id,
    )
    return [
        e.ModelVersionRegistered(
            deployment=event.deployment,
            model=event.model,
            number=version.number,
            version=str(version.version),
            version_reason=version.version_reason,
            run_id=event.run_id,
            bundle=event.bundle,
        )
    ]


def approve(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """ModelVersionRegistered -> ModelVersionApproved, or nothing while a person is waited for."""
    event = entry.event
    assert isinstance(event, e.ModelVersionRegistered)
    recipe = context.recipe(event.deployment)
    judged = judge_approval(context.models.get(event.model, event.number), policy=recipe.approval)
    if not judged.approved:
        return []
    return [
        e.ModelVersionApproved(
            deployment=event.deployment, model=event.model, number=event.number, by=judged.by, reason=judged.reason
        )
    ]


def approve_again(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """DeploymentResumed -> ModelVersionApproved of the newest version that was approved while it was stopped, if it was not tried since."""
    event = entry.event
    assert isinstance(event, e.DeploymentResumed)
    tried = {rollout.cause for rollout in context.deployments.rollouts(event.deployment)}
    for earlier in context.ledger.latest(limit=LOOKED_THROUGH, kinds=("ModelVersionApproved", "DeploymentStopped")):
        approval = earlier.event
        if earlier.seq > entry.seq or getattr(approval, "deployment", None) != event.deployment:
            continue
        if not isinstance(approval, e.ModelVersionApproved) or earlier.id in tried or approval.number == event.number:
            break
        reason = f"{approval.reason}; it waited while the deployment was stopped"
        return [msgspec.structs.replace(approval, reason=reason)]
    return []
