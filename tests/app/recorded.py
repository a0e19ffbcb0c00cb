"""A record that is only a ledger: a first version, a decay on day 40 that led to nothing, and its end on day 60. Called by tests of replaying."""

from datetime import UTC, datetime, timedelta

import noria
from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.deployment import Deployment
from noria.domain.ids import AlertId, EventId, RunId, digest_of
from noria.domain.ledger import Draft
from noria.domain.policy import TrainingWindow

BEGAN = datetime(2026, 1, 5, tzinfo=UTC)
NAME = "shop"


def day(number: float) -> datetime:
    """A moment of the record."""
    return BEGAN + timedelta(days=number)


def a_record(workspace: noria.Workspace, *, on_day_39: e.AnyEvent | None = None) -> None:
    """Write it, with one thing more the day before the alarm."""
    names: dict[str, str] = {"deployment": NAME, "model": NAME}
    window = TrainingWindow(choice="all", since=day(-40), until=day(0), known_by=day(0))
    request = e.RetrainRequested(reason="a first version is needed", trigger="declared", data_until=day(0), **names)
    run = e.RunFinished(run_id=RunId("r"), datasets=(), window=window, candidate="plain", rows=4000, **names)
    promoted = e.RolloutPromoted(number=1, previous=None, generation=1, **names)
    alert = Alert(
        id=AlertId("a"),
        kind="decay",
        deployment=NAME,
        number=1,
        opened_at=day(40),
        severity="page",
        summary="the model has decayed",
    )
    told(workspace, "d", 0, e.DeploymentDeclared(declaration=digest_of(b"declared in code"), **names))
    told(workspace, "q", 0, request, "d")
    told(workspace, "f", 0, run, "q")
    told(workspace, "p", 0, promoted, "f")
    if on_day_39 is not None:
        told(workspace, "s", 39, on_day_39)
    told(workspace, "o", 40, e.AlertOpened(deployment=NAME, alert=alert))
    told(workspace, "n", 40, e.RetrainSuppressed(reason="too few new labels", trigger="decay", **names), "o")
    workspace.deployments.put(Deployment(name=NAME, model=NAME, generation=1, variants=(), updated_at=BEGAN))


def the_end(workspace: noria.Workspace) -> None:
    """The alert is over, on day 60."""
    told(workspace, "x", 60, e.AlertResolved(deployment=NAME, alert_id=AlertId("a"), reason="it is over"))


def told(workspace: noria.Workspace, identity: str, at: float, event: e.AnyEvent, cause: str = "") -> None:
    """One event of the ledger."""
    draft = Draft(id=EventId(identity), at=day(at), actor="noria", event=event, cause=EventId(cause) if cause else None)
    workspace.ledger.append([draft])
