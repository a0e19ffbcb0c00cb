"""Where an alias of a model pointed at a moment, who put it there, and on which evidence. Reads only. Called by `noria models` and the REST API."""

from datetime import datetime

import msgspec

from noria.app.sentences import sentence
from noria.app.workspace import Workspace
from noria.domain.events import kind_of
from noria.domain.gate import GateReport
from noria.domain.ids import EventId
from noria.domain.model import AliasMove, ModelVersion
from noria.errors import NotFound
from noria.registry.lineage import causes


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One event that led to the move, with a sentence about it."""

    seq: int
    id: EventId
    kind: str
    at: datetime
    sentence: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What an alias meant at a moment. until: when it moved on, None if it has not. version: None if it was deleted since.

    events: what led to the move, oldest first; empty for a move that no event caused.
    """

    model: str
    alias: str
    on: datetime
    number: int
    previous: int | None
    since: datetime
    until: datetime | None
    actor: str
    reason: str
    version: str | None
    version_reason: str
    gates: GateReport | None
    events: list[Evidence]


def standing(workspace: Workspace, model: str, alias: str, *, on: datetime) -> Standing:
    """Which version an alias pointed to at a moment. Raises NotFound for the model, and if the alias pointed nowhere then."""
    workspace.catalog.get(model)
    history = workspace.models.alias_history(model, alias)
    past = [move for move in history if move.at <= on]
    move = past[-1] if past else None
    if move is None or move.number is None:
        raise _nowhere(workspace, model, alias, on=on, move=move, history=history)
    later = history[history.index(move) + 1 :]
    version = _version(workspace, model, move.number)
    return Standing(
        model=model,
        alias=alias,
        on=on,
        number=move.number,
        previous=move.previous,
        since=move.at,
        until=later[0].at if later else None,
        actor=move.actor,
        reason=move.reason,
        version=str(version.version) if version else None,
        version_reason=version.version_reason if version else "",
        gates=version.gates if version else None,
        events=_events(workspace, move, version),
    )


def _nowhere(
    workspace: Workspace, model: str, alias: str, *, on: datetime, move: AliasMove | None, history: list[AliasMove]
) -> NotFound:
    day = f"{on:%Y-%m-%d %H:%M} UTC"
    if move is not None:
        cause = f"{move.actor} took it away on {move.at:%Y-%m-%d %H:%M}: {move.reason}"
    elif history:
        cause = f"it was first set on {history[0].at:%Y-%m-%d %H:%M} UTC"
    else:
        known = workspace.models.aliases(model)
        cause = f"known: {', '.join(repr(name) for name in known)}" if known else "the model has no alias yet"
    return NotFound(
        f"alias '{alias}' of model '{model}' pointed nowhere on {day}",
        cause=cause,
        remedy=f"noria models {model} --history",
    )


def _version(workspace: Workspace, model: str, number: int) -> ModelVersion | None:
    try:
        return workspace.models.get(model, number)
    except NotFound:
        return None


def _events(workspace: Workspace, move: AliasMove, version: ModelVersion | None) -> list[Evidence]:
    """Causes of the move and of the version, in the ledger's order."""
    merged = {}
    for event_id in (move.cause, version.cause if version else None):
        if event_id is not None:
            merged.update({entry.seq: entry for entry in causes(workspace.ledger, event_id)})
    return [
        Evidence(seq=seq, id=entry.id, kind=kind_of(entry.event), at=entry.at, sentence=sentence(entry.event))
        for seq, entry in sorted(merged.items())
    ]
