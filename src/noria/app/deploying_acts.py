"""What a person does to a deployment, done: roll back, stop, resume, overrule. Called by commands, SDK and REST; declaring is deploying.py.

Exactly once (ADR 48): the generation is written first, under the id of its event, and keeps who did it and why; then it is published, the alias
moves, and the events are appended. Whoever comes next after a crash, the loop's clock included, finds the generation and tells what is missing.
"""

import logging
from collections.abc import Callable
from typing import Literal

from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.deployment import Act, Deployment, Variant
from noria.domain.ids import EventId, derive, fresh
from noria.domain.ledger import Draft, caused
from noria.domain.model import ModelVersion
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound, StaleWrite
from noria.registry import promote as registry
from noria.registry.named import STABLE, named
from noria.registry.packaged import bundle_of
from noria.registry.stable import latest_stable, rollouts_of
from noria.serving import acts, desired

NOBODY, CHAMPION = "none", "champion"
log = logging.getLogger(__name__)
TRIES = 20
BACK = 8
"""Generations that are looked through for acts that a crash left untold."""

Verb = Literal["changed", "rolled_back", "stopped", "resumed", "overrode"]


def roll_back(workspace: Workspace, name: str, *, reason: str, actor: str = "noria", to: str = "") -> Deployment:
    """Let an earlier version answer alone, at once. to: which; by default what is being tried is taken out, else the former champion is back.

    The version that answers alone already is left. Raises NotFound, Conflict for a deployment that is stopped or has no former version,
    InputInvalid without a reason.
    """
    _reason(reason, f"noria rollback {name} --because '...'")

    def build(standing: Deployment) -> Deployment | None:
        acts.not_stopped(standing)
        version = _earlier(workspace, standing, to)
        alone = len(standing.variants) == 1
        champion = standing.variant(CHAMPION)
        if alone and champion is not None and (champion.model, champion.number) == (version.model, version.number):
            return None
        act = new_act("rolled_back", actor, reason)
        return acts.roll_back(standing, variant("champion", version), act=act, at=workspace.clock.now())

    return _insist(workspace, name, build)


def stop(workspace: Workspace, name: str, *, reason: str, actor: str = "noria", fallback: str = "") -> Deployment:
    """Pull the stop switch: the fallback answers alone, the loop leaves the deployment alone. fallback: instead of the declared one.

    A deployment that is stopped already stays as it is. Raises NotFound, InputInvalid without a reason.
    """
    _reason(reason, f"noria stop {name} --because '...'")

    def build(standing: Deployment) -> Deployment | None:
        if standing.stopped is not None:
            return None
        safe = safe_version(workspace, standing, fallback) if fallback else _declared_safe(workspace, standing)
        act = new_act("stopped", actor, reason)
        return acts.stop(standing, variant("champion", safe) if safe else None, act=act, at=workspace.clock.now())

    return _insist(workspace, name, build)


def resume(workspace: Workspace, name: str, *, actor: str = "noria", reason: str = "", to: str = "") -> Deployment:
    """Let a stopped deployment go on as it stood, without what was being tried; or with one version (`to`). Not stopped: left as it is."""

    def build(standing: Deployment) -> Deployment | None:
        if standing.stopped is None:
            return None
        act = new_act("resumed", actor, reason)
        version = find(workspace, standing.model, to) if to else None
        return acts.resume(
            standing, variant("champion", version) if version else None, act=act, at=workspace.clock.now()
        )

    return _insist(workspace, name, build)


def overrule(
    workspace: Workspace, name: str, outcome: Literal["promote", "roll_back"], *, reason: str, actor: str = "noria"
) -> Deployment:
    """End a running rollout by a person's word, before or against its evidence.

    Raises NotFound, Conflict if none runs, InputInvalid without a reason.
    """
    _reason(reason, f"noria override {name} {outcome} --because '...'")

    def build(standing: Deployment) -> Deployment:
        return acts.overrule(standing, outcome, act=new_act("overrode", actor, reason), at=workspace.clock.now())

    return _insist(workspace, name, build)


def safe_version(workspace: Workspace, standing: Deployment, fallback: str) -> ModelVersion | None:
    """The version that answers while a deployment is stopped; None: nobody.

    `stable` is the latest stable version besides the one that is stopped: the challenger while a rollout runs, else the champion. If there is no
    other, nobody answers: what is stopped for a reason does not go on under the name of safety. `champion` is the one that answers now.
    """
    champion = standing.variant(CHAMPION)
    if fallback == NOBODY:
        return None
    if fallback == CHAMPION:
        return workspace.models.get(champion.model, champion.number) if champion is not None else None
    if fallback != STABLE:
        return find(workspace, standing.model, fallback)
    tried = standing.variant(acts.CHALLENGER)
    running = standing.rollout is not None and standing.rollout.outcome == "running"
    if running and tried is not None and champion is not None:
        return workspace.models.get(champion.model, champion.number)
    without = {v.number for v in workspace.models.versions(standing.model) if v.bundle is None}
    if champion is not None:
        without.add(champion.number)
    rollouts = rollouts_of(workspace.deployments, standing.model)
    return latest_stable(workspace.models, standing.model, rollouts=rollouts, without=without).version


def _declared_safe(workspace: Workspace, standing: Deployment) -> ModelVersion | None:
    """The same by what is declared; if that is not there any more, nobody answers: a stop does not fail."""
    try:
        safe = safe_version(workspace, standing, standing.fallback)
    except (NotFound, InputInvalid) as error:
        log.error("the fallback %r of deployment %s is not there: %s", standing.fallback, standing.name, error)
        return None
    return safe if safe is None or safe.bundle is not None else None


def find(workspace: Workspace, model: str, said: str) -> ModelVersion:
    """The version that words name. Raises NotFound, InputInvalid."""
    return named(workspace.models, model, said, rollouts=rollouts_of(workspace.deployments, model))


def variant(name: str, version: ModelVersion, *, weight: float = 1.0, shadow: bool = False) -> Variant:
    """A version as a variant. Raises Conflict for one that is not packaged."""
    return Variant(
        name=name,
        model=version.model,
        number=version.number,
        version=str(version.version),
        bundle=bundle_of(version),
        weight=weight,
        shadow=shadow,
    )


def new_act(verb: Verb, actor: str, reason: str, *, differences: tuple[str, ...] = ()) -> Act:
    """An act, under a new id: the same words said twice are two acts."""
    return Act(id=EventId(fresh()), verb=verb, actor=actor, reason=reason.strip(), differences=differences)


def write(workspace: Workspace, before: Deployment | None, after: Deployment) -> Deployment:
    """Write a generation, publish it, move the alias, tell the ledger. Raises StaleWrite if somebody wrote that generation first."""
    if before is not None:
        complete(workspace, before.name)
    workspace.deployments.put(after)
    _tell(workspace, before, after, newest=after)
    return after


def complete(workspace: Workspace, name: str) -> int:
    """Do what a crash left undone after a generation was written by hand: publish it, move the alias, tell of it. Gives how many were untold."""
    newest = workspace.deployments.get(name)
    done = 0
    for generation in range(newest.generation, max(newest.generation - BACK, 0), -1):
        after = newest if generation == newest.generation else workspace.deployments.at_generation(name, generation)
        if after.act is None or after.cause != after.act.id:
            continue
        if is_told(workspace, after.act.id):
            break
        before = workspace.deployments.at_generation(name, generation - 1) if generation > 1 else None
        _tell(workspace, before, after, newest=newest)
        done += 1
    return done


def complete_all(workspace: Workspace, *, told: dict[str, int]) -> int:
    """The same for every deployment, on each stroke of the clock. told: up to which generation each is known to be whole, kept by the caller."""
    done = 0
    for deployment in workspace.deployments.all():
        if told.get(deployment.name, 0) < deployment.generation:
            done += complete(workspace, deployment.name)
            told[deployment.name] = deployment.generation
    return done


def is_told(workspace: Workspace, event_id: EventId) -> bool:
    """Whether an event stands in the ledger."""
    try:
        workspace.ledger.get(event_id)
    except NotFound:
        return False
    return True


def _tell(workspace: Workspace, before: Deployment | None, after: Deployment, *, newest: Deployment) -> None:
    assert after.act is not None
    desired.publish(workspace.blobs, newest)
    act, at = after.act, after.updated_at
    drafts = []
    for index, event in enumerate(acts.told(before, after)):
        event_id = act.id if index == 0 else EventId(derive(act.id, "told", str(index)))
        cause = None if index == 0 else act.id
        drafts.append(Draft(id=event_id, at=at, actor=act.actor, event=event, cause=cause))
    to = acts.follows(before, after)
    champion = newest.variant(CHAMPION)
    if to is not None and champion is not None and (champion.model, champion.number) == (after.model, to):
        drafts.append(_alias(workspace, after, to, drafts[0]))
    try:
        workspace.ledger.append(drafts)
    except AlreadyExists:
        return  # Somebody else told of it while we did: what they wrote stands.


def _alias(workspace: Workspace, after: Deployment, number: int, first: Draft) -> Draft:
    """Move the alias that follows the champion. The event has the id that the wheel gives it, which finds it done (RolloutPromoted -> promote)."""
    assert after.act is not None
    verdict = first.event.verdict if isinstance(first.event, e.RolloutPromoted) else None
    move = registry.promote(
        workspace.models,
        model=after.model,
        number=number,
        alias=after.alias,
        at=after.updated_at,
        actor=after.act.actor,
        reason=verdict.reason if verdict else after.act.reason or "; ".join(after.act.differences),
        cause=after.act.id,
    )
    moved = e.AliasMoved(model=move.model, alias=move.alias, number=number, previous=move.previous, reason=move.reason)
    return Draft(id=caused(first, "promote"), at=first.at, actor=first.actor, event=moved, cause=first.id)


def _insist(workspace: Workspace, name: str, build: Callable[[Deployment], Deployment | None]) -> Deployment:
    """Act on what stands, again if the loop moved it meanwhile: a roll-back and a stop do not lose to a canary's step."""
    complete(workspace, name)
    for _ in range(TRIES):
        standing = workspace.deployments.get(name)
        after = build(standing)
        if after is None:
            return standing
        try:
            workspace.deployments.put(after)
        except StaleWrite:
            continue
        _tell(workspace, standing, after, newest=after)
        return after
    raise StaleWrite(f"deployment {name!r} changes too often to be acted on", cause=f"{TRIES} others were faster")


def _earlier(workspace: Workspace, standing: Deployment, to: str) -> ModelVersion:
    if to:
        return find(workspace, standing.model, to)
    champion = standing.variant(CHAMPION)
    running = standing.rollout is not None and standing.rollout.outcome == "running"
    if champion is not None and running:
        return workspace.models.get(champion.model, champion.number)
    number = acts.former(workspace.deployments.history(standing.name))
    if number is None:
        raise Conflict(
            f"deployment {standing.name!r} has no version to go back to",
            cause="one version has answered since it began",
            remedy=f"noria rollback {standing.name} --to VERSION, or noria stop {standing.name} --because '...'",
        )
    return workspace.models.get(standing.model, number)


def _reason(reason: str, remedy: str) -> None:
    if not reason.strip():
        raise InputInvalid("why is not said", cause="who looks at the history later wants to know", remedy=remedy)
