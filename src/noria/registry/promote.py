"""Move an alias, with who, when and why. Whether a version may be champion was decided by its gates and its rollout. Called by loop/stages."""

from datetime import datetime

from noria.domain.ids import EventId
from noria.domain.model import AliasMove
from noria.ports.models import ModelStore


def promote(
    models: ModelStore,
    *,
    model: str,
    number: int,
    alias: str,
    at: datetime,
    actor: str,
    reason: str,
    cause: EventId | None = None,
) -> AliasMove:
    """Point the alias to the version. Repeated for the same cause it gives the move that was made. Raises NotFound."""
    for done in models.alias_history(model, alias):
        if cause is not None and done.cause == cause:
            return done
    move = AliasMove(
        model=model,
        alias=alias,
        number=number,
        previous=models.alias(model, alias),
        at=at,
        actor=actor,
        reason=reason,
        cause=cause,
    )
    models.move_alias(move)
    return move


def alias_on(models: ModelStore, *, model: str, alias: str, day: datetime) -> AliasMove | None:
    """The move that was in force at a moment: which version was champion on day D, and who put it there."""
    past = [move for move in models.alias_history(model, alias) if move.at <= day]
    return past[-1] if past else None
