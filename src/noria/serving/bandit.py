"""Let the split of a rollout follow its evidence: Thompson sampling of the realised quality of both arms, with a floor for the champion. Pure.

A split that follows the evidence biases plain means; stats/arms weighs each answer by the chance it had, which every record keeps. Ending is verdict.
"""

import numpy as np
from blake3 import blake3

from noria.domain.deployment import CanaryPlan, Rollout
from noria.serving.evidence import Evidence
from noria.serving.objectives import LEAST_PER_ARM

DRAWS = 4000
LEAST_SHARE = 0.05
"""No arm gets less: what nobody is sent to is never learnt of again, and the few answers would count twenty times and more."""
NOTICEABLE = 0.05
"""Moves below it are not worth a new generation."""


def follow(rollout: Rollout, evidence: Evidence, *, share: float) -> float | None:
    """The challenger's new share, or None while it stays at `share`: too few labels, or the move is not noticeable.

    It is the chance that the challenger is the better arm: drawn DRAWS times from what is known of both means (normal, by their standard errors),
    from a seed that is the rollout's id and what is known, so that whoever asks again gets the same. The champion keeps the plan's floor.
    """
    if evidence.arms is None or evidence.quality.fewest < LEAST_PER_ARM:
        return None
    wanted = bounded(rollout.plan, chance_better(evidence.arms, seed=f"{rollout.id}:{rollout.step}"))
    return wanted if abs(wanted - share) >= NOTICEABLE else None


def chance_better(arms: tuple[tuple[float, float], tuple[float, float]], *, seed: str) -> float:
    """How often the challenger's loss is the lower one. arms: mean loss and standard error of champion and challenger.

    >>> chance_better(((0.5, 0.01), (0.5, 0.01)), seed="r1"), chance_better(((0.5, 0.01), (0.4, 0.01)), seed="r1")
    (0.5135, 1.0)
    """
    known = f"{seed}:{arms!r}".encode()
    rng = np.random.default_rng(int.from_bytes(blake3(known).digest(8), "big"))
    (theirs, their_error), (ours, our_error) = arms
    return float((rng.normal(ours, our_error, DRAWS) < rng.normal(theirs, their_error, DRAWS)).mean())


def bounded(plan: CanaryPlan, share: float) -> float:
    """A share that leaves the champion its floor and both arms something, in whole hundredths.

    >>> bounded(CanaryPlan(floor=0.2), 1.0), bounded(CanaryPlan(), 0.0)
    (0.8, 0.05)
    """
    return round(min(max(share, LEAST_SHARE), 1.0 - max(plan.floor, LEAST_SHARE)), 2)
