"""Decide whether to retrain: asked by a declaration, an alert, a trigger, or the clock. The rule is retraining/decide, its facts are decide_facts."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.ledger import Entry
from noria.domain.policy import Decision, RetrainHistory
from noria.loop.context import Context, Recipe, Timed
from noria.loop.stages.decide_facts import champion_since, history, opening
from noria.loop.stages.decide_measurable import unmeasured
from noria.loop.stages.decide_return import returning
from noria.loop.stages.decide_sound import dated, explained_by, unsound_of
from noria.retraining import decide as rule
from noria.retraining.bounds import BY_PERSON, YEAR, believed, bounds_of

UNTEACHABLE = ("slice", "fairness", "no_predictions", "no_look")
"""Kinds of alerts that ask for a person and not for a training."""

TOLD = 200
"""So many of the newest refusals are looked through for what was told before."""

ASKED_FOR = timedelta(days=14)
"""So long after a decay was told of, former champions are asked whether they know the world."""


def ask_for_the_first(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """DeploymentDeclared -> RetrainRequested, if nothing answers under this name yet; else the running loop takes over the new declaration."""
    event = entry.event
    assert isinstance(event, e.DeploymentDeclared)
    if any(d.name == event.deployment for d in context.deployments.all()):
        return []
    if context.recipes.get(event.deployment) is None and context.blobs.has(event.declaration):
        return []  # declared without a recipe: its versions come from elsewhere
    recipe = context.recipes.get(event.deployment)
    if recipe is not None and history(context, recipe, now=entry.at).in_progress:
        return []  # declared once more while the first is on its way: it is trained by what is declared when it begins
    first = rule.decide("declared", None, recipe.policy, RetrainHistory(), now=entry.at) if recipe else None
    requested = e.RetrainRequested(
        deployment=event.deployment,
        model=event.model,
        reason="a first version is needed: nothing answers under this name yet",
        trigger="declared",
        data_until=entry.at,
        bounds=first.bounds if first else (),
    )
    return [requested]


def decide(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """AlertOpened -> RetrainRequested or RetrainSuppressed; nothing for alerts that no training could answer.

    ModelVersionApproved instead where a decay tells of a world that a former champion knows.
    """
    event = entry.event
    assert isinstance(event, e.AlertOpened)
    if event.alert.kind in UNTEACHABLE:
        return []
    trigger: e.Trigger = "decay" if event.alert.kind in rule.DECAYS else "input_drift"
    recipe = context.recipe(event.deployment)
    if trigger == "decay" and not rule.is_harmless(event.alert):
        alert = dated(context, recipe, event.alert, since=champion_since(context, recipe), now=entry.at)
        facts = history(context, recipe, now=entry.at, before=entry.seq, alert=alert)
        known = returning(context, recipe, facts, now=entry.at)
        if known is not None:
            return [known]
    return [decided(trigger, recipe, context, now=entry.at, before=entry.seq, alert=event.alert)]


def decided(
    trigger: e.Trigger,
    recipe: Recipe,
    context: Context,
    *,
    now: datetime,
    before: int | None = None,
    alert: Alert | None = None,
    because: str = "",
    evidence: Mapping[str, float | str] | None = None,
) -> e.RetrainRequested | e.RetrainSuppressed:
    """Ask the rule, with everything that the ledger and the log know, and put its answer into an event.

    before: seq of the entry that asks; what came after it is not known. because: what a declared trigger, or a person, says of why. evidence: what
    the event shall say besides.
    """
    alert = dated(context, recipe, alert, since=champion_since(context, recipe), now=now) if alert is not None else None
    facts = history(context, recipe, now=now, before=before, alert=alert)
    found = _asked(trigger, alert, recipe, context, facts, now, because)
    found = msgspec.structs.replace(found, evidence={**found.evidence, **(evidence or {})})
    return _event(found, recipe, trigger, until=now)


def review(context: Context) -> Sequence[Timed]:
    """What needs no new alarm: a decay that still stands, data that grew enough (policy.growth), the calendar (policy.review_days).

    A standing decay and growth are looked at on every stroke and told only if they lead to something, or are held back by data, wrong or too few
    (once); a scheduled look is always told. Without the first, a challenger that was refused because too few labels of the new world had arrived
    would have been the last one.
    """
    timed = []
    now = context.clock.now()
    running = {d.name for d in context.deployments.all() if d.stopped is None}
    for name, recipe in context.recipes.items():
        looked = _last_look(context, name)
        if looked is None or name not in running:
            continue
        alert = _standing_decay(context, name)
        if alert is not None and (back := _back(context, recipe, alert, now=now)) is not None:
            timed.append(back)
            continue
        if _is_closed(context, recipe, alert, now=now):
            continue
        if alert is not None:
            alert = dated(context, recipe, alert, since=champion_since(context, recipe), now=now)
        facts = history(context, recipe, now=now, alert=alert)
        if alert is not None:
            again = _asked("decay", alert, recipe, context, facts, now)
            if again.retrain or _is_newly_held(context, name, again):
                asked = _event(again, recipe, "decay", until=now)
                timed.append(Timed(key=_key(context, asked), event=asked, cause=opening(context, alert)))
                continue
            if any(bound.name == "labels_since_change" and not bound.kept for bound in again.bounds):
                continue  # whatever else asks would learn a world that is over
        grown = _asked("growth", None, recipe, context, facts, now)
        if grown.retrain or _is_newly_held(context, name, grown):
            asked = _event(grown, recipe, "growth", until=now)
            timed.append(Timed(key=_key(context, asked), event=asked))
            continue
        calendar = timedelta(days=recipe.policy.review_days)
        if calendar and abs(now - looked) >= calendar:  # a look that lies far ahead was taken by a clock that ran away
            due = _event(_asked("schedule", None, recipe, context, facts, now), recipe, "schedule", until=now)
            timed.append(Timed(key=_key(context, due), event=due))
    return timed


def _back(context: Context, recipe: Recipe, alert: Alert, *, now: datetime) -> Timed | None:
    """A former champion that knows the world since a decay that stands, as an event. Asked for some days only: later the policy has had its say."""
    if now - alert.opened_at > ASKED_FOR:
        return None
    alert = dated(context, recipe, alert, since=champion_since(context, recipe), now=now)
    facts = history(context, recipe, now=now, alert=alert)
    known = returning(context, recipe, facts, now=now)
    if known is None:
        return None
    return Timed(key=f"{alert.id}-back-{known.number}", event=known, cause=opening(context, alert))


def _key(context: Context, event: e.RetrainRequested | e.RetrainSuppressed) -> str:
    """The same for two loops that look at one record, each at its own moment: one request follows a request, and is told once."""
    kinds = (
        ("RetrainRequested",) if isinstance(event, e.RetrainRequested) else ("RetrainRequested", "RetrainSuppressed")
    )
    entries = context.ledger.latest(limit=10_000, kinds=kinds)
    last = next((x.id for x in entries if getattr(x.event, "deployment", None) == event.deployment), "nothing")
    said = "asked" if isinstance(event, e.RetrainRequested) else event.trigger
    return f"{event.deployment}-{said}-after-{last}"


def _asked(
    trigger: e.Trigger,
    alert: Alert | None,
    recipe: Recipe,
    context: Context,
    facts: RetrainHistory,
    now: datetime,
    because: str = "",
) -> Decision:
    """The rule's answer. Whether data can be learnt from and judged by costs a look at the log, so it is asked only where all else says yes."""
    found = rule.decide(trigger, alert, recipe.policy, facts, now=now, because=because)
    if not found.retrain or trigger in BY_PERSON:
        return found
    unsound = unsound_of(context, recipe, since=facts.champion_since, now=now)
    explained = (
        explained_by(context, recipe, unsound, since=facts.champion_since, now=now)
        if unsound and trigger == "decay"
        else ""
    )
    facts = msgspec.structs.replace(
        facts,
        unsound=tuple(each for each in unsound if each.until is None),
        explained=explained,
        unmeasured=unmeasured(context, recipe, facts, unsound, now=now),
    )
    return rule.decide(trigger, alert, recipe.policy, facts, now=now, because=because)


def _is_newly_held(context: Context, name: str, decision: Decision) -> bool:
    """Whether a decision is held back by the data, and the record does not say so yet."""
    held = decision.evidence.get(rule.HELD)
    if held is None:
        return False
    return not any(
        isinstance(x.event, e.RetrainSuppressed)
        and x.event.deployment == name
        and x.event.evidence.get(rule.HELD) == held
        for x in context.ledger.latest(limit=TOLD, kinds=("RetrainSuppressed",))
    )


def _is_closed(context: Context, recipe: Recipe, alert: Alert | None, *, now: datetime) -> bool:
    """Whether cool-down or budget allow nothing, by the requests alone: that spares the counting of labels. alert: the decay that stands."""
    requested = [
        x.at
        for x in context.ledger.read(limit=1_000_000, kinds=("RetrainRequested",))
        if isinstance(x.event, e.RetrainRequested) and x.event.deployment == recipe.deployment and x.at > now - 2 * YEAR
    ]
    if recipe.policy.review_days:
        requested = requested[-1:]  # a review that the budget forbids is told
    asked = believed(requested, recipe.policy, now=now)
    facts = RetrainHistory(
        requested_at=asked, change_labels_of_last=0, change_labels_of_champion=None if alert is None else 0
    )
    bounds = bounds_of("new_data" if alert is None else "decay", recipe.policy, facts, now=now)
    return not all(bound.kept for bound in bounds if bound.name != "minimum_labels")


def _event(
    decision: Decision, recipe: Recipe, trigger: e.Trigger, *, until: datetime
) -> e.RetrainRequested | e.RetrainSuppressed:
    if decision.retrain:
        return e.RetrainRequested(
            deployment=recipe.deployment,
            model=recipe.model,
            reason=decision.reason,
            trigger=trigger,
            data_until=until,
            evidence=decision.evidence,
            bounds=decision.bounds,
        )
    return e.RetrainSuppressed(
        deployment=recipe.deployment,
        model=recipe.model,
        reason=decision.reason,
        trigger=trigger,
        evidence=decision.evidence,
        bounds=decision.bounds,
    )


def _standing_decay(context: Context, deployment: str) -> Alert | None:
    """The newest alert of decay or concept drift of this deployment that stands and tells of harm, if one does."""
    over: set[str] = set()
    for entry in context.ledger.latest(limit=10_000, kinds=("AlertOpened", "AlertResolved")):
        event = entry.event
        if isinstance(event, e.AlertResolved):
            over.add(event.alert_id)
        elif (
            isinstance(event, e.AlertOpened)
            and event.deployment == deployment
            and event.alert.kind in rule.DECAYS
            and event.alert.id not in over
            and not rule.is_harmless(event.alert)
        ):
            return event.alert
    return None


def _last_look(context: Context, deployment: str) -> datetime | None:
    """When the loop last asked for a training, or last looked by the calendar."""
    for entry in context.ledger.latest(limit=10_000, kinds=("RetrainRequested", "RetrainSuppressed")):
        event = entry.event
        if isinstance(event, e.RetrainRequested) and event.deployment == deployment:
            return entry.at
        if isinstance(event, e.RetrainSuppressed) and event.deployment == deployment and event.trigger == "schedule":
            return entry.at
    return None
