"""Name the champion. Follows RolloutPromoted."""

from collections.abc import Sequence

from noria.domain import events as e
from noria.domain.ledger import Entry
from noria.errors import NotFound
from noria.loop.context import Context
from noria.registry import promote as registry

ALIAS = "champion"


def promote(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """RolloutPromoted -> AliasMoved; nothing for a deployment that no alias follows."""
    event = entry.event
    assert isinstance(event, e.RolloutPromoted)
    alias = _alias(context, event.deployment)
    if not alias:
        return []
    move = registry.promote(
        context.models,
        model=event.model,
        number=event.number,
        alias=alias,
        at=entry.at,
        actor=entry.actor,
        reason=event.verdict.reason if event.verdict else "first version",
        cause=entry.id,
    )
    return [
        e.AliasMoved(
            model=move.model, alias=move.alias, number=event.number, previous=move.previous, reason=move.reason
        )
    ]


def _alias(context: Context, deployment: str) -> str:
    """Which alias follows this deployment's champion."""
    try:
        return context.deployments.get(deployment).alias
    except NotFound:
        return ALIAS
