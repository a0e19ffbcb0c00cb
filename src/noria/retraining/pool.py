"""Choose window and candidate by all rehearsals so far, not by the last one alone. Pure. One back-test alone is window. Called by loop/training.

A fortnight is a small sample: with it alone the choice flips back and forth between learners that are alike, and each flip costs. The ledger
remembers every earlier back-test, made in its own time on labels known then; together they are a larger sample of the same comparison.
"""

from collections.abc import Mapping, Sequence
from math import inf, sqrt
from typing import NamedTuple

from noria.domain.policy import Policy, WindowChoice, WindowEvidence
from noria.errors import EmptySample
from noria.retraining.window import SIMPLEST_FIRST

Rehearsal = Sequence[WindowEvidence]


class Pooled(NamedTuple):
    """Mean difference of log loss over rehearsals, weighted by rows; error between rehearsals (infinite for one); their number."""

    mean: float
    error: float
    rehearsals: int


class Choice(NamedTuple):
    """The window and the candidate, and why."""

    window: WindowChoice
    candidate: str
    reason: str


def choose_pooled(
    rehearsals: Sequence[Rehearsal], policy: Policy, *, alone: Mapping[WindowChoice, float] | None = None
) -> Choice:
    """Choose by the newest rehearsal (the last) and those before it.

    Window: the simplest, unless another was better, with the first candidate, by more than one standard error over all rehearsals, and in the newest.
    alone: after a change of the world, the newest rehearsal's own error, over days, of each window's difference to the simplest; it counts for a
    window that no other rehearsal has tried.
    Candidate: the one with the lowest mean difference to the first, on the windows on which both were tried. Raises EmptySample without a rehearsal.

    >>> def tried(window, candidate, loss):
    ...     return WindowEvidence(window=window, candidate=candidate, log_loss=loss, rows=100)
    >>> night = [tried("all", "small", 0.50), tried("recent", "small", 0.52), tried("all", "large", 0.49)]
    >>> choose_pooled([night], Policy(candidates=("small", "large")))[:2]
    ('all', 'large')
    """
    if not rehearsals or not rehearsals[-1]:
        raise EmptySample("no back-test to choose by", remedy="run one on the newest labelled days")
    first, newest = policy.candidates[0], rehearsals[-1]
    simplest = min((e.window for e in newest if e.candidate == first), key=SIMPLEST_FIRST.index)
    window, why_window = simplest, f"{simplest!r} is the simplest"
    better = []
    for other in sorted({e.window for e in newest if e.candidate == first and e.window in policy.windows} - {simplest}):
        found = _pooled([(_difference(tried, (other, first), (simplest, first)), tried) for tried in rehearsals])
        if found.rehearsals == 1 and alone and other in alone:
            found = found._replace(error=alone[other])
        now = _difference(newest, (other, first), (simplest, first))
        if found.mean + found.error < 0 and now is not None and now < 0:
            better.append((found.mean, other, found.rehearsals))
    if better:
        mean, window, count = min(better)
        why_window = f"{window!r} was better than {simplest!r} by {-mean:.4f} over {count} back-tests"
    means = {first: Pooled(0.0, 0.0, len(rehearsals))}
    for candidate in policy.candidates[1:]:
        found = _pooled([(_against(tried, candidate, first), tried) for tried in rehearsals])
        if found.rehearsals and any(e.candidate == candidate for e in newest):
            means[candidate] = found
    best = min(means, key=lambda name: (means[name].mean, policy.candidates.index(name)))
    count = means[best].rehearsals
    if best == first:
        why_candidate = f"no other candidate was better than {first!r} over {count} back-tests"
    else:
        why_candidate = f"{best!r} was better than {first!r} by {-means[best].mean:.4f} over {count} back-tests"
    return Choice(window=window, candidate=best, reason=f"{why_window}; {why_candidate}")


def _difference(tried: Rehearsal, one: tuple[WindowChoice, str], other: tuple[WindowChoice, str]) -> float | None:
    losses = {(e.window, e.candidate): e.log_loss for e in tried}
    return losses[one] - losses[other] if one in losses and other in losses else None


def _against(tried: Rehearsal, candidate: str, first: str) -> float | None:
    """Candidate minus first on a window on which both were tried in this rehearsal."""
    for e in tried:
        if e.candidate == candidate:
            return _difference(tried, (e.window, candidate), (e.window, first))
    return None


def _pooled(differences: Sequence[tuple[float | None, Rehearsal]]) -> Pooled:
    found = [(d, tried[0].rows) for d, tried in differences if d is not None]
    if not found:
        return Pooled(0.0, inf, 0)
    rows = sum(n for _, n in found)
    mean = float(sum(d * n for d, n in found)) / rows
    if len(found) == 1:
        return Pooled(mean, inf, 1)
    spread = float(sum((n * (d - mean)) ** 2 for d, n in found)) / rows**2
    return Pooled(mean, sqrt(spread * len(found) / (len(found) - 1)), len(found))
