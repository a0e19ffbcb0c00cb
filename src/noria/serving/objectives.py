"""Judge each thing that a challenger must keep, from the evidence so far, by confidence sequences that hold at every look. Pure.

What follows from it for the rollout is verdict; gathering the evidence is loop/stages/rollout_facts.

How the error rate of a plan is spent: a roll-back is wrong if any of the K objectives was called broken though it is kept, so each may be with
`error_rate / K`. A promotion is wrong if one of them is broken and was called kept; for that this very one must have erred, so each may with
`error_rate`. A challenger is either worse or not: so both bounds are `error_rate` for the rollout as a whole.
"""

from typing import Literal

from noria.domain.deployment import CanaryPlan, Judged, Objective
from noria.domain.interval import Interval
from noria.errors import InputInvalid
from noria.serving.evidence import Beside, Evidence, Sample
from noria.stats.anytime import mean_limits, share_limits

LEAST_PER_ARM = 50
"""A central limit needs some rows in each arm, whatever the plan says."""
USUAL_LABELS = 500
"""Where limits are tightest when a plan does not wait for labels."""


def objectives_of(plan: CanaryPlan) -> tuple[Objective, ...]:
    """All that is judged: failures and quality always, with the plan's own words for them if it has some, then the rest as declared.

    >>> [o.measure for o in objectives_of(CanaryPlan(objectives=(Objective(measure="latency", limit=0.01, threshold_ms=50),)))]
    ['errors', 'latency', 'quality']
    """
    declared = {o.measure for o in plan.objectives}
    always = [] if "errors" in declared else [Objective(measure="errors", limit=plan.maximum_error_share)]
    quality = [] if "quality" in declared else [Objective(measure="quality", limit=plan.tolerance)]
    return tuple(sorted((*always, *plan.objectives, *quality), key=lambda o: ORDER.index(o.measure)))


ORDER = ("errors", "latency", "disagreement", "quality", "business")
"""What is told first when several are broken: what hurts callers most directly."""


def primary_of(plan: CanaryPlan) -> Objective:
    """What an A/B test is about: the first declared objective of business or quality, else quality."""
    named = (o for o in plan.objectives if o.measure in ("business", "quality"))
    return next(named, next(o for o in objectives_of(plan) if o.measure == "quality"))


def is_required(plan: CanaryPlan, objective: Objective) -> bool:
    """Whether it must be shown to be kept before a promotion; what is not must only not be broken.

    Declared ones must. Quality must unless the plan waits for no labels, or is an A/B test about something else.
    """
    if objective.measure == "quality":
        return plan.minimum_labels > 0 and (plan.mode != "ab" or primary_of(plan).measure == "quality")
    return objective in plan.objectives


def judge_objective(plan: CanaryPlan, objective: Objective, evidence: Evidence) -> Judged:
    """What the evidence says of one of them. Raises InputInvalid for a limit that cannot be."""
    below = plan.error_rate / len(objectives_of(plan))
    match objective.measure:
        case "errors":
            return _share(plan, objective, evidence.failures, below=below, said="requests failed")
        case "latency":
            found = evidence.slow.get(objective.threshold_ms, Beside())
            return _share(
                plan, objective, found, below=below, said=f"requests took more than {objective.threshold_ms:g} ms"
            )
        case "disagreement":
            sample = Sample(
                scores=evidence.disagreement,
                paired=True,
                champion_rows=evidence.disagreement.size,
                challenger_rows=evidence.disagreement.size,
            )
            return _mean(plan, objective, sample, below=below, said="the answers differ by")
        case "quality":
            return _mean(plan, objective, evidence.quality, below=below, said="log loss differs by")
        case "business":
            sample = evidence.business.get(objective.name, Sample())
            return _mean(plan, objective, sample, below=below, said=f"{objective.name!r} is worse by")


def _share(plan: CanaryPlan, objective: Objective, found: Beside, *, below: float, said: str) -> Judged:
    """A share of requests against its limit; what the champion surely suffers as well is not held against the challenger."""
    if not 0 < objective.limit < 1:
        if objective in plan.objectives:
            raise InputInvalid(f"the limit of {objective.measure!r} is a share between 0 and 1, not {objective.limit}")
        return _judged(objective, "open", "not watched")
    ours, theirs = found.challenger, found.champion
    value = share_limits(ours.hits, ours.rows, below=below, above=plan.error_rate, usual=objective.limit)
    shared = 0.0
    if theirs.hits:
        shared = share_limits(theirs.hits, theirs.rows, below=below, above=below, usual=objective.limit).high
    counted = f"{ours.hits} of {ours.rows} {said}"
    if value.low > max(objective.limit, shared):
        beside = f" and more than the champion's {theirs.hits} of {theirs.rows}" if shared else ""
        return _judged(
            objective, "broken", f"{counted}, surely more than the {objective.limit:.1%} allowed{beside}", value
        )
    if value.high <= objective.limit:
        return _judged(objective, "kept", f"{counted}, surely no more than the {objective.limit:.1%} allowed", value)
    return _judged(objective, "open", f"{counted}, {objective.limit:.1%} are allowed", value)


def _mean(plan: CanaryPlan, objective: Objective, sample: Sample, *, below: float, said: str) -> Judged:
    """A mean against its limit. What an A/B test is about must be surely better, whatever its limit; all else surely not worse."""
    need = max(plan.minimum_labels, LEAST_PER_ARM)
    have = sample.challenger_rows
    if have < need or sample.champion_rows < LEAST_PER_ARM or sample.scores.size < LEAST_PER_ARM:
        waiting = f"{have} of {need} labels have arrived"
        if objective.measure == "disagreement":
            waiting = f"{have} of {need} rows were answered by both"
        elif objective.measure == "business":
            waiting = f"{have} of {need} values of {objective.name!r} have arrived"
        if have >= need and sample.scores.size < LEAST_PER_ARM:
            waiting = f"{have} labels have arrived, of only {sample.scores.size} requests or callers: {LEAST_PER_ARM} are needed"
        return _judged(objective, "open", waiting)
    value = mean_limits(
        sample.scores,
        below=below,
        above=plan.error_rate,
        tightest_at=tightest_at(plan, paired=sample.paired),
        remembers=sample.paired,
    )
    told = (
        f"{said} {value.value:+.4f} ({value.level:.1%} at every look: {value.low:+.4f}..{value.high:+.4f}, n={value.n})"
    )
    superior = plan.mode == "ab" and objective == primary_of(plan)
    limit = 0.0 if superior else objective.limit
    allowed = f" than the {limit:g} allowed"
    if value.low > limit:
        return _judged(objective, "broken", f"{told}: surely worse{'' if superior else allowed}", value, limit=limit)
    if value.high < limit or (value.high == limit and not superior):
        good = "surely better" if superior else f"surely not worse{allowed}"
        return _judged(objective, "kept", f"{told}: {good}", value, limit=limit)
    return _judged(objective, "open", told if superior else f"{told}, {limit:g} is allowed", value, limit=limit)


def tightest_at(plan: CanaryPlan, *, paired: bool) -> float:
    """Where the plan expects to end: twice the least number of labels, of the challenger's share if arms are compared."""
    rows = 2.0 * (plan.minimum_labels or USUAL_LABELS)
    share = plan.steps[-1].weight if plan.steps else plan.weight
    return rows if paired else rows / min(max(share, 0.01), 0.99)


def _judged(
    objective: Objective,
    outcome: Literal["kept", "broken", "open"],
    reason: str,
    value: Interval | None = None,
    *,
    limit: float | None = None,
) -> Judged:
    return Judged(
        measure=objective.measure,
        outcome=outcome,
        reason=reason,
        value=value,
        limit=objective.limit if limit is None else limit,
        name=objective.name,
    )
