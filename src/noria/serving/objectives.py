"""Judge each thing that a challenger must keep, from the evidence so far, by confidence sequences that hold at every look. Pure.

What follows from it for the rollout is verdict; gathering the evidence is loop/stages/rollout_facts. A mean is judged from `minimum_labels` on; what
is far better or far worse by its loss is believed from a quarter of them on: days of a canary are days with the worse model for most callers.

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
EARLY = 0.25
"""From this share of the labels that a plan waits for, a difference that is beyond doubt and beyond the limit by as much again is believed."""
LEAST_EARLY = 100
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
    few = have < need or sample.champion_rows < LEAST_PER_ARM or sample.scores.size < LEAST_PER_ARM
    if few and not _may_be_early(plan, objective, sample):
        return _judged(objective, "open", _waiting(objective, sample, need=need))
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
    if few:
        outcome, what = _overwhelming(value, limit, by=abs(objective.limit))
        if outcome == "open":
            return _judged(objective, "open", _waiting(objective, sample, need=need))
        told = f"{told}: {what}"
    else:
        outcome, what = _decided(value, limit, superior=superior)
        told = f"{told}{what}"
    return _judged(objective, outcome, told, value, limit=limit)


Outcome = Literal["kept", "broken", "open"]


def _decided(value: Interval, limit: float, *, superior: bool) -> tuple[Outcome, str]:
    """What limits that hold at every look say of a mean. superior: it must be below the limit, else no larger."""
    allowed = "" if superior else f" than the {limit:g} allowed"
    if value.low > limit:
        return "broken", f": surely worse{allowed}"
    if value.high < limit or (value.high == limit and not superior):
        return "kept", ": surely better" if superior else f": surely not worse{allowed}"
    return "open", "" if superior else f", {limit:g} is allowed"


def _overwhelming(value: Interval, limit: float, *, by: float) -> tuple[Outcome, str]:
    """The same while labels are few: only what is beyond the limit, or better than the champion, by as much again is believed."""
    if value.low > limit + by:
        return "broken", "far worse, beyond doubt"
    if value.high < -by:
        return "kept", "far better, beyond doubt"
    return "open", ""


def least_early(plan: CanaryPlan) -> float:
    """Labels of each side from which on an overwhelming difference is believed."""
    return max(EARLY * plan.minimum_labels, LEAST_EARLY)


def _may_be_early(plan: CanaryPlan, objective: Objective, sample: Sample) -> bool:
    """Only of losses: a metric of a few huge values needs all rows that its plan asks for before its limits hold."""
    least = min(sample.challenger_rows, sample.champion_rows, sample.scores.size)
    return objective.measure == "quality" and least >= least_early(plan)


def _waiting(objective: Objective, sample: Sample, *, need: int) -> str:
    have = sample.challenger_rows
    if have >= need and sample.scores.size < LEAST_PER_ARM:
        return (
            f"{have} labels have arrived, of only {sample.scores.size} requests or callers: {LEAST_PER_ARM} are needed"
        )
    if objective.measure == "disagreement":
        return f"{have} of {need} rows were answered by both"
    if objective.measure == "business":
        return f"{have} of {need} values of {objective.name!r} have arrived"
    return f"{have} of {need} labels have arrived"


def tightest_at(plan: CanaryPlan, *, paired: bool) -> float:
    """Where the plan expects to end: twice the least number of labels, of the challenger's share if arms are compared."""
    rows = 2.0 * (plan.minimum_labels or USUAL_LABELS)
    share = plan.steps[-1].weight if plan.steps else plan.weight
    return rows if paired else rows / min(max(share, 0.01), 0.99)


def _judged(
    objective: Objective,
    outcome: Outcome,
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
