"""Alerts over HTTP: what stands, what people do about it, and who is told. Deciding is monitoring/alert, telling app/alerting. Called by app.py."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from noria.app import alerting_acts as acts
from noria.app.alerting import Courier, Health
from noria.app.alerting_receivers import Receiver
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.alert import SEVERITIES, Alert, Severity
from noria.domain.ledger import Entry
from noria.errors import NoriaError, NotFound, RequestInvalid
from noria.monitoring.alert_book import ALERT_KINDS
from noria.server.control import reading, telling
from noria.server.control.alert_views import AlertActIn, AlertPage, ReceiverTried, ReceiverView, SnoozeIn

State = Literal["standing", "open", "acknowledged", "snoozed", "resolved", "all"]
ACTOR = "rest"
LONGEST_NAME = 200
ALL_KINDS = (*ALERT_KINDS, "AlertUndelivered")


@get("/api/v1/alerts", sync_to_thread=True, tags=["alerts"])
def list_alerts(
    workspace: NamedDependency[Workspace],
    which: Annotated[State, QueryParameter(name="state")] = "standing",
    severity: FromQuery[Severity] = "info",
    deployment: FromQuery[str] = "",
) -> list[Alert]:
    """Alerts, newest first. state: standing are those that are not resolved. severity: the least. deployment: of this one only."""
    least = SEVERITIES.index(severity)

    def wanted(alert: Alert) -> bool:
        if SEVERITIES.index(alert.severity) < least or deployment not in ("", alert.deployment):
            return False
        return which in ("all", alert.state) or (which == "standing" and not alert.is_over)

    return [alert for alert in reading.alerts(workspace.ledger) if wanted(alert)]


@get("/api/v1/alerts/{alert_id:str}", sync_to_thread=True, tags=["alerts"])
def read_alert(workspace: NamedDependency[Workspace], alert_id: FromPath[str]) -> AlertPage:
    """One alert by its id, or the beginning of it, with what stands of the same cause and all that was said about it."""
    book = acts.book_of(workspace.ledger)
    alert = acts.find(book, alert_id)
    history = [entry for entry in reading.entries(workspace.ledger, ALL_KINDS) if _is_about(entry, alert)]
    return AlertPage(alert=alert, others=book.others(alert), history=[telling.view(entry) for entry in history])


@post("/api/v1/alerts/{alert_id:str}/acknowledge", sync_to_thread=True, tags=["alerts"], status_code=200)
def acknowledge_alert(
    workspace: NamedDependency[Workspace],
    courier: NamedDependency[Courier],
    alert_id: FromPath[str],
    data: JSONBody[AlertActIn],
) -> list[Alert]:
    """Say that somebody takes care of an alert and of what has the same cause; gives them as they stand now."""
    return _done(workspace, courier, acts.acknowledge, alert_id, data)


@post("/api/v1/alerts/{alert_id:str}/resolve", sync_to_thread=True, tags=["alerts"], status_code=200)
def resolve_alert(
    workspace: NamedDependency[Workspace],
    courier: NamedDependency[Courier],
    alert_id: FromPath[str],
    data: JSONBody[AlertActIn],
) -> list[Alert]:
    """Say that an alert, and what has the same cause, is over, and why. If the evidence stays, the look of another day opens a new one."""
    return _done(workspace, courier, acts.resolve, alert_id, data)


@post("/api/v1/alerts/{alert_id:str}/reopen", sync_to_thread=True, tags=["alerts"], status_code=200)
def reopen_alert(
    workspace: NamedDependency[Workspace],
    courier: NamedDependency[Courier],
    alert_id: FromPath[str],
    data: JSONBody[AlertActIn],
) -> list[Alert]:
    """Take an acknowledgement or a snooze back."""
    return _done(workspace, courier, acts.reopen, alert_id, data)


@post("/api/v1/alerts/{alert_id:str}/snooze", sync_to_thread=True, tags=["alerts"], status_code=200)
def snooze_alert(
    workspace: NamedDependency[Workspace],
    courier: NamedDependency[Courier],
    alert_id: FromPath[str],
    data: JSONBody[SnoozeIn],
) -> list[Alert]:
    """Be quiet about an alert, and about what has the same cause, until a moment; then it is open again if it still stands."""
    until = data.until
    if (until is None) == (data.hours is None):
        raise RequestInvalid("how long to snooze is not said, or said twice", remedy="send 'until' or 'hours'")
    if data.hours is not None:
        if not 0 < data.hours <= 24 * 366:
            raise RequestInvalid(f"{data.hours} hours is no time to snooze", remedy="send more than 0, up to a year")
        until = workspace.clock.now() + timedelta(hours=data.hours)
    assert until is not None
    changed = acts.snooze(
        workspace.ledger,
        alert_id,
        until=until,
        clock=workspace.clock,
        actor=_actor(data.by),
        reason=data.reason,
        only=data.only,
    )
    courier.wake()
    return changed


@get("/api/v1/alert-receivers", sync_to_thread=True, tags=["alerts"])
def list_receivers(courier: NamedDependency[Courier]) -> list[ReceiverView]:
    """Everybody who is told of alerts, what each wants to hear, and what it has not taken yet."""
    return [_view(each, health) for each, health in zip(courier.receivers, courier.health(), strict=True)]


@post("/api/v1/alert-receivers/{name:str}/test", sync_to_thread=True, tags=["alerts"], status_code=200)
def try_receiver(courier: NamedDependency[Courier], name: FromPath[str]) -> ReceiverTried:
    """Send one receiver a test message now, and say what came of it."""
    receiver = next((each for each in courier.receivers if each.name == name), None)
    if receiver is None:
        names = [each.name for each in courier.receivers]
        raise NotFound.of("receiver", name, names, remedy="GET /api/v1/alert-receivers")
    try:
        courier.test(receiver)
    except NoriaError as error:
        return ReceiverTried(taken=False, problem=str(error))
    return ReceiverTried(taken=True, problem="")


def _done(
    workspace: Workspace, courier: Courier, act: Callable[..., list[Alert]], alert_id: str, data: AlertActIn
) -> list[Alert]:
    changed = act(
        workspace.ledger,
        alert_id,
        clock=workspace.clock,
        actor=_actor(data.by),
        reason=data.reason,
        only=data.only,
    )
    courier.wake()
    return changed


def _actor(by: str) -> str:
    if len(by) > LONGEST_NAME:
        raise RequestInvalid(f"'by' has {len(by)} characters", remedy=f"send at most {LONGEST_NAME}")
    return by.strip() or ACTOR


def _is_about(entry: Entry, alert: Alert) -> bool:
    event = entry.event
    if isinstance(event, e.AlertOpened):
        return event.alert.id == alert.id
    return getattr(event, "alert_id", None) == alert.id


def _view(receiver: Receiver, health: Health) -> ReceiverView:
    wish = receiver.wish
    return ReceiverView(
        name=receiver.name,
        adapter=wish.adapter,
        severity=wish.severity,
        kinds=list(wish.kinds),
        deployments=list(wish.deployments),
        resolved=wish.resolved,
        repeat_minutes=wish.repeat_minutes,
        waiting=health.waiting,
        waiting_since=health.waiting_since,
        tries=health.tries,
        problem=health.problem,
    )
