"""Move an alias, with who, when and why. Whether a version may be champion was decided by its gates and its rollout. Called by loop and faces."""

from collections.abc import Mapping
from datetime import datetime

from noria.domain.events import AliasMoved, AliasRemoved, ModelDeleted, ModelVersionDeleted
from noria.domain.ids import EventId, fresh
from noria.domain.ledger import Draft
from noria.domain.model import AliasMove
from noria.errors import InputInvalid, NotFound
from noria.ports.catalog import ModelCatalog
from noria.ports.ledger import Ledger
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


def move_by_hand(
    models: ModelStore,
    ledger: Ledger,
    *,
    model: str,
    alias: str,
    number: int | None,
    at: datetime,
    actor: str,
    reason: str,
) -> AliasMove | None:
    """A person points an alias to a version, or takes it away (number None); the ledger has it too. None: it pointed nowhere already.

    The move's cause is the id of its event, which is appended after it. If the process dies in between, the next move of the alias appends what is
    missing. Raises NotFound for model and version, InputInvalid without a reason.
    """
    if not reason.strip():
        raise InputInvalid(
            f"alias '{alias}' of model '{model}' cannot be moved without a reason",
            remedy=f"noria models {model} --set-alias {alias} --because '...'",
        )
    _append_missing(models, ledger, model, alias)
    if number is None and models.alias(model, alias) is None:
        return None
    event_id = EventId(fresh())
    models.move_alias(
        AliasMove(
            model=model, alias=alias, number=number, previous=None, at=at, actor=actor, reason=reason, cause=event_id
        )
    )
    made = next((m for m in reversed(models.alias_history(model, alias)) if m.cause == event_id), None)
    if made is not None:
        _append(ledger, made, event_id)
    return made


def delete_version(
    models: ModelStore, ledger: Ledger, *, model: str, number: int, at: datetime, actor: str, reason: str
) -> None:
    """Forget a version; that it went, with the aliases to it, stands in the ledger. Raises NotFound; Conflict while it answers somewhere."""
    pointing = {alias: to for alias, to in models.aliases(model).items() if to == number}
    models.delete(model, number, at=at)
    gone = ModelVersionDeleted(model=model, number=number, reason=reason)
    _append_deleted(ledger, gone, pointing, at=at, actor=actor, why=f"version {model}/{number} was deleted: {reason}")


def delete_model(
    catalog: ModelCatalog, models: ModelStore, ledger: Ledger, *, model: str, at: datetime, actor: str, reason: str
) -> None:
    """Forget a model with all of its versions; the ledger keeps where its aliases pointed. Raises NotFound; Conflict while it is served."""
    pointing, versions = models.aliases(model), len(models.versions(model))
    catalog.delete(model, at=at)
    gone = ModelDeleted(model=model, versions=versions, reason=reason)
    _append_deleted(ledger, gone, pointing, at=at, actor=actor, why=f"model '{model}' was deleted: {reason}")


def alias_on(models: ModelStore, *, model: str, alias: str, day: datetime) -> AliasMove | None:
    """The move that was in force at a moment: which version was champion on day D, and who put it there (number None: who took it away)."""
    past = [move for move in models.alias_history(model, alias) if move.at <= day]
    return past[-1] if past else None


def _append_missing(models: ModelStore, ledger: Ledger, model: str, alias: str) -> None:
    """The event of the alias's last move by hand, if a crash kept it out of the ledger."""
    last = next(reversed(models.alias_history(model, alias)), None)
    if last is None or last.cause is None:
        return
    try:
        ledger.get(last.cause)
    except NotFound:
        _append(ledger, last, last.cause)


def _append_deleted(
    ledger: Ledger,
    gone: ModelVersionDeleted | ModelDeleted,
    aliases: Mapping[str, int],
    *,
    at: datetime,
    actor: str,
    why: str,
) -> None:
    """The deletion, and what it did to aliases because of it."""
    cause = EventId(fresh())
    removed = [
        AliasRemoved(model=gone.model, alias=alias, previous=to, reason=why) for alias, to in sorted(aliases.items())
    ]
    ledger.append(
        [
            Draft(id=cause, at=at, actor=actor, event=gone),
            *[Draft(id=EventId(fresh()), at=at, actor=actor, event=event, cause=cause) for event in removed],
        ]
    )


def _append(ledger: Ledger, move: AliasMove, event_id: EventId) -> None:
    event: AliasMoved | AliasRemoved
    if move.number is None:
        event = AliasRemoved(model=move.model, alias=move.alias, previous=move.previous or 0, reason=move.reason)
    else:
        event = AliasMoved(
            model=move.model, alias=move.alias, number=move.number, previous=move.previous, reason=move.reason
        )
    ledger.append([Draft(id=event_id, at=move.at, actor=move.actor, event=event)])
