"""What a rollout can show, and how long it takes, told before it starts. Pure: the same plan and pace give the same answer.

By simulation of the very limits that will judge it. How labels come is measured by loop/stages/rollout_outlook. Called by it and by app/.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from noria.domain.deployment import CanaryPlan, Outlook
from noria.serving.objectives import is_required, objectives_of, primary_of, tightest_at
from noria.serving.steps import checked_plan
from noria.stats.anytime import boundary

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
LIVES, LOOKS, SEED = 1000, 56, 2013
FOUND_IN = 0.8
"""The effect that is told is the one that four of five such rollouts would find."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How evidence comes. labels_per_day: of all answers. spread: standard deviation of the loss of an answer. pair_spread: of the difference of both
    versions on the same row, where that is known. delay_days: from an answer to its label. requests_per_day: of all."""

    labels_per_day: float
    requests_per_day: float
    spread: float
    pair_spread: float | None = None
    delay_days: float = 0.0


def outlook(plan: CanaryPlan, pace: Pace, *, effect: float | None = None) -> Outlook:
    """What this plan can show at this pace. effect: of which the power is asked; None: the smallest that is found in four of five cases.

    A canary, a shadow and a bandit are to find a challenger whose log loss is higher by `effect`, an A/B test one whose loss is lower by it. labels,
    days: until half of those are found; the whole time if fewer are. Raises InputInvalid for a plan that cannot be.

    >>> found = outlook(CanaryPlan(), Pace(labels_per_day=2000, requests_per_day=2000, spread=0.5))
    >>> 0.02 < found.effect < 0.2, 0.75 < found.power < 0.85, found.days < 7
    (True, True, True)
    """
    checked_plan(plan)
    quality = next(o for o in objectives_of(plan) if o.measure == "quality")
    if plan.mode == "ab" and primary_of(plan).measure == "business":
        return _untold(plan, pace, f"nothing is known yet of {primary_of(plan).name!r}; quality is only guarded")
    if not is_required(plan, quality):
        return _untold(plan, pace, "it does not wait for labels: its schedule and its objectives decide")
    if pace.labels_per_day <= 0:
        return _untold(
            plan, pace, "no label arrives: after its days nothing will have been shown, and the champion stays"
        )
    paths = _paths(plan, pace)
    asked = _effect(plan, quality.limit, paths) if effect is None else effect
    found = _found_at(plan, quality.limit, paths, asked)
    power = float((found < LOOKS).mean())
    typical = int(np.median(found))
    last = min(typical, LOOKS - 1)
    return Outlook(
        effect=_short(asked),
        power=round(power, 3),
        labels=round(float(paths.labels[last])),
        days=_short(float(paths.days[last])),
        labels_per_day=_short(pace.labels_per_day),
        note=_note(plan, quality.limit, paths),
        delay_days=_short(pace.delay_days),
    )


@dataclass(frozen=True)
class _Paths:
    """Simulated means of LIVES challengers that are just as good, at LOOKS looks, and how far limits reach. noise, reach: shape (lives, looks)."""

    days: Floats
    labels: Floats
    noise: Floats
    error: Floats
    rows: Floats
    enough: "np.ndarray[Any, np.dtype[np.bool_]]"


def _paths(plan: CanaryPlan, pace: Pace) -> _Paths:
    """Rows come evenly; each look adds what came since the one before, at the share of the schedule's step then."""
    days = (plan.maximum_days + pace.delay_days) * np.arange(1, LOOKS + 1) / LOOKS
    labels = pace.labels_per_day * np.maximum(days - pace.delay_days, 0.0)
    fresh = np.diff(labels, prepend=0.0)
    share = _shares(plan, pace, days - pace.delay_days)
    paired = plan.paired or plan.mode == "shadow"
    if paired:
        rows = fresh * (plan.weight if plan.mode == "shadow" else 1.0)
        variance = np.full(LOOKS, (pace.pair_spread or pace.spread) ** 2)
        ours = np.cumsum(rows)
    else:
        rows = fresh
        variance = pace.spread**2 * (1 / share + 1 / (1 - share))
        ours = np.cumsum(rows * share)
    rng = np.random.default_rng(SEED)
    summed = np.cumsum(rng.normal(size=(LIVES, LOOKS)) * np.sqrt(variance * rows), axis=1)
    seen = np.maximum(np.cumsum(rows), 1e-9)
    return _Paths(
        days=days,
        labels=labels,
        noise=summed / seen,
        error=np.sqrt(np.cumsum(variance * rows)) / seen,
        rows=seen,
        enough=(ours >= max(plan.minimum_labels, 1)) & (days >= _schedule_days(plan, pace)),
    )


def _found_at(plan: CanaryPlan, limit: float, paths: _Paths, effect: float) -> Floats:
    """At which look each simulated rollout is ended rightly; LOOKS: it is not. Shape (lives,)."""
    lower, upper = _reach(plan, paths)
    ready = paths.enough | (plan.mode != "ab") & (paths.rows >= plan.minimum_labels)
    if plan.mode == "ab":
        right = (paths.noise - effect + upper < 0) & paths.enough
        wrong = (paths.noise - effect - lower > 0) & ready
    else:
        right = (paths.noise + effect - lower > limit) & ready
        wrong = (paths.noise + effect + upper <= limit) & paths.enough
    first, against = _first(right), _first(wrong)
    return np.where(first <= against, first, float(LOOKS))


def _first(hits: "np.ndarray[Any, np.dtype[np.bool_]]") -> Floats:
    return np.where(hits.any(axis=1), hits.argmax(axis=1), LOOKS).astype(np.float64)


def _reach(plan: CanaryPlan, paths: _Paths) -> tuple[Floats, Floats]:
    at = tightest_at(plan, paired=plan.paired or plan.mode == "shadow")
    below = plan.error_rate / len(objectives_of(plan))
    return (
        boundary(paths.rows, error_rate=below, tightest_at=at) * paths.error,
        boundary(paths.rows, error_rate=plan.error_rate, tightest_at=at) * paths.error,
    )


def _effect(plan: CanaryPlan, limit: float, paths: _Paths) -> float:
    """The smallest effect that is found often enough, by bisection over the same simulated noise."""
    low, high = 0.0, 0.01

    def power(effect: float) -> float:
        return float((_found_at(plan, limit, paths, effect) < LOOKS).mean())

    while power(high) < FOUND_IN and high < 1e3:
        low, high = high, 2 * high
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= FOUND_IN else (middle, high)
    return high


def _note(plan: CanaryPlan, limit: float, paths: _Paths) -> str:
    """What becomes of a challenger that is just as good."""
    _, upper = _reach(plan, paths)
    whole = f"{float(paths.days[-1]):.3g} days"
    bar = 0.0 if plan.mode == "ab" else limit
    sure = float(((paths.noise + upper <= bar) & paths.enough).any(axis=1).mean())
    if plan.mode == "ab":
        return f"one that is just as good is not promoted ({1 - sure:.0%}); the test ends after {whole}"
    return f"one that is just as good is promoted beyond doubt in {sure:.0%}, else by estimate after {whole}"


def _shares(plan: CanaryPlan, pace: Pace, days: Floats) -> Floats:
    """The challenger's share when a label's answer was given, by the schedule."""
    if not plan.steps:
        return np.full(days.size, min(max(plan.weight, 0.01), 0.99))
    ends = np.cumsum([_step_days(plan, pace, i) for i in range(len(plan.steps))])
    step = np.minimum(np.searchsorted(ends, np.maximum(days, 0.0), side="right"), len(plan.steps) - 1)
    return np.asarray([plan.steps[i].weight for i in step])


def _schedule_days(plan: CanaryPlan, pace: Pace) -> float:
    return sum(_step_days(plan, pace, i) for i in range(len(plan.steps)))


def _step_days(plan: CanaryPlan, pace: Pace, index: int) -> float:
    step = plan.steps[index]
    requests = step.requests / (pace.requests_per_day * step.weight) if pace.requests_per_day > 0 else 0.0
    labels = step.labels / (pace.labels_per_day * step.weight) + pace.delay_days if step.labels else 0.0
    return max(step.hours / 24, requests, labels)


def _untold(plan: CanaryPlan, pace: Pace, note: str) -> Outlook:
    days = (
        min(_schedule_days(plan, pace) or plan.maximum_days, plan.maximum_days)
        if pace.labels_per_day > 0
        else plan.maximum_days
    )
    return Outlook(
        effect=0.0,
        power=0.0,
        labels=0,
        days=_short(days),
        labels_per_day=_short(pace.labels_per_day),
        note=note,
        delay_days=_short(pace.delay_days),
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")
