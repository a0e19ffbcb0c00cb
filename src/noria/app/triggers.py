"""The triggers of deployments: which stand, when each is due next, what came of it last; and calls from outside that fire one.

Firing by the loop is loop/stages/triggers. Called by `noria triggers` and server/control/triggers.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from noria.app.alerting_receivers import revealed
from noria.app.sentences import sentence
from noria.app.webhook_form import is_signed
from noria.app.workspace import Workspace
from noria.domain.events import TriggerFired
from noria.domain.ids import EventId, derive
from noria.domain.ledger import Draft, Entry, caused
from noria.domain.trigger import Firing, TriggerRule
from noria.errors import AlreadyExists, NotFound, NotSignedIn, RequestInvalid, SettingInvalid
from noria.loop.firing import STAGE, Standing, declared, next_of

TOLERANCE_S = 300.0
"""How far the time of a signed call may be from this server's clock."""
MOST = 1000
"""Firings that are looked through for the last one of each trigger."""


class LastFiring(msgspec.Struct, frozen=True, kw_only=True):
    """When a trigger fired last, and what came of it. outcome: '' while the loop has not dealt with it."""

    event_id: EventId
    at: datetime
    due: datetime
    missed: int
    outcome: str


class TriggerStory(msgspec.Struct, frozen=True, kw_only=True):
    """One trigger as it stands. says: what it waits for, in words. next_due: by the calendar; None for those that do not go by it."""

    deployment: str
    name: str
    rule: TriggerRule
    says: str
    since: datetime
    next_due: datetime | None
    last: LastFiring | None


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was taken. is_new: False if it had come before, under the same id."""

    event_id: EventId
    is_new: bool


def stories(workspace: Workspace, deployment: str = "") -> list[TriggerStory]:
    """Every trigger on record, or those of one deployment; by deployment, then as declared."""
    known = declared(workspace.ledger)
    names = sorted(known) if not deployment else [name for name in (deployment,) if name in known]
    standing = [(name, each) for name in names for each in known[name].standing.values()]
    last = _last(workspace) if standing else {}
    now = workspace.clock.now()
    return [
        TriggerStory(
            deployment=name,
            name=each.rule.name,
            rule=each.rule,
            says=said(name, each.rule),
            since=each.since,
            next_due=next_of(each.rule, now=now),
            last=_told(workspace, last.get((name, each.rule.name))),
        )
        for name, each in standing
    ]


def said(deployment: str, rule: TriggerRule) -> str:
    """What a trigger waits for.

    >>> said("churn", TriggerRule(name="night", kind="cron", cron="0 3 * * *", zone="Europe/Berlin"))
    'by the calendar: 0 3 * * * (Europe/Berlin)'
    """
    match rule.kind:
        case "cron":
            return f"by the calendar: {rule.cron} ({rule.zone})"
        case "new_data":
            return f"a new version of dataset {rule.dataset!r} of at least {rule.minimum_rows:,} rows"
        case "event":
            return f"the event {rule.event}"
        case "webhook":
            return f"a signed POST to /api/v1/deployments/{deployment}/triggers/{rule.name}"


def call(workspace: Workspace, deployment: str, name: str, *, body: bytes, headers: Mapping[str, str]) -> Called:
    """Fire a webhook trigger: the signature (Standard Webhooks) stands for the caller, its id makes the call one however often it is sent.

    headers: lower-case names. Raises NotFound, RequestInvalid for a trigger of another kind, NotSignedIn, SettingInvalid if its secret is not here.
    """
    standing = _find(workspace, deployment, name)
    if standing.rule.kind != "webhook":
        raise RequestInvalid(
            f"trigger {name!r} of deployment {deployment!r} cannot be called",
            cause=f"it fires on {said(deployment, standing.rule)}",
            remedy="declare one of kind 'webhook'",
        )
    delivery, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    now = workspace.clock.now()
    secret = _secret(standing.rule, deployment)
    fresh = seconds.isascii() and seconds.isdecimal() and abs(int(seconds[:12]) - now.timestamp()) <= TOLERANCE_S
    if not fresh or not is_signed(
        body, secret, delivery=delivery, seconds=seconds, signature=headers.get("webhook-signature", "")
    ):
        raise NotSignedIn(
            f"the call of trigger {name!r} is not signed as it must be",
            cause="signature, id or time is missing or wrong, or the time is more than 5 minutes from this server's",
            remedy="sign as docs/how-to/triggers.md shows: webhook-id, webhook-timestamp, webhook-signature",
        )
    due = datetime.fromtimestamp(int(seconds), UTC)
    key = f"{deployment}/{name}/{derive('call', delivery)}"
    event = TriggerFired(
        deployment=deployment, kind_of_trigger="webhook", firing=Firing(trigger=name, due=due, key=key)
    )
    event_id = EventId(derive("call", key))
    is_new = not _stands(workspace, event_id)
    draft = Draft(id=event_id, at=now, actor=f"trigger {name}", event=event, cause=standing.event)
    try:
        workspace.ledger.append([draft])
    except AlreadyExists:
        is_new = False  # sent again under the same id, at another time
    return Called(event_id=event_id, is_new=is_new)


def _find(workspace: Workspace, deployment: str, name: str) -> Standing:
    known = declared(workspace.ledger).get(deployment)
    if known is None or name not in known.standing:
        names = sorted(known.standing) if known is not None else []
        raise NotFound.of(f"trigger of deployment {deployment!r}", name, names, remedy="noria triggers")
    return known.standing[name]


def _secret(rule: TriggerRule, deployment: str) -> str:
    try:
        return revealed(rule.secret, rule.name)
    except SettingInvalid as error:
        raise SettingInvalid(
            f"the secret of trigger {rule.name!r} of deployment {deployment!r} is not to be had on this server",
            cause=error.cause or f"it is {rule.secret!r}",
            remedy=error.remedy,
        ) from error


def _stands(workspace: Workspace, event_id: EventId) -> bool:
    try:
        workspace.ledger.get(event_id)
    except NotFound:
        return False
    return True


def _last(workspace: Workspace) -> dict[tuple[str, str], Entry]:
    """The newest firing of each trigger."""
    found: dict[tuple[str, str], Entry] = {}
    for entry in workspace.ledger.latest(limit=MOST, kinds=("TriggerFired",)):
        assert isinstance(entry.event, TriggerFired)
        found.setdefault((entry.event.deployment, entry.event.firing.trigger), entry)
    return found


def _told(workspace: Workspace, entry: Entry | None) -> LastFiring | None:
    if entry is None:
        return None
    assert isinstance(entry.event, TriggerFired)
    try:
        outcome = sentence(workspace.ledger.get(caused(entry, STAGE)).event)
    except NotFound:
        outcome = ""
    firing = entry.event.firing
    return LastFiring(event_id=entry.id, at=entry.at, due=firing.due, missed=firing.missed, outcome=outcome)
