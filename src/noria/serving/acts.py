"""What people do to a deployment: change it, roll it back, stop it, let it go on, overrule a verdict. Each gives the next generation, and its events.

Pure: no clock, no store. Which versions are meant is registry/named, what a declaration asks for is plan. Called by app/deploying.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import structs

from noria.domain import events as e
from noria.domain.deployment import Act, CanaryPlan, Deployment, Outlook, Rollout, Stop, Variant, Verdict
from noria.errors import Conflict, InputInvalid
from noria.serving import rollout as rolling
from noria.serving.steps import first_weight

CHAMPION, CHALLENGER = "champion", "challenger"


def change(
    standing: Deployment | None,
    *,
    name: str,
    model: str,
    variants: Sequence[Variant],
    act: Act,
    at: datetime,
    challenger: Variant | None = None,
    plan: CanaryPlan | None = None,
    sticky_by: str = "request",
    fallback: str = "stable",
    alias: str = "champion",
    outlook: Outlook | None = None,
    header_override: bool = True,
) -> Deployment:
    """Other variants, weights or routing. variants: the champion and declared arms, without a challenger; their weights as declared.

    challenger, plan: what begins to be tried beside them. A rollout that runs goes on while the champion stays, else it is over.
    Raises Conflict for a deployment that is stopped, or where a rollout runs and another shall begin (`overrule` it first); InputInvalid when no
    share is left for the champion.
    """
    not_stopped(standing)
    running = _running(standing)
    rollout = standing.rollout if standing else None
    given: Sequence[Variant] = variants
    if running is not None and challenger is None:
        champion = next(v for v in variants if v.name == CHAMPION)
        tried = standing.variant(CHALLENGER) if standing else None
        if running.champion == champion.number and tried is not None:
            given = _beside(variants, tried)
        else:
            rollout = _ended(running, act, at, outcome="rolled_back")
    made = Deployment(
        name=name,
        model=model,
        generation=_next(standing),
        variants=tuple(given),
        updated_at=at,
        rollout=rollout,
        sticky_by=sticky_by,
        cause=act.id,
        fallback=fallback,
        alias=alias,
        header_override=header_override,
        act=act,
    )
    if challenger is None or plan is None:
        return made
    _beside(variants, began_as(challenger, plan))
    begun = rolling.begin(made, challenger, plan, cause=act.id, now=at, outlook=outlook)
    return structs.replace(begun, generation=made.generation, act=act)


def began_as(challenger: Variant, plan: CanaryPlan) -> Variant:
    """The challenger as its rollout begins: with the share of the first step, or in the shadow."""
    return structs.replace(challenger, name=CHALLENGER, weight=first_weight(plan), shadow=plan.mode == "shadow")


def roll_back(standing: Deployment, to: Variant, *, act: Act, at: datetime) -> Deployment:
    """One version answers alone from now on; a rollout that runs is over. Raises Conflict for a deployment that is stopped."""
    not_stopped(standing)
    return structs.replace(
        standing,
        generation=_next(standing),
        variants=(_alone(to),),
        updated_at=at,
        rollout=_over(standing, act, at),
        cause=act.id,
        act=act,
    )


def stop(standing: Deployment, to: Variant | None, *, act: Act, at: datetime) -> Deployment:
    """A safe version answers alone (None: nobody answers) until it is resumed; a rollout that runs is over. Raises Conflict if it is stopped."""
    not_stopped(standing)
    return structs.replace(
        standing,
        generation=_next(standing),
        variants=(_alone(to),) if to is not None else (),
        updated_at=at,
        rollout=_over(standing, act, at),
        cause=act.id,
        act=act,
        stopped=Stop(
            at=at,
            actor=act.actor,
            reason=act.reason,
            number=to.number if to is not None else None,
            before=standing.variants,
        ),
    )


def resume(standing: Deployment, to: Variant | None, *, act: Act, at: datetime) -> Deployment:
    """Let a stopped deployment go on as it stood, without the challenger that was tried then; or with one version alone (`to`).

    Raises Conflict for a deployment that is not stopped.
    """
    if standing.stopped is None:
        raise Conflict(f"deployment {standing.name!r} is not stopped", remedy="noria status")
    before = without_challenger(standing.stopped.before)
    return structs.replace(
        standing,
        generation=_next(standing),
        variants=(_alone(to),) if to is not None else before,
        updated_at=at,
        cause=act.id,
        act=act,
        stopped=None,
    )


def overrule(standing: Deployment, outcome: Literal["promote", "roll_back"], *, act: Act, at: datetime) -> Deployment:
    """End a rollout that runs by a person's word, whatever the evidence says so far. Raises Conflict if none runs."""
    not_stopped(standing)
    if _running(standing) is None or standing.variant(CHALLENGER) is None:
        raise Conflict(
            f"deployment {standing.name!r} has no rollout that runs, so there is nothing to overrule",
            remedy=f"noria rollback {standing.name}, or noria deploy MODEL/NUMBER --to {standing.name}",
        )
    verdict = _by_hand(act, outcome)
    ended = rolling.end(standing, verdict, now=at, cause=act.id)
    return structs.replace(ended, act=act)


def told(before: Deployment | None, after: Deployment) -> list[e.AnyEvent]:
    """The events of an act, from the generation before it and the one it made: the same however often they are asked for. The first has the act's id.

    Raises InputInvalid for a generation that no act made.
    """
    act = after.act
    if act is None or after.cause != act.id:
        raise InputInvalid(f"generation {after.generation} of deployment {after.name!r} was not made by hand")
    closing = _closing(before, after)
    if act.verb == "overrode":
        return closing
    return [_main(before, after, act), *closing, *_opening(before, after)]


def _main(before: Deployment | None, after: Deployment, act: Act) -> e.AnyEvent:
    """What was done, in one event."""
    match act.verb:
        case "stopped":
            number = after.stopped.number if after.stopped else None
            return e.DeploymentStopped(
                deployment=after.name, number=number, generation=after.generation, reason=act.reason
            )
        case "resumed":
            return e.DeploymentResumed(
                deployment=after.name, number=_champion(after), generation=after.generation, reason=act.reason
            )
        case "rolled_back":
            return e.DeploymentRolledBack(
                deployment=after.name,
                model=after.model,
                number=_champion(after),
                previous=taken_back(before, after),
                generation=after.generation,
                reason=act.reason,
            )
        case _:
            return e.DeploymentChanged(
                deployment=after.name,
                model=after.model,
                variants=after.variants,
                generation=after.generation,
                differences=act.differences,
                reason=act.reason,
            )


def taken_back(before: Deployment | None, after: Deployment) -> int:
    """Which version a roll-back took away: the champion of before or, if that stays, the challenger that was tried beside it."""
    if before is None:
        return _champion(after)
    number = _champion(before)
    tried = before.variant(CHALLENGER)
    return tried.number if number == _champion(after) and tried is not None else number


def follows(before: Deployment | None, after: Deployment) -> int | None:
    """Where the alias of this deployment is to point after an act; None: it stays. A stop moves no alias: it is to be over some day."""
    if not after.alias or after.stopped is not None or not after.variants:
        return None
    stood = before
    if before is not None and before.stopped is not None:
        stood = structs.replace(before, variants=before.stopped.before)
    number = _champion(after)
    if stood is not None and (stood.model, _champion(stood), stood.alias) == (after.model, number, after.alias):
        return None
    return number


def without_challenger(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The same without what is tried; its share goes back to the champion."""
    tried = next((v for v in variants if v.name == CHALLENGER), None)
    share = tried.weight if tried is not None and not tried.shadow else 0.0
    return tuple(
        structs.replace(v, weight=round(v.weight + share, 12)) if v.name == CHAMPION else v
        for v in variants
        if v.name != CHALLENGER
    )


def former(history: Sequence[Deployment]) -> int | None:
    """The champion before the one that answers, after what was rolled back is taken off; None if there was none. history: oldest first.

    Of 4, 5, 6, back to 5 the former is 4: a second roll-back goes further, and never forth again.
    """
    line: list[int] = []
    for deployment in history:
        champion = deployment.variant(CHAMPION)
        if champion is None or deployment.stopped is not None:
            continue
        if champion.number in line:
            del line[line.index(champion.number) + 1 :]
        else:
            line.append(champion.number)
    return line[-2] if len(line) > 1 else None


def _beside(variants: Sequence[Variant], challenger: Variant) -> list[Variant]:
    """The challenger's share comes out of the champion's. Raises InputInvalid if nothing would be left of it."""
    share = 0.0 if challenger.shadow else challenger.weight
    champion = next(v for v in variants if v.name == CHAMPION)
    left = round(champion.weight - share, 12)
    if left <= 0:
        raise InputInvalid(
            f"a challenger with {share:.0%} leaves nothing of the champion's {champion.weight:.0%}",
            remedy="give the challenger, or the other arms, less",
        )
    return [*(structs.replace(v, weight=left) if v.name == CHAMPION else v for v in variants), challenger]


def _alone(variant: Variant) -> Variant:
    return structs.replace(variant, name=CHAMPION, weight=1.0, shadow=False)


def _next(standing: Deployment | None) -> int:
    return (standing.generation if standing else 0) + 1


def _champion(deployment: Deployment) -> int:
    champion = deployment.variant(CHAMPION)
    return champion.number if champion is not None else 0


def _running(deployment: Deployment | None) -> Rollout | None:
    rollout = deployment.rollout if deployment else None
    return rollout if rollout is not None and rollout.outcome == "running" else None


def not_stopped(standing: Deployment | None) -> None:
    """Raises Conflict for a deployment that is stopped: a person lets it go on first."""
    if standing is not None and standing.stopped is not None:
        raise Conflict(
            f"deployment {standing.name!r} is stopped",
            cause=f"{standing.stopped.actor} stopped it on {standing.stopped.at:%Y-%m-%d %H:%M} UTC: {standing.stopped.reason}",
            remedy=f"noria resume {standing.name}",
        )


def _over(standing: Deployment, act: Act, at: datetime) -> Rollout | None:
    running = _running(standing)
    return _ended(running, act, at, outcome="rolled_back") if running is not None else standing.rollout


def _ended(running: Rollout, act: Act, at: datetime, *, outcome: Literal["promoted", "rolled_back"]) -> Rollout:
    verdict = _by_hand(act, "promote" if outcome == "promoted" else "roll_back")
    return structs.replace(running, ended_at=at, outcome=outcome, verdict=verdict)


def _by_hand(act: Act, outcome: Literal["promote", "roll_back"]) -> Verdict:
    return Verdict(outcome=outcome, reason=f"ended by {act.actor}, not by its evidence: {act.reason}")


def _closing(before: Deployment | None, after: Deployment) -> list[e.AnyEvent]:
    """The end of a rollout that ran before and does not any more."""
    ran, ended = _running(before), after.rollout
    if ran is None or ended is None or ended.verdict is None or ended.outcome == "running":
        return []
    if ended.outcome == "promoted":
        return [
            e.RolloutPromoted(
                deployment=after.name,
                model=after.model,
                number=ran.challenger,
                previous=ran.champion,
                generation=after.generation,
                rollout_id=ran.id,
                verdict=ended.verdict,
            )
        ]
    return [
        e.RolloutRolledBack(
            deployment=after.name,
            model=after.model,
            number=ran.challenger,
            champion=ran.champion,
            generation=after.generation,
            rollout_id=ran.id,
            verdict=ended.verdict,
        )
    ]


def _opening(before: Deployment | None, after: Deployment) -> list[e.AnyEvent]:
    """The beginning of a rollout."""
    begun = _running(after)
    if begun is None or (before is not None and before.rollout is not None and before.rollout.id == begun.id):
        return []
    return [
        e.RolloutStarted(deployment=after.name, rollout=begun, variants=after.variants, generation=after.generation)
    ]
