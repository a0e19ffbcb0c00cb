"""The schedule of a canary: which share comes next, and what must have passed before. Checks of a plan. Pure. Judging harm is verdict."""

from datetime import datetime

from noria.domain.deployment import CanaryPlan, CanaryStep, Rollout
from noria.errors import InputInvalid
from noria.serving.evidence import Evidence


def checked_plan(plan: CanaryPlan) -> CanaryPlan:
    """The plan itself, once it is sure that it can be. Raises InputInvalid and says what of it cannot.

    >>> checked_plan(CanaryPlan(weight=0.1)).weight
    0.1
    """
    faults = [
        (not 0 < plan.error_rate < 0.5, f"error_rate is {plan.error_rate}; it lies between 0 and 0.5"),
        (plan.minimum_labels < 0, f"minimum_labels is {plan.minimum_labels}; it is 0 or more"),
        (plan.maximum_days <= 0, f"maximum_days is {plan.maximum_days}; it is above 0"),
        (not 0 < plan.weight < 1 and plan.mode != "shadow", f"weight is {plan.weight}; it lies between 0 and 1"),
        (not 0 < plan.weight <= 1, f"weight is {plan.weight}; it is a share above 0"),
        (not 0 <= plan.floor < 1, f"floor is {plan.floor}; it is a share below 1"),
        (bool(plan.steps) and plan.mode != "canary", f"mode {plan.mode!r} has no steps; only a canary has"),
        (any(not 0 < step.weight < 1 for step in plan.steps), "a step's weight lies between 0 and 1"),
        (
            any(o.measure == "business" and not o.name for o in plan.objectives),
            "an objective of business needs the name of its metric",
        ),
        (
            plan.mode == "shadow" and any(o.measure == "business" for o in plan.objectives),
            "what a shadow says changes nothing, so it has no business metric",
        ),
        (
            any(o.measure == "latency" and o.threshold_ms <= 0 for o in plan.objectives),
            "an objective of latency needs threshold_ms",
        ),
        (
            plan.minimum_labels == 0 and not plan.steps and not plan.objectives,
            "a plan that waits for no labels needs a schedule or an objective: else there is nothing that it could show",
        ),
    ]
    for wrong, cause in faults:
        if wrong:
            raise InputInvalid(
                "this rollout cannot be", cause=cause, remedy="change its plan: see docs/explanation/rollouts.md"
            )
    return plan


def first_weight(plan: CanaryPlan) -> float:
    """The challenger's share at the start."""
    return plan.steps[0].weight if plan.steps else plan.weight


def passed(rollout: Rollout, evidence: Evidence, *, now: datetime) -> bool:
    """Whether what the present step asks for has passed, all of it. Without a schedule: yes."""
    return not _missing(rollout, evidence, now=now)


def waits_for(rollout: Rollout, evidence: Evidence, *, now: datetime) -> str:
    """What the schedule still waits for, in words; nothing when its last step is done."""
    steps = rollout.plan.steps
    missing = _missing(rollout, evidence, now=now)
    if not steps or (rollout.step >= len(steps) - 1 and not missing):
        return ""
    told = f"step {min(rollout.step + 1, len(steps))} of {len(steps)} ({steps[min(rollout.step, len(steps) - 1)].weight:.0%})"
    return f"{told}: {missing}" if missing else f"{told} is done"


def _missing(rollout: Rollout, evidence: Evidence, *, now: datetime) -> str:
    if not rollout.plan.steps:
        return ""
    step = rollout.plan.steps[min(rollout.step, len(rollout.plan.steps) - 1)]
    hours = (now - (rollout.step_since or rollout.started_at)).total_seconds() / 3600
    asked = _asked(step, hours=hours, evidence=evidence)
    return ", ".join(f"{have:g} of {need:g} {what}" for have, need, what in asked if have < need)


def _asked(step: CanaryStep, *, hours: float, evidence: Evidence) -> tuple[tuple[float, float, str], ...]:
    # A clock that was set back makes a step longer, never shorter than nothing.
    return (
        (round(max(hours, 0.0), 2), step.hours, "hours"),
        (evidence.step_requests, step.requests, "requests"),
        (evidence.step_labels, step.labels, "labels"),
    )
