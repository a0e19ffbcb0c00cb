"""Status: the loop at a glance, six stations, folded from the ledger and the stores. Reads only. Called by SDK, `noria status` and the pages."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from noria.app.alerting_acts import book_of
from noria.app.alerting_receivers import DEFAULT
from noria.app.deployed import waiting
from noria.app.error_groups import RECENT, read
from noria.app.sentences import sentence
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.deployment import Deployment
from noria.domain.events import kind_of
from noria.domain.ledger import Entry
from noria.ports.ledger import Ledger
from noria.serving.trouble import troubles_of

State = Literal["ok", "warn", "bad", "busy", "empty"]
REFUSED_DAYS = timedelta(days=7)
"""So long a receiver that refused a notice for good needs somebody."""
MODES = {"canary": "canary", "ab": "A/B test", "shadow": "shadow", "bandit": "bandit"}


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of the wheel: how it stands, one number, how old that is, and the command that goes deeper."""

    name: Literal["data", "train", "gate", "deploy", "monitor", "retrain"]
    state: State
    headline: str
    detail: str
    at: datetime | None
    command: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in a sentence."""

    seq: int
    at: datetime
    kind: str
    sentence: str


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits for a person. command: what to do next; deployment: whose page tells more, '' if it is about none."""

    summary: str
    severity: str
    since: datetime
    command: str
    deployment: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole loop on one screen. turns: how often it has closed (promotions after the first). now: the project's latest moment."""

    project: str
    now: datetime
    turns: int
    stations: tuple[Station, ...]
    what_changed: tuple[Change, ...]
    needs_you: tuple[Need, ...]


def status(workspace: Workspace, *, changes: int = 12) -> Status:
    """Fold the newest events into six stations."""
    ledger = workspace.ledger
    newest = ledger.latest(limit=2000)
    last: dict[type, Entry] = {}
    for entry in newest:
        last.setdefault(type(entry.event), entry)
    alerts = open_alerts(ledger)
    promotions = [x for x in newest if isinstance(x.event, e.RolloutPromoted) and x.event.previous is not None]
    return Status(
        project=workspace.project,
        now=newest[0].at if newest else workspace.clock.now(),
        turns=len(promotions),
        stations=(
            _data(last),
            _train(last),
            _gate(last),
            _deploy(workspace),
            _monitor(workspace, alerts),
            _retrain(last),
        ),
        what_changed=tuple(
            Change(seq=x.seq, at=x.at, kind=kind_of(x.event), sentence=sentence(x.event)) for x in newest[:changes]
        ),
        needs_you=(
            *_needs(alerts, last),
            *_approvals(workspace),
            *_stopped(workspace),
            *_troubles(workspace),
            *_undelivered(workspace),
            *_errors(workspace),
        ),
    )


def open_alerts(ledger: Ledger) -> list[Alert]:
    """Alerts that stand, newest first."""
    return book_of(ledger).standing()[::-1]


def _needs(alerts: list[Alert], last: dict[type, Entry]) -> list[Need]:
    needs = [
        Need(
            summary=a.summary,
            severity=a.severity,
            since=a.opened_at,
            command=a.next_command,
            deployment=a.deployment,
        )
        for a in alerts
        if a.severity != "info" and a.state == "open"
    ]
    failed = last.get(e.StageFailed)
    if failed is not None and isinstance(failed.event, e.StageFailed):
        needs.append(Need(summary=sentence(failed.event), severity="warn", since=failed.at, command="noria doctor"))
    return needs


def _approvals(workspace: Workspace) -> list[Need]:
    """Versions that a person is to let meet traffic."""
    return [
        Need(
            summary=f"version {w.number} of {w.model} ({w.version}) waits for your approval: {w.gates}",
            severity="warn",
            since=w.since,
            command=f'noria models {w.model}/{w.number} --approve --because "..."',
            deployment=w.deployment,
        )
        for w in waiting(workspace)
    ]


def _stopped(workspace: Workspace) -> list[Need]:
    """Deployments whose stop switch is pulled: nothing is trained or rolled out for them until somebody lets them go on."""
    needs = []
    for deployment in workspace.deployments.all():
        stop = deployment.stopped
        if stop is not None:
            answers = "nobody answers" if stop.number is None else f"version {stop.number} answers"
            text = f"{deployment.name} is stopped by {stop.actor}, {answers}: {stop.reason}"
            severity = "page" if stop.number is None else "warn"
            command = f"noria resume {deployment.name}"
            needs.append(
                Need(summary=text, severity=severity, since=stop.at, command=command, deployment=deployment.name)
            )
    return needs


def _troubles(workspace: Workspace) -> list[Need]:
    """Versions that a worker cannot serve, one need each: the champion answers for them, or nobody does."""
    needs: dict[tuple[str, str], Need] = {}
    for deployment in workspace.deployments.all():
        for trouble in troubles_of(workspace.blobs, deployment.name, generation=deployment.generation):
            text = f"workers cannot serve {trouble.variant} (version {trouble.number}) of {deployment.name}: {trouble.error.splitlines()[0][:160]}"
            need = Need(
                summary=text,
                severity="page" if trouble.variant == "champion" else "warn",
                since=trouble.at,
                command=f"noria status {deployment.name}",
                deployment=deployment.name,
            )
            needs.setdefault((deployment.name, trouble.variant), need)
    return list(needs.values())


def _undelivered(workspace: Workspace) -> list[Need]:
    """Receivers that still stand in the settings and refused a notice for good in the last days: somebody does not hear of alerts."""
    known = {DEFAULT, *workspace.settings.notify.receivers}
    newest: dict[str, Entry] = {}
    refused = workspace.ledger.latest(limit=200, kinds=("AlertUndelivered",))
    now = workspace.ledger.latest(limit=1)
    for entry in refused:
        event = entry.event
        if isinstance(event, e.AlertUndelivered) and event.receiver in known and now[0].at - entry.at < REFUSED_DAYS:
            newest.setdefault(event.receiver, entry)
    return [
        Need(summary=sentence(x.event), severity="warn", since=x.at, command=f"noria alerts test {receiver}")
        for receiver, x in newest.items()
    ]


def _errors(workspace: Workspace) -> list[Need]:
    """What the project's processes logged in the last day of this machine's clock, whatever time the project lives in."""
    groups = read(workspace.home, since=datetime.now(UTC) - RECENT)
    if not groups:
        return []
    kinds = "an error was" if len(groups) == 1 else f"{len(groups)} kinds of errors were"
    text = f"{kinds} logged: {groups[0].message.splitlines()[0][:120]}"
    since = min(group.first for group in groups)
    return [Need(summary=text, severity="warn", since=since, command="noria doctor --errors")]


def _empty(name: Literal["data", "train", "gate", "deploy", "monitor", "retrain"], command: str) -> Station:
    return Station(name=name, state="empty", headline="nothing yet", detail="", at=None, command=command)


def _data(last: dict[type, Entry]) -> Station:
    entry = last.get(e.DatasetVersionCreated)
    if entry is None or not isinstance(entry.event, e.DatasetVersionCreated):
        return _empty("data", "noria demo")
    event = entry.event
    state: State = "ok" if event.passed and not event.quarantined else "warn"
    return Station(
        name="data",
        state=state,
        headline=f"{event.rows:,} rows",
        detail=f"{event.dataset} v{event.number}",
        at=entry.at,
        command="noria run",
    )


def _train(last: dict[type, Entry]) -> Station:
    entry = max((last[k] for k in (e.RunFinished, e.RunFailed) if k in last), key=lambda x: x.seq, default=None)
    if entry is None:
        return _empty("train", "noria run pipeline.py")
    if isinstance(entry.event, e.RunFinished):
        loss = entry.event.metrics.get("log_loss")
        headline = f"log loss {loss:.4f}" if loss is not None else entry.event.candidate
        detail = f"{entry.event.candidate}, {entry.event.window.choice} window"
        return Station(
            name="train",
            state="ok",
            headline=headline,
            detail=detail,
            at=entry.at,
            command=f"noria run {entry.event.run_id}",
        )
    return Station(
        name="train", state="bad", headline="failed", detail=sentence(entry.event), at=entry.at, command="noria run"
    )


def _gate(last: dict[type, Entry]) -> Station:
    entry = max((last[k] for k in (e.GatesPassed, e.GatesFailed) if k in last), key=lambda x: x.seq, default=None)
    if entry is None or not isinstance(entry.event, e.GatesPassed | e.GatesFailed):
        return _empty("gate", "noria run pipeline.py")
    report = entry.event.report
    passed = sum(r.passed for r in report.results)
    state: State = "ok" if report.passed else "warn"
    detail = "challenger accepted" if report.passed else f"challenger refused: {report.failures()[0].gate.name}"
    command = f"noria run {entry.event.run_id}"
    return Station(
        name="gate",
        state=state,
        headline=f"{passed}/{len(report.results)} passed",
        detail=detail,
        at=entry.at,
        command=command,
    )


def _deploy(workspace: Workspace) -> Station:
    deployments = workspace.deployments.all()
    if not deployments:
        return _empty("deploy", "noria demo")
    shown = max(deployments, key=lambda d: (d.stopped is not None, _is_busy(d), -deployments.index(d)))
    split = ", ".join(f"v{v.number} {v.weight:.0%}" + (" in the shadow" if v.shadow else "") for v in shown.variants)
    more = f" and {len(deployments) - 1} more" if len(deployments) > 1 else ""
    detail = f"{shown.name}, generation {shown.generation}{more}"
    state: State = "ok"
    if shown.stopped is not None:
        state, detail = "bad", f"{shown.name} is stopped: {shown.stopped.reason}"
    elif _is_busy(shown) and shown.rollout is not None:
        state, detail = "busy", f"{detail}, {MODES[shown.rollout.plan.mode]} running"
    return Station(
        name="deploy",
        state=state,
        headline=split or "nobody answers",
        detail=detail,
        at=shown.updated_at,
        command=f"noria status {shown.name}",
    )


def _is_busy(deployment: Deployment) -> bool:
    return deployment.rollout is not None and deployment.rollout.outcome == "running"


def _monitor(workspace: Workspace, alerts: list[Alert]) -> Station:
    latest = max((t for d in workspace.deployments.all() if (t := workspace.counts.latest(d.name))), default=None)
    if latest is None:
        return _empty("monitor", "noria up")
    pages = [a for a in alerts if a.severity == "page"]
    state: State = "bad" if pages else "warn" if any(a.severity == "warn" for a in alerts) else "ok"
    headline = f"{len(alerts)} open alert{'' if len(alerts) == 1 else 's'}" if alerts else "quiet"
    return Station(
        name="monitor",
        state=state,
        headline=headline,
        detail=alerts[0].summary if alerts else "no open alert",
        at=latest,
        command="noria status",
    )


def _retrain(last: dict[type, Entry]) -> Station:
    entry = max(
        (last[k] for k in (e.RetrainRequested, e.RetrainSuppressed) if k in last), key=lambda x: x.seq, default=None
    )
    if entry is None or not isinstance(entry.event, e.RetrainRequested | e.RetrainSuppressed):
        return _empty("retrain", "noria demo")
    asked = isinstance(entry.event, e.RetrainRequested)
    return Station(
        name="retrain",
        state="ok",
        headline="retrained" if asked else "held back",
        detail=f"{entry.event.trigger}: {entry.event.reason}",
        at=entry.at,
        command="noria status",
    )
