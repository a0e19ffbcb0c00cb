"""The triggers of a deployment as the ledger knows them, and the keys by which a firing is one. Called by stages/triggers and app/triggers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import get_args

from noria.domain import events as e
from noria.domain.ids import EventId
from noria.domain.ledger import Entry
from noria.domain.trigger import Firing, TriggerRule
from noria.errors import NotFound, SettingInvalid
from noria.loop.context import Recipe
from noria.loop.reactor import struck
from noria.ports.ledger import Ledger
from noria.ports.tables import TableStore
from noria.retraining.schedule import next_due, parse

TICK = "fire"
"""The tick that fires, as the wheel names it: ids of firings are derived from it."""
STAGE = "after_trigger"
"""The stage that decides on a firing: the id of its decision is derived from this name."""
MOST = 10_000
"""So many declarations are read back at most: a declaration is only written when something changed."""
OWN = ("TriggerFired", "TriggersDeclared", "RetrainRequested", "RetrainSuppressed", "LeaderElected")
"""Events that a firing leads to, or that nothing about a model leads to: a trigger on one would fire itself."""
KINDS = frozenset(kind.__name__ for kind in get_args(e.AnyEvent))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One rule, and since when it stands unchanged. data: the newest version of its dataset at that time."""

    rule: TriggerRule
    since: datetime
    seq: int
    event: EventId
    data: int = 0


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A deployment's newest declaration of triggers; event: None if there never was one."""

    deployment: str
    event: EventId | None = None
    rules: tuple[TriggerRule, ...] = ()
    standing: dict[str, Standing] = field(default_factory=dict)


def declared(ledger: Ledger) -> dict[str, Declared]:
    """By deployment, each rule with the beginning of the unbroken run of declarations in which it stands as it does now."""
    chains: dict[str, list[Entry]] = {}
    for entry in ledger.latest(limit=MOST, kinds=("TriggersDeclared",)):
        assert isinstance(entry.event, e.TriggersDeclared)
        chains.setdefault(entry.event.deployment, []).append(entry)
    return {name: _folded(name, chain) for name, chain in chains.items()}


def _folded(name: str, chain: Sequence[Entry]) -> Declared:
    """chain: newest first."""
    newest = chain[0].event
    assert isinstance(newest, e.TriggersDeclared)
    found = {}
    for rule in newest.rules:
        for entry in chain:
            event = entry.event
            if not isinstance(event, e.TriggersDeclared) or rule not in event.rules:
                break
            found[rule.name] = Standing(
                rule=rule, since=entry.at, seq=entry.seq, event=entry.id, data=event.data.get(rule.dataset, 0)
            )
    return Declared(deployment=name, event=chain[0].id, rules=newest.rules, standing=found)


def by_calendar(deployment: str, rule: TriggerRule, due: datetime, *, missed: int = 0) -> Firing:
    """The firing of a due minute."""
    key = f"{deployment}/{rule.name}/{due.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    return Firing(trigger=rule.name, due=due, key=key, missed=missed)


def by_data(deployment: str, rule: TriggerRule, number: int, due: datetime, *, missed: int = 0) -> Firing:
    """The firing of a dataset's version."""
    key = f"{deployment}/{rule.name}/{rule.dataset}/{number}"
    return Firing(trigger=rule.name, due=due, key=key, missed=missed)


def by_event(deployment: str, rule: TriggerRule, entry: Entry, *, missed: int = 0) -> Firing:
    """The firing of an event of the ledger."""
    key = f"{deployment}/{rule.name}/{entry.id}"
    return Firing(trigger=rule.name, due=entry.at, key=key, missed=missed, cause=entry.id)


def has_fired(ledger: Ledger, firing: Firing) -> bool:
    """Whether the ledger holds it."""
    try:
        ledger.get(struck(TICK, firing.key))
    except NotFound:
        return False
    return True


def with_newest_data(recipe: Recipe, entry: Entry, *, ledger: Ledger, tables: TableStore) -> Recipe:
    """The recipe on the version of its base table that a `new_data` trigger last asked to train on, up to this request; else as it is.

    entry: the RetrainRequested that is dealt with. So a version that arrives is learnt from, by this training and by those after it.
    """
    waiting = {rule.name: rule.dataset for rule in recipe.triggers if rule.kind == "new_data"}
    if not waiting:
        return recipe
    base = tables.version(recipe.base)
    for asked in ledger.latest(limit=MOST, kinds=("RetrainRequested",)):
        event = asked.event
        assert isinstance(event, e.RetrainRequested)
        if (
            asked.seq > entry.seq
            or event.deployment != recipe.deployment
            or event.trigger != "new_data"
            or not asked.cause
        ):
            continue
        fired = ledger.get(asked.cause).event
        if isinstance(fired, e.TriggerFired) and waiting.get(fired.firing.trigger) == base.dataset:
            number = int(fired.firing.key.rpartition("/")[2])
            newest = [v for v in tables.versions(base.dataset) if v.number == number > base.number]
            return replace(recipe, base=newest[0].digest) if newest else recipe
    return recipe


def next_of(rule: TriggerRule, *, now: datetime) -> datetime | None:
    """When a rule is due next by the calendar; None for what does not go by it."""
    return next_due(parse(rule.cron, rule.zone), now) if rule.kind == "cron" else None


def check(rules: Sequence[TriggerRule], *, deployment: str) -> None:
    """Refuse rules that could never fire, or never stop firing. Raises SettingInvalid naming the trigger.

    >>> check([TriggerRule(name="nightly", kind="cron", cron="0 3 * * *")], deployment="churn")
    """
    names = [rule.name for rule in rules]
    for rule in rules:
        where = f"trigger {rule.name!r} of deployment {deployment!r}"
        if not rule.name or "/" in rule.name or not rule.name.isprintable() or names.count(rule.name) > 1:
            raise SettingInvalid(
                f"{where}: that is no name, or two have it", remedy="give each trigger a name of its own, without '/'"
            )
        match rule.kind:
            case "cron":
                _check_cron(rule, where)
            case "new_data":
                _check_data(rule, where, deployment)
            case "event":
                _check_event(rule, where)
            case "webhook":
                _check_secret(rule, where)


def _check_cron(rule: TriggerRule, where: str) -> None:
    try:
        next_due(parse(rule.cron, rule.zone), datetime(2000, 1, 1, tzinfo=UTC))
    except SettingInvalid as error:
        raise SettingInvalid(f"{where}: {error.problem}", cause=error.cause, remedy=error.remedy) from error


def _check_data(rule: TriggerRule, where: str, deployment: str) -> None:
    if not rule.dataset:
        raise SettingInvalid(f"{where} waits for no dataset", remedy="add dataset = 'NAME' (noria data)")
    if rule.dataset == f"{deployment}-training":
        raise SettingInvalid(
            f"{where} waits for the training set that each training writes",
            cause="it would fire itself",
            remedy="name the dataset that others write",
        )


def _check_event(rule: TriggerRule, where: str) -> None:
    if rule.event in OWN:
        raise SettingInvalid(
            f"{where} waits for {rule.event!r}",
            cause="it would fire itself",
            remedy="name another kind of event (docs/reference/events.md)",
        )
    if rule.event not in KINDS:
        known = ", ".join(sorted(KINDS - set(OWN)))
        raise SettingInvalid(f"{where}: no kind of event is called {rule.event!r}", cause=f"known: {known}")


def _check_secret(rule: TriggerRule, where: str) -> None:
    source, _, name = rule.secret.partition(":")
    if source not in ("env", "file") or not name:
        raise SettingInvalid(
            f"{where} has no secret, or one that stands in plain sight",
            cause="what is declared stands in the ledger, where everybody may read it",
            remedy="secret = 'env:NAME' or 'file:PATH'",
        )
