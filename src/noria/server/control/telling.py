"""An entry of the ledger as the pages show it: its sentence, its tone and the page it belongs to. Pure. Called by the views with events in them."""

from urllib.parse import quote

import msgspec

from noria.app.sentences import sentence
from noria.app.status import State
from noria.domain import events as e
from noria.domain.ids import RolloutId
from noria.domain.ledger import Entry
from noria.server.control.views import EventView


def view(entry: Entry) -> EventView:
    """The entry in words and in full."""
    body = {key: value for key, value in msgspec.to_builtins(entry.event).items() if key != "kind"}
    return EventView(
        seq=entry.seq,
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        kind=e.kind_of(entry.event),
        sentence=sentence(entry.event),
        tone=tone(entry.event),
        link=link(entry),
        cause=entry.cause,
        body=body,
    )


def tone(event: e.AnyEvent) -> State:
    """How the event is to be taken.

    >>> tone(e.AliasMoved(model="churn", alias="champion", number=3, previous=2, reason="won"))
    'ok'
    """
    match event:
        case e.RunFailed() | e.StageFailed() | e.DeploymentStopped():
            return "bad"
        case e.AlertOpened():
            return "bad" if event.alert.severity == "page" else "warn"
        case (
            e.GatesFailed()
            | e.RolloutRolledBack()
            | e.DeploymentRolledBack()
            | e.AlertReopened()
            | e.AlertUndelivered()
        ):
            return "warn"
        case e.RetrainRequested() | e.RolloutStarted() | e.RolloutAdvanced():
            return "busy"
        case _:
            return "ok"


def link(entry: Entry) -> str:
    """The page that shows what the entry is about, '' if there is none: that of a run, of a version, of what was done to a deployment, of it."""
    event = entry.event
    match event:
        case e.RunFinished() | e.RunFailed() | e.BundleBuilt() | e.GatesPassed() | e.GatesFailed():
            return f"/runs/{quote(event.run_id, safe='')}"
        case e.ModelVersionRegistered() | e.ModelVersionApproved() | e.ModelVersionPackaged() | e.AliasMoved():
            return f"/models/{quote(event.model, safe='')}/versions/{event.number}"
        case e.AliasRemoved():
            return f"/models/{quote(event.model, safe='')}/versions/{event.previous}"
        case _:
            return _of_deployment(entry)


def _of_deployment(entry: Entry) -> str:
    event = entry.event
    deployment = quote(getattr(event, "deployment", ""), safe="")
    match event:
        case e.RolloutStarted():
            told = event.rollout.id
        case e.RolloutAdvanced() | e.RolloutPromoted() | e.RolloutRolledBack():
            told = event.rollout_id or RolloutId(entry.id)
        case e.DeploymentChanged() | e.DeploymentRolledBack() | e.DeploymentStopped() | e.DeploymentResumed():
            told = RolloutId(entry.id)
        case _:
            return f"/deployments/{deployment}" if deployment else ""
    return f"/deployments/{deployment}/deliveries/{quote(told, safe='')}"
