"""Read a cheap back-test at a scheduled review: is a challenger worth training in full? Pure.

The back-test itself (champion against a quick challenger on the newest labelled days, neither having seen them) is the pipeline's. Called by decide.
"""

from noria.domain.interval import Interval
from noria.domain.policy import Decision

SMALLEST_GAIN = 0.002
"""Gain in log loss below which a retraining is not worth its cost and its risk."""

TOLERANCE = 0.002
"""Largest loss that the interval may leave possible: a challenger that may well be worse is not trained."""


def evidence_for_review(
    difference: Interval | None,
    *,
    smallest_gain: float = SMALLEST_GAIN,
    tolerance: float = TOLERANCE,
    evidence: dict[str, float | str] | None = None,
) -> Decision:
    """Retrain if the challenger is better by at least `smallest_gain` and the interval rules out that it is worse by more than `tolerance`.

    difference: challenger minus champion, log loss (below 0: the challenger is better), from day blocks; None: the back-test could not be made.

    >>> evidence_for_review(Interval(value=-0.01, low=-0.02, high=0.0, n=900)).retrain
    True
    """
    found = dict(evidence or {})
    if difference is None:
        return Decision(retrain=False, reason="no back-test could be made for the review", evidence=found)
    found |= {
        "difference": difference.value,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "rows": float(difference.n),
    }
    measured = f"a quick challenger's log loss differs by {difference.value:+.4f} ({difference.low:+.4f}..{difference.high:+.4f}, n={difference.n})"
    if difference.value > -smallest_gain:
        return Decision(
            retrain=False, reason=f"{measured}: no gain of {smallest_gain:g} or more is in sight", evidence=found
        )
    if difference.high > tolerance:
        return Decision(
            retrain=False, reason=f"{measured}: it may as well be worse by more than {tolerance:g}", evidence=found
        )
    return Decision(retrain=True, reason=f"{measured}: a retraining is worth it", evidence=found)
