"""Let a version meet traffic: the first at once, later ones by a rollout that the clock judges. Follows ModelVersionApproved, and ticks.

A generation is written under the id of its cause, then published for the workers; a repeated stage finds its generation and publishes it again.
What a rollout does to a deployment is serving/rollout, what the evidence says serving/verdict, the evidence itself rollout_facts.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from noria.domain import events as e
from noria.domain.deployment import Deployment, Rollout, Variant, Verdict
from noria.domain.ids import EventId, RolloutId, derive
from noria.domain.ledger import Entry
from noria.domain.model import ModelVersion
from noria.errors import NoriaError, NotFound, StaleWrite
from noria.loop.context import Context, Recipe, Timed
from noria.loop.stages.rollout_facts import evidence_of
from noria.loop.stages.rollout_outlook import outlook_of
from noria.packaging.bundle import open_bundle
from noria.ports.predictions import PredictionLog
from noria.registry.packaged import bundle_of
from noria.serving import bandit, desired, looks, steps, trouble
from noria.serving import rollout as rolling
from noria.serving.evidence import Evidence
from noria.serving.verdict import judge_rollout, longest_days

UNHURRIED = 200
"""A look follows when this part of the rollout's age has passed since the last."""
LONGEST_PAUSE = timedelta(minutes=5)

log = logging.getLogger(__name__)
_looked: WeakKeyDictionary[PredictionLog, dict[RolloutId, datetime]] = WeakKeyDictionary()


def roll_out(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """ModelVersionApproved -> RolloutPromoted (no champion yet) or RolloutStarted (a challenger beside the champion).

    A rollout that still runs is over then: its challenger is older than the one that was approved. A stopped deployment is left alone.
    """
    event = entry.event
    assert isinstance(event, e.ModelVersionApproved)
    recipe = context.recipe(event.deployment)
    version = context.models.get(event.model, event.number)
    current = _current(context, event.deployment)
    if current is not None and current.stopped is not None:
        return []
    if current is None or (current.cause == entry.id and len(current.variants) == 1):
        deployment = _put(context, current, current or _first(context, recipe, version, entry.id))
        return [_promoted(deployment, event.number, previous=None)]
    ended = _superseded(context, current, entry.id, by=version)
    standing = ended or current
    if current.cause != entry.id:
        now = context.clock.now()
        begun = rolling.begin(standing, _variant("challenger", version, 0.0), recipe.canary, cause=entry.id, now=now)
        assert begun.rollout is not None
        told = replace(begun.rollout, outlook=outlook_of(context, begun, now=now))
        standing = _put(context, standing, replace(begun, rollout=told))
    else:
        desired.publish(context.blobs, current)
        standing = current
    assert standing.rollout is not None
    started = e.RolloutStarted(
        deployment=standing.name,
        rollout=standing.rollout,
        variants=standing.variants,
        generation=standing.generation,
    )
    return [*_closed(ended), started]


def judge(context: Context) -> Sequence[Timed]:
    """Look at every running rollout: promote, roll back, move its split, or wait."""
    timed: list[Timed] = []
    for current in context.deployments.all():
        rollout = current.rollout
        if rollout is None or current.stopped is not None:
            continue
        desired.publish(context.blobs, current)  # a crash may have come between the generation and its document
        if rollout.outcome != "running":
            if current.cause == rolling.verdict_cause(rollout):
                timed += _once(context, f"{rollout.id}-verdict", _closed(current), rollout)
            continue
        if rollout.step and current.cause == rolling.advance_cause(rollout):
            timed += _once(context, f"{rollout.id}-step-{rollout.step}", [_advanced(current, rollout)], rollout)
        if not _is_due(context, rollout):
            continue
        try:
            timed += _look(context, current, rollout)
        except StaleWrite:
            log.info("deployment %s was changed by somebody else meanwhile", current.name)
    return timed


def _is_due(context: Context, rollout: Rollout) -> bool:
    """Whether to look again: the older a rollout, the less a minute adds and the more there is to read; but always after five minutes.

    Known to this process only: another one looks when it likes, and sees the same.
    """
    now = context.clock.now()
    looked = _looked.setdefault(context.predictions, {})
    last = looked.get(rollout.id)
    pause = min((now - rollout.started_at) / UNHURRIED, LONGEST_PAUSE)
    if last is not None and timedelta() <= now - last < pause:
        return False
    looked[rollout.id] = now
    return True


def _look(context: Context, current: Deployment, rollout: Rollout) -> list[Timed]:
    """One look at one rollout, and what follows from it."""
    now = context.clock.now()
    evidence: Evidence | None = None
    try:
        refused = _refused(context, current, rollout)
        if refused:
            verdict = Verdict(outcome="roll_back", reason=refused)
        else:
            evidence = evidence_of(context, current, rollout, now=now)
            verdict = judge_rollout(rollout, evidence, now=now, looks=len(looks.kept(context.blobs, rollout.id)))
    except NoriaError as error:
        if error.retryable:
            raise
        verdict = _unjudged(context, current, rollout, error)
    looks.keep(context.blobs, current, rollout, verdict, at=now)
    if verdict.outcome != "wait":
        ended = _put(context, current, rolling.end(current, verdict, now=now))
        return _once(context, f"{rollout.id}-verdict", _closed(ended), rollout)
    share = None if evidence is None else _next_share(current, rollout, evidence, context=context)
    if share is None:
        return []
    moved = _put(context, current, rolling.advance(current, share=share, now=now))
    assert moved.rollout is not None
    return _once(context, f"{rollout.id}-step-{moved.rollout.step}", [_advanced(moved, moved.rollout)], rollout)


def _refused(context: Context, current: Deployment, rollout: Rollout) -> str:
    """Why a worker cannot serve the challenger, and will not by trying on; nothing if none says so. The champion answers its share meanwhile."""
    told = trouble.troubles_of(context.blobs, current.name, generation=current.generation, variant="challenger")
    found = next((each for each in told if not each.passing and each.number == rollout.challenger), None)
    if found is None:
        return ""
    died = f" (it died of it {found.crashes} times)" if found.crashes else ""
    return f"worker {found.worker} cannot serve version {rollout.challenger}{died}: {found.error}"


def _next_share(current: Deployment, rollout: Rollout, evidence: Evidence, *, context: Context) -> float | None:
    """The share that the challenger gets next, if it is time for another."""
    plan = rollout.plan
    if plan.mode == "bandit":
        challenger = current.variant("challenger")
        return bandit.follow(rollout, evidence, share=challenger.weight) if challenger else None
    if rollout.step + 1 < len(plan.steps) and steps.passed(rollout, evidence, now=context.clock.now()):
        return plan.steps[rollout.step + 1].weight
    return None


def _unjudged(context: Context, current: Deployment, rollout: Rollout, error: NoriaError) -> Verdict:
    """What follows when the evidence cannot be had: a challenger that cannot even be opened is taken out, all else waits until its days are over."""
    log.error("rollout %s of %s cannot be judged", rollout.id, current.name, exc_info=error)
    challenger = current.variant("challenger")
    if challenger is not None:
        try:
            open_bundle(challenger.bundle, blobs=context.blobs, cache=context.home / "cache", flavors=context.flavors)
        except NoriaError as unusable:
            if unusable.retryable:
                raise
            return Verdict(
                outcome="roll_back", reason=f"version {challenger.number} cannot be opened: {unusable.headline()}"
            )
    reason = f"it could not be judged: {error.headline()}"
    if context.clock.now() - rollout.started_at >= timedelta(days=longest_days(rollout)):
        return Verdict(outcome="roll_back", reason=f"{reason}; its days are over, the champion stays")
    return Verdict(outcome="wait", reason=reason)


def _superseded(context: Context, current: Deployment, cause: EventId, *, by: ModelVersion) -> Deployment | None:
    """The generation that ended the rollout which still ran when another version was approved; None if none did."""
    own = EventId(derive("superseded", cause))
    if current.cause == cause and current.generation > 1:
        before = context.deployments.at_generation(current.name, current.generation - 1)
        return before if before.cause == own else None
    if current.cause == own:
        return current
    if current.rollout is None or current.rollout.outcome != "running":
        return None
    tried = current.rollout.challenger
    reason = (
        f"version {by.number} was approved meanwhile and is tried in its place; of version {tried} nothing was decided"
    )
    verdict = Verdict(outcome="roll_back", reason=reason)
    return _put(context, current, rolling.end(current, verdict, now=context.clock.now(), cause=own))


def _closed(ended: Deployment | None) -> list[e.AnyEvent]:
    """The event that tells the end of a generation's rollout."""
    rollout = ended.rollout if ended is not None else None
    if ended is None or rollout is None or rollout.verdict is None:
        return []
    if rollout.outcome == "promoted":
        return [_promoted(ended, rollout.challenger, previous=rollout.champion)]
    rolled_back = e.RolloutRolledBack(
        deployment=ended.name,
        model=ended.model,
        number=rollout.challenger,
        champion=rollout.champion,
        generation=ended.generation,
        rollout_id=rollout.id,
        verdict=rollout.verdict,
    )
    return [rolled_back]


def _promoted(deployment: Deployment, number: int, *, previous: int | None) -> e.RolloutPromoted:
    rollout = deployment.rollout if previous is not None else None
    return e.RolloutPromoted(
        deployment=deployment.name,
        model=deployment.model,
        number=number,
        previous=previous,
        generation=deployment.generation,
        rollout_id=rollout.id if rollout else None,
        verdict=rollout.verdict if rollout else None,
    )


def _advanced(deployment: Deployment, rollout: Rollout) -> e.RolloutAdvanced:
    """The event of a step, the same however often it is told: everything in it stands in the generation."""
    challenger = deployment.variant("challenger")
    share = f"version {rollout.challenger} gets {challenger.weight if challenger else 0:.0%}"
    total = len(rollout.plan.steps)
    reason = f"step {rollout.step + 1} of {total}: {share}" if total else f"the split follows the evidence: {share}"
    return e.RolloutAdvanced(
        deployment=deployment.name,
        rollout_id=rollout.id,
        step=rollout.step,
        variants=deployment.variants,
        generation=deployment.generation,
        reason=reason,
    )


def _once(context: Context, key: str, events: Sequence[e.AnyEvent], rollout: Rollout) -> list[Timed]:
    """What the clock brings, unless it stands in the ledger already: a generation may have been written and its event lost to a crash."""
    try:
        context.ledger.get(EventId(derive("tick", "judge", key)))
    except NotFound:
        return [Timed(key=key, event=event, cause=rollout.cause) for event in events]
    return []


def _current(context: Context, name: str) -> Deployment | None:
    try:
        return context.deployments.get(name)
    except NotFound:
        return None


def _first(context: Context, recipe: Recipe, version: ModelVersion, cause: EventId) -> Deployment:
    return Deployment(
        name=recipe.deployment,
        model=recipe.model,
        generation=1,
        variants=(_variant("champion", version, 1.0),),
        updated_at=context.clock.now(),
        cause=cause,
    )


def _variant(role: str, version: ModelVersion, weight: float) -> Variant:
    return Variant(
        name=role,
        model=version.model,
        number=version.number,
        version=str(version.version),
        bundle=bundle_of(version),
        weight=weight,
    )


def _put(context: Context, current: Deployment | None, wanted: Deployment) -> Deployment:
    """Write the next generation once for its cause, and publish it."""
    if current is not None and current.cause == wanted.cause:
        desired.publish(context.blobs, current)
        return current
    deployment = context.deployments.put(wanted)
    desired.publish(context.blobs, deployment)
    return deployment
