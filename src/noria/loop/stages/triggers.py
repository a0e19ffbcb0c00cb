"""Fire what is due, and decide what follows from it. Ticks (`fire`), and TriggerFired (`after_trigger`). When something is due: retraining/schedule.

A firing's id is derived from its key (a minute, a version, an event), and what was fired is asked of the ledger: no other state is kept, so a crash,
a second control plane or a clock that jumps neither loses nor doubles one (docs/adr/0040-triggers-fire-once.md).
"""

import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec

from noria.domain import events as e
from noria.domain.ids import derive, digest_of
from noria.domain.ledger import Cursor, Entry
from noria.domain.trigger import Firing, TriggerRule
from noria.errors import NoriaError
from noria.loop.context import Context, Recipe, Timed
from noria.loop.firing import Declared, Standing, by_calendar, by_data, by_event, check, declared, has_fired
from noria.loop.stages.decide import decided
from noria.retraining.schedule import LATE, owed, parse
from noria.wire.canonical import canonical

READ = 1000
"""Events that are looked through at one stroke; what lies behind them has its turn at the next."""
ASKS: dict[str, e.Trigger] = {"cron": "schedule", "new_data": "new_data", "event": "event", "webhook": "webhook"}

log = logging.getLogger(__name__)


def fire(context: Context) -> Sequence[Timed]:
    """What is due now, of all triggers of all deployments. A change of the rules is put on record first; it counts from the next stroke on."""
    timed: list[Timed] = []
    known = declared(context.ledger)
    for name, recipe in context.recipes.items():
        try:
            timed += _due(context, recipe, known.get(name, Declared(deployment=name)))
        except NoriaError as error:
            if error.retryable:
                raise
            log.error("the triggers of deployment %s cannot be looked at: %s", name, error)  # those of others can
    return timed


def _due(context: Context, recipe: Recipe, stands: Declared) -> list[Timed]:
    name = recipe.deployment
    if stands.rules != recipe.triggers:
        check(recipe.triggers, deployment=name)
        return [_declaration(context, recipe, stands)]
    timed = []
    for standing in stands.standing.values():
        if standing.rule.kind == "cron":
            timed += _by_calendar(context, name, standing)
        elif standing.rule.kind == "new_data":
            timed += _by_data(context, name, standing)
    return timed + _by_events(context, recipe, stands)


def after_trigger(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """TriggerFired -> RetrainRequested or RetrainSuppressed, by the policy as for every other reason to train."""
    event = entry.event
    assert isinstance(event, e.TriggerFired)
    recipe = context.recipe(event.deployment)
    asked = ASKS[event.kind_of_trigger]
    # Not only what stood before the entry: of two that fired at one stroke the second must see what the first has asked for.
    found: dict[str, float | str] = {"firing": event.firing.key, "missed": float(event.firing.missed)}
    return [decided(asked, recipe, context, now=entry.at, because=because(event), evidence=found)]


def because(event: e.TriggerFired) -> str:
    """Why a trigger fired, in words."""
    firing = event.firing
    missed = f" and stands for {firing.missed} before it" if firing.missed else ""
    what = {
        "cron": f"was due at {firing.due:%Y-%m-%d %H:%M} UTC",
        "new_data": f"saw version {firing.key.rpartition('/')[2]} of its dataset",
        "event": "saw the event that it waits for",
        "webhook": "was called",
    }[event.kind_of_trigger]
    return f"trigger {firing.trigger!r} {what}{missed}"


def _declaration(context: Context, recipe: Recipe, stands: Declared) -> Timed:
    """The rules as they are now, under an id that follows from them and from what stood before: going back to older rules is a new event."""
    rules = recipe.triggers
    datasets = sorted({each.dataset for each in rules if each.kind == "new_data"})
    newest = {name: max((v.number for v in context.tables.versions(name)), default=0) for name in datasets}
    content = digest_of(b"\n".join(canonical(each) for each in rules))
    key = derive("declared", recipe.deployment, content, stands.event or "")
    return Timed(key=key, event=e.TriggersDeclared(deployment=recipe.deployment, rules=rules, data=newest))


def _by_calendar(context: Context, deployment: str, standing: Standing) -> list[Timed]:
    each = standing.rule

    def stands(due: datetime) -> bool:
        return has_fired(context.ledger, by_calendar(deployment, each, due))

    now = context.clock.now()
    found = owed(parse(each.cron, each.zone), each.catch_up, since=standing.since, now=now, stands=stands)
    firings = [by_calendar(deployment, each, one.due, missed=one.missed) for one in found]
    return [_timed(deployment, each, firing, standing) for firing in firings]


def _by_data(context: Context, deployment: str, standing: Standing) -> list[Timed]:
    each = standing.rule
    fresh: list[Firing] = []
    for version in reversed(context.tables.versions(each.dataset)):
        firing = by_data(deployment, each, version.number, version.created_at)
        if version.number <= standing.data or has_fired(context.ledger, firing):
            break
        report = version.expectations
        if version.rows >= each.minimum_rows and (report is None or report.passed):
            fresh.append(firing)
    firings = _chosen(fresh[::-1], each, now=None)
    return [_timed(deployment, each, firing, standing) for firing in firings]


def _by_events(context: Context, recipe: Recipe, stands: Declared) -> list[Timed]:
    """Events that happened since the deployment's triggers last looked; the look is on record once something fired."""
    waiting = [standing for standing in stands.standing.values() if standing.rule.kind == "event"]
    if not waiting:
        return []
    cursor = context.ledger.cursor(f"triggers:{recipe.deployment}")
    head = context.ledger.head().seq
    entries = context.ledger.read(after=cursor.seq, limit=READ, kinds={s.rule.event for s in waiting})
    timed = []
    for standing in waiting:
        each = standing.rule
        seen = [x for x in entries if x.seq > standing.seq and _concerns(x.event, each, recipe)]
        found = [by_event(recipe.deployment, each, entry) for entry in seen]
        firings = _chosen(found, each, now=context.clock.now())
        timed += [_timed(recipe.deployment, each, firing, standing) for firing in firings]
    until = entries[-1].seq if len(entries) == READ else max([head, *(x.seq for x in entries)])
    reached = Cursor(name=cursor.name, seq=until)
    if timed:
        timed[-1] = Timed(key=timed[-1].key, event=timed[-1].event, cause=timed[-1].cause, advance=reached)
    elif len(entries) >= READ // 10:
        context.ledger.append([], advance=reached)  # nothing fires: only spare the next look the same reading
    return timed


def _concerns(event: e.AnyEvent, each: TriggerRule, recipe: Recipe) -> bool:
    """Whether an event is of the kind that is waited for, and about this deployment or its model, if it is about one at all."""
    if type(event).__name__ != each.event:
        return False
    if (deployment := getattr(event, "deployment", None)) is not None:
        return bool(deployment == recipe.deployment)
    return getattr(event, "model", recipe.model) == recipe.model


def _chosen(found: Sequence[Firing], each: TriggerRule, *, now: datetime | None) -> list[Firing]:
    """Of several at one stroke, oldest first: each one, or the newest for all; with 'none', the newest if it is not late (now: None, never late)."""
    if not found or each.catch_up == "all":
        return list(found)
    newest = found[-1]
    if each.catch_up == "none":
        return [newest] if now is None or now - newest.due <= LATE else []
    return [msgspec.structs.replace(newest, missed=len(found) - 1)]


def _timed(deployment: str, each: TriggerRule, firing: Firing, standing: Standing) -> Timed:
    event = e.TriggerFired(deployment=deployment, kind_of_trigger=each.kind, firing=firing)
    return Timed(key=firing.key, event=event, cause=firing.cause or standing.event)
