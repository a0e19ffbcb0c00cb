"""Register what passed its gates, then approve it by the recipe's rule. Follows GatesPassed and ModelVersionRegistered."""

from collections.abc import Sequence

import msgspec

from noria.domain import events as e
from noria.domain.bundle import Bundle
from noria.domain.ledger import Entry
from noria.governance.approve import approve as judge_approval
from noria.loop.context import Context
from noria.registry import register as registry


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
