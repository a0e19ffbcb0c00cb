"""What a rollout does to a deployment: begin, advance, end. Pure: gives the next generation, which somebody else writes and publishes.

When it ends is verdict, when it advances steps and bandit. Called by loop/stages/rollout and app/.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from noria.domain.deployment import CanaryPlan, Deployment, Outlook, Rollout, Variant, Verdict
from noria.domain.ids import EventId, RolloutId, derive
from noria.errors import Conflict
from noria.serving.steps import checked_plan, first_weight

ROLES = ("champion", "challenger")


def begin(
    current: Deployment,
    challenger: Variant,
    plan: CanaryPlan,
    *,
    cause: EventId,
    now: datetime,
    outlook: Outlook | None = None,
) -> Deployment:
    """The generation in which a challenger stands beside the champion; other arms keep their shares. challenger: its name and weight are set here.

    The id of the rollout comes from its cause, so what is begun again is the same. Raises InputInvalid for a plan that cannot be, Conflict without a
    champion or while another rollout runs.
    """
    checked_plan(plan)
    champion = current.variant("champion")
    if champion is None:
        raise Conflict(f"deployment {current.name!r} has no champion to stand beside", remedy="deploy a version first")
    if current.rollout is not None and current.rollout.outcome == "running":
        raise Conflict(
            f"version {current.rollout.challenger} is being rolled out under {current.name!r}",
            remedy=f'noria rollback {current.name} --because "..."',
        )
    rollout = Rollout(
        id=RolloutId(derive("rollout", cause)),
        challenger=challenger.number,
        champion=champion.number,
        plan=plan,
        started_at=now,
        cause=cause,
        step_since=now,
        outlook=outlook,
    )
    shadow = plan.mode == "shadow"
    tried = replace(challenger, name="challenger", weight=first_weight(plan), shadow=shadow)
    return _next(current, _split(current, champion, tried), cause=cause, now=now, rollout=rollout)


def advance(current: Deployment, *, share: float, now: datetime) -> Deployment:
    """The generation in which the running rollout is one step on, its challenger with this share."""
    rollout, champion, challenger = _running(current)
    step = rollout.step + 1
    moved = replace(rollout, step=step, step_since=now)
    variants = _split(current, champion, replace(challenger, weight=share))
    return _next(current, variants, cause=advance_cause(moved), now=now, rollout=moved)


def end(current: Deployment, verdict: Verdict, *, now: datetime, cause: EventId | None = None) -> Deployment:
    """The generation in which the rollout is over and its winner answers for both. cause: by default that of the rollout's own verdict."""
    rollout, champion, challenger = _running(current)
    won = verdict.outcome == "promote"
    winner = challenger if won else champion
    share = champion.weight + (0.0 if challenger.shadow else challenger.weight)
    alone = replace(winner, name="champion", weight=_round(share), shadow=False)
    ended = replace(rollout, ended_at=now, outcome="promoted" if won else "rolled_back", verdict=verdict)
    variants = [alone, *(v for v in current.variants if v.name not in ROLES)]
    return _next(current, variants, cause=cause or verdict_cause(rollout), now=now, rollout=ended)


def verdict_cause(rollout: Rollout) -> EventId:
    """Under which cause a rollout is ended by its own evidence."""
    return EventId(derive("verdict", rollout.id))


def advance_cause(rollout: Rollout) -> EventId:
    """Under which cause a rollout came to the step that it is on."""
    return EventId(derive("advance", rollout.id, str(rollout.step)))


def _running(current: Deployment) -> tuple[Rollout, Variant, Variant]:
    champion, challenger = current.variant("champion"), current.variant("challenger")
    if current.rollout is None or current.rollout.outcome != "running" or champion is None or challenger is None:
        raise Conflict(f"no rollout runs under {current.name!r}", remedy=f"noria status {current.name}")
    return current.rollout, champion, challenger


def _split(current: Deployment, champion: Variant, challenger: Variant) -> Sequence[Variant]:
    """The challenger's share comes out of the champion's; other arms keep theirs. A shadow takes nothing: its weight is the part that is copied."""
    others = [v for v in current.variants if v.name not in ROLES]
    room = 1.0 - sum(v.weight for v in others if not v.shadow)
    if challenger.shadow:
        return [replace(champion, weight=_round(room)), challenger, *others]
    share = min(challenger.weight, room)
    return [replace(champion, weight=_round(room - share)), replace(challenger, weight=_round(share)), *others]


def _round(share: float) -> float:
    return round(share, 12)


def _next(
    current: Deployment, variants: Sequence[Variant], *, cause: EventId, now: datetime, rollout: Rollout
) -> Deployment:
    return replace(
        current,
        generation=current.generation + 1,
        variants=tuple(variants),
        updated_at=now,
        rollout=rollout,
        cause=cause,
        act=None,
    )
