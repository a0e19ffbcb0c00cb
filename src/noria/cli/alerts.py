"""`noria alerts`: what stands and what to do about it: look closer, acknowledge, snooze, resolve; who is told, and a test of it."""

import argparse
import getpass
import re
from datetime import UTC, datetime, timedelta

from noria.app.alerting_acts import acknowledge, book_of, find, reopen, resolve, snooze
from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.domain.alert import SEVERITIES, Alert
from noria.errors import NoriaError, NotFound, SettingInvalid

ACTIONS = ("list", "show", "ack", "snooze", "resolve", "reopen", "receivers", "test")
SHORT = 12
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(min|h|d|w)")
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def configure(command: argparse.ArgumentParser) -> None:
    """What to do, and with which alerts."""
    command.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="what to do (default: list)")
    command.add_argument("ids", nargs="*", metavar="id", help="ids of alerts, or their beginnings; for test: receivers")
    command.add_argument("--all", action="store_true", help="list those that are over too")
    command.add_argument("--deployment", default="", metavar="NAME", help="list those of one deployment")
    command.add_argument("--severity", choices=SEVERITIES, default="info", help="list those of at least this severity")
    command.add_argument("--because", default="", metavar="TEXT", help="why; needed to resolve")
    command.add_argument("--for", dest="span", default="", metavar="SPAN", help="how long to snooze: 30min, 8h, 3d, 1w")
    command.add_argument("--until", default="", metavar="TIME", help="until when to snooze: 2026-11-22T09:00:00Z")
    command.add_argument("--only", action="store_true", help="act on this alert, not on all of the same cause")


def run(options: argparse.Namespace) -> int:
    """List what stands, or do what was asked. Exit 3 if a receiver refused its test."""
    with Workspace.open() as workspace:
        if options.action == "list":
            return _list(workspace, options)
        if options.action == "receivers":
            return _receivers(workspace, options)
        if options.action == "test":
            return _test(workspace, options)
        if not options.ids:
            raise SettingInvalid("which alert is not said", remedy=f"noria alerts {options.action} ID")
        if options.action == "show":
            return _show(workspace, options)
        changed: dict[str, Alert] = {}
        for alert_id in options.ids:
            for alert in _act(workspace, alert_id, options):
                changed[alert.id] = alert
    if options.json:
        as_json({"alerts": list(changed.values())})
        return 0
    for alert in changed.values():
        until = f" until {alert.snoozed_until:%Y-%m-%d %H:%M} UTC" if alert.snoozed_until else ""
        console().print(f"✓ {alert.id[:SHORT]} {alert.state}{until}: {alert.summary}", markup=False)
    return 0


def _act(workspace: Workspace, alert_id: str, options: argparse.Namespace) -> list[Alert]:
    ledger, clock, actor, only = workspace.ledger, workspace.clock, getpass.getuser(), options.only
    match options.action:
        case "ack":
            return acknowledge(ledger, alert_id, clock=clock, actor=actor, reason=options.because, only=only)
        case "resolve":
            return resolve(ledger, alert_id, clock=clock, actor=actor, reason=options.because, only=only)
        case "reopen":
            return reopen(ledger, alert_id, clock=clock, actor=actor, reason=options.because, only=only)
        case _:
            until = moment(options.span, options.until, now=clock.now())
            return snooze(ledger, alert_id, until=until, clock=clock, actor=actor, reason=options.because, only=only)


def moment(span: str, until: str, *, now: datetime) -> datetime:
    """The end of a snooze. Raises SettingInvalid.

    >>> moment("8h", "", now=datetime(2026, 1, 1, tzinfo=UTC)).isoformat()
    '2026-01-01T08:00:00+00:00'
    """
    if bool(span) == bool(until):
        raise SettingInvalid("how long to snooze is not said", remedy="add --for 8h, or --until 2026-11-22T09:00:00Z")
    if span:
        found = _SPAN.fullmatch(span)
        if found is None:
            raise SettingInvalid(f"{span!r} is no span of time", remedy="write 30min, 8h, 3d or 1w")
        return now + float(found[1]) * _UNITS[found[2]]
    try:
        at = datetime.fromisoformat(until)
    except ValueError as exc:
        raise SettingInvalid(f"{until!r} is no time", cause=str(exc), remedy="write 2026-11-22T09:00:00Z") from exc
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _list(workspace: Workspace, options: argparse.Namespace) -> int:
    book = book_of(workspace.ledger)
    found = book.alerts() if options.all else book.standing()[::-1]
    least = SEVERITIES.index(options.severity)
    shown = [
        alert
        for alert in found
        if SEVERITIES.index(alert.severity) >= least and options.deployment in ("", alert.deployment)
    ]
    if options.json:
        as_json({"alerts": shown})
        return 0
    if not shown:
        console().print("Nothing stands.\nnext: noria status" if not options.all else "No alert was ever opened.")
        return 0
    table(
        ["alert", "since", "", "state", "deployment", "what"],
        [
            [
                ("" if alert.cause == alert.id else "└ ") + alert.id[:SHORT],
                f"{alert.opened_at:%Y-%m-%d %H:%M}",
                alert.severity,
                _state(alert),
                f"{alert.deployment}/{alert.number}",
                alert.summary,
            ]
            for alert in _by_cause(shown)
        ],
    )
    console().print("next: noria alerts show ID, noria alerts ack ID, noria alerts snooze ID --for 8h")
    return 0


def _by_cause(alerts: list[Alert]) -> list[Alert]:
    """The same, those of one cause together, the first of it first; causes newest first."""
    order = {cause: place for place, cause in enumerate(dict.fromkeys(alert.cause for alert in alerts))}
    return sorted(alerts, key=lambda alert: (order[alert.cause], alert.cause != alert.id, alert.opened_at))


def _state(alert: Alert) -> str:
    until = f" until {alert.snoozed_until:%m-%d %H:%M}" if alert.snoozed_until else ""
    return alert.state + until + (f" by {alert.changed_by}" if alert.state == "acknowledged" else "")


def _show(workspace: Workspace, options: argparse.Namespace) -> int:
    book = book_of(workspace.ledger)
    alerts = [find(book, alert_id) for alert_id in options.ids]
    if options.json:
        as_json({"alerts": [{"alert": alert, "others": book.others(alert)} for alert in alerts]})
        return 0
    out = console()
    for alert in alerts:
        out.print(f"[bold]{alert.severity}[/bold] {_state(alert)}", end="  ")
        out.print(alert.summary, markup=False)
        rows = [
            ["alert", alert.id],
            ["deployment", f"{alert.deployment}, version {alert.number}"],
            ["since", f"{alert.opened_at:%Y-%m-%d %H:%M} UTC"],
        ]
        if alert.changed_at:
            said = f": {alert.reason}" if alert.reason else ""
            rows.append(["changed", f"{alert.changed_at:%Y-%m-%d %H:%M} UTC by {alert.changed_by}{said}"])
        rows += [[name, f"{v:.4g}" if isinstance(v, float) else v] for name, v in alert.evidence.items()]
        rows.append(["budget", alert.budget])
        rows += [
            [
                "would have been silent with",
                f"{s.setting} {s.needed:.4g} instead of {s.now:.4g} ({s.what or s.setting})",
            ]
            for s in alert.silencers
        ]
        rows += [
            ["same cause", f"{other.id[:SHORT]} {other.severity}: {other.summary}"] for other in book.others(alert)
        ]
        table(["what", "it is"], rows)
        if not alert.is_over:
            out.print(f"next: {alert.next_command}, noria alerts ack {alert.id[:SHORT]}", markup=False)
    return 0


def _receivers(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.app.alerting import waiting

    found = [(each, waiting(workspace.metadata, each)) for each in workspace.receivers]
    if options.json:
        as_json(
            {
                "receivers": [
                    {
                        "name": each.name,
                        "adapter": each.wish.adapter,
                        "severity": each.wish.severity,
                        "kinds": each.wish.kinds,
                        "deployments": each.wish.deployments,
                        "waiting": health.waiting,
                        "waiting_since": health.waiting_since,
                    }
                    for each, health in found
                ]
            }
        )
        return 0
    table(
        ["receiver", "by", "from", "only", "not told yet"],
        [
            [
                each.name,
                each.wish.adapter,
                each.wish.severity,
                ", ".join((*each.wish.kinds, *each.wish.deployments)) or "everything",
                f"{health.waiting}, since {health.waiting_since:%Y-%m-%d %H:%M}" if health.waiting_since else "nothing",
            ]
            for each, health in found
        ],
    )
    return 0


def _test(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.app.alerting_run import courier_of

    courier = courier_of(workspace)
    names = [each.name for each in courier.receivers]
    for name in options.ids:
        if name not in names:
            raise NotFound.of("receiver", name, names, remedy="noria alerts receivers")
    failed: dict[str, NoriaError] = {}
    chosen = [each for each in courier.receivers if not options.ids or each.name in options.ids]
    for each in chosen:
        try:
            courier.test(each)
        except NoriaError as error:
            failed[each.name] = error
    if options.json:
        as_json({each.name: str(failed[each.name]) if each.name in failed else "taken" for each in chosen})
    else:
        for each in chosen:
            refused = failed.get(each.name)
            said = f"✗ {each.name}: {refused}" if refused else f"✓ {each.name} took a test message"
            console().print(said, markup=False)
    return 3 if failed else 0
