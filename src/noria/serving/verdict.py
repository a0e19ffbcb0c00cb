"""Judge a rollout from what is known of it, at any time and as often as one likes. Pure: no clock, no store.

Each thing that is judged is objectives; routing is route, moving traffic is rollout and loop/stages/rollout, the mathematics are stats/anytime.

The rule, in this order:
1. An objective is broken beyond doubt: roll back.
2. The schedule of a canary has steps to go: wait; at `maximum_days` roll back, as it never met the traffic that it would have had to bear.
3. Fewer than `minimum_labels` labels, of the challenger or of the rows that both answered: wait, unless a quarter of them are overwhelming
   (objectives); at `maximum_days` roll back, nothing was shown.
   Where labels come late, that day and the one of 5 are later by as much (the outlook says by how much, before it starts).
4. All that must be shown is kept beyond doubt: promote.
5. At `maximum_days` undecided: an A/B test keeps the champion, as nothing was shown to be better. Anything else follows the estimates: promote if
   none is beyond its limit, else roll back.

What holds, over all looks together: the chance that 1 rolls back a challenger that keeps everything is at most `error_rate`, and so is the chance
that 4 promotes one that does not (exactly for shares of requests that fail independently of each other, approximately, for enough rows, for means).
Rule 5 has no such bound and says so: a canary of a few days cannot tell 0.005 nats from 0.010, it is there to stop harm; that the challenger is
better was the gate's business. With paired rows the same rule is an order of magnitude sharper.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from noria.domain.deployment import CanaryPlan, Judged, Rollout, Verdict
from noria.serving.evidence import Evidence
from noria.serving.objectives import is_required, judge_objective, objectives_of
from noria.serving.steps import checked_plan, waits_for


def judge_rollout(rollout: Rollout, evidence: Evidence, *, now: datetime, looks: int = 0) -> Verdict:
    """What the evidence says now. looks: how many verdicts came before, for the record. Raises InputInvalid for a plan that cannot be."""
    plan = checked_plan(rollout.plan)
    judged = [judge_objective(plan, objective, evidence) for objective in objectives_of(plan)]
    days = (now - rollout.started_at).total_seconds() / 86400
    outcome, reason, first = _decide(plan, rollout, evidence, judged=judged, days=days, now=now)
    ordered = sorted(judged, key=lambda each: each is not first)
    quality = next(each for each in judged if each.measure == "quality")
    return Verdict(
        outcome=outcome,
        reason=reason,
        difference=quality.value,
        champion_labels=evidence.quality.champion_rows,
        challenger_labels=evidence.quality.challenger_rows,
        looks=looks + 1,
        objectives=tuple(ordered),
    )


def longest_days(rollout: Rollout) -> float:
    """How long a rollout that needs labels may take: its plan's days, and as long as a label usually takes."""
    return rollout.plan.maximum_days + (rollout.outlook.delay_days if rollout.outlook is not None else 0.0)


Decided = tuple[Literal["wait", "promote", "roll_back"], str, Judged | None]


def _decide(
    plan: CanaryPlan, rollout: Rollout, evidence: Evidence, *, judged: Sequence[Judged], days: float, now: datetime
) -> Decided:
    """The rule above. Gives the outcome, why, and what decided it."""
    broken = next((each for each in judged if each.outcome == "broken"), None)
    if broken is not None:
        return "roll_back", broken.reason, broken
    longest = longest_days(rollout)
    told = f"after {days:.1f} of {longest:.3g} days"
    late = days >= plan.maximum_days
    schedule = waits_for(rollout, evidence, now=now)
    if schedule:
        reason = f"{schedule} {told}: the schedule was not completed, the champion stays"
        return ("roll_back", reason, None) if late else ("wait", schedule, None)
    late = days >= longest
    shown = zip(judged, objectives_of(plan), strict=True)
    required = [each for each, objective in shown if is_required(plan, objective)]
    unmeasured = next((each for each in required if each.value is None), None)
    if unmeasured is not None:
        reason = f"only {unmeasured.reason} {told}: nothing was shown, the champion stays"
        return ("roll_back", reason, unmeasured) if late else ("wait", unmeasured.reason, unmeasured)
    undecided = [each for each in required if each.outcome == "open"]
    if not undecided:
        return "promote", _because(required), _telling(required) if required else None
    first = _telling(undecided)
    if late:
        return _at_the_end(plan, undecided, first=first, days=days)
    return "wait", f"{first.reason}: not decided {told}", first


def _at_the_end(plan: CanaryPlan, undecided: Sequence[Judged], *, first: Judged, days: float) -> Decided:
    if plan.mode == "ab":
        return (
            "roll_back",
            f"{first.reason}: not shown to be better in {days:.1f} days, the champion stays",
            first,
        )
    beyond = next((each for each in undecided if each.value is not None and each.value.value > each.limit), None)
    if beyond is not None:
        reason = f"{beyond.reason}: undecided after {days:.1f} days and the estimate is beyond it, the champion stays"
        return "roll_back", reason, beyond
    reason = f"{first.reason}: no harm was shown in {days:.1f} days and the estimate is within it (by estimate, not beyond doubt)"
    return "promote", reason, first


def _telling(judged: Sequence[Judged]) -> Judged:
    """The one that people ask for first: quality or business before the rest."""
    return next((each for each in judged if each.measure in ("quality", "business")), judged[0])


def _because(kept: Sequence[Judged]) -> str:
    if not kept:
        return "the schedule is completed, and nothing was broken"
    first = _telling(kept)
    others = [each.measure for each in kept if each is not first]
    return first.reason + (f"; kept as well: {', '.join(others)}" if others else "")
