"""What would have silenced a drift alarm: the smallest margin, or the rarest budget, at which the newest look would have raised none.

The alarm itself is drift.py. Called by loop/stages when an alert opens, and by whoever asks why.
"""

from collections.abc import Sequence
from math import ceil, exp, log

import msgspec

from noria.domain.alert import Silencer
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitoring.drift import MEMORY, Budget, complete_windows, fold, watch
from noria.stats.sequential import log_evidence

WIDEST = 0.5
"""The widest margin that is tried: half of all rows on the other side of a cut."""

STEPS = 7
"""Halvings of the search for the margin, in its logarithm: to about 3 %."""

BOUNDLESS = 10**200
"""A budget under which no evidence is cut off."""

TOLD = 10**15
"""The rarest budget that is told in windows."""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """What would have kept one side quiet at the newest window; each alone would. None: nothing would, or there is no alarm.

    smallest: the smallest shift worth an alarm, for `Budget.smallest`. windows: at most one false alarm in so many, for `Budget.windows`.
    """

    smallest: float | None = None
    windows: int | None = None


def silences(
    profile: ReferenceProfile, windows: Sequence[WindowCounts], *, budget: Budget | None = None
) -> tuple[Silence, Silence]:
    """For inputs and for the prediction: which margin, and which budget, would have silenced them. Folds the windows ten times.

    Empty for a side without an alarm. Raises BinMismatch, InputInvalid.
    """
    chosen = budget or Budget()
    complete = complete_windows(profile, windows)[-MEMORY:]
    eyes = watch(profile, budget=chosen)
    limits = (log(eyes.threshold), log(eyes.prediction_threshold))
    shares = (chosen.windows / eyes.threshold, chosen.prediction)
    now = _evidence(profile, complete, chosen)
    found = []
    for side, (limit, share) in enumerate(zip(limits, shares, strict=True)):
        if now[side] <= limit:
            found.append(Silence())
            continue
        rarer = exp(min(now[side], 600.0)) * share
        margin = _margin(profile, complete, chosen, side=side, limit=limit)
        found.append(Silence(smallest=margin, windows=ceil(rarer) if rarer < TOLD else None))
    return found[0], found[1]


def silencers(silence: Silence, budget: Budget, *, window_seconds: float) -> tuple[Silencer, ...]:
    """The same as an alert shows it: budgets in days.

    >>> found = silencers(Silence(smallest=0.05, windows=1000), Budget(windows=365), window_seconds=86400)
    >>> [(s.setting, s.now, s.needed) for s in found]
    [('smallest', 0.01, 0.05), ('false_page_days', 365.0, 1000.0)]
    """
    found = []
    if silence.smallest is not None:
        what = "the smallest shift of a share that is worth an alarm, of every input"
        found.append(Silencer(setting="smallest", now=budget.smallest, needed=silence.smallest, what=what))
    if silence.windows is not None:
        days = window_seconds / 86400
        what = "days between two false alarms on average"
        now, needed = budget.windows * days, silence.windows * days
        found.append(Silencer(setting="false_page_days", now=now, needed=needed, what=what))
    return tuple(found)


def _evidence(profile: ReferenceProfile, complete: Sequence[WindowCounts], budget: Budget) -> tuple[float, float]:
    """Natural log of the evidence against inputs and prediction after all windows, not cut off."""
    boundless = msgspec.structs.replace(budget, windows=BOUNDLESS)
    eyes = watch(profile, budget=boundless)
    state = fold(eyes, complete)
    answers = float("-inf")
    if eyes.prediction is not None and state.prediction is not None:
        answers = log_evidence(eyes.prediction.bets, state.prediction)
    return log_evidence(eyes.inputs.bets, state.inputs), answers


def _margin(
    profile: ReferenceProfile, complete: Sequence[WindowCounts], budget: Budget, *, side: int, limit: float
) -> float | None:
    """The smallest `Budget.smallest` without an alarm, found by halving; rounded up to three digits. None if even the widest alarms."""

    def quiet(smallest: float) -> bool:
        wider = msgspec.structs.replace(budget, smallest=smallest)
        return _evidence(profile, complete, wider)[side] <= limit

    if not quiet(WIDEST):
        return None
    loud, silent = budget.smallest, WIDEST
    for _ in range(STEPS):
        middle = (loud * silent) ** 0.5
        if quiet(middle):
            silent = middle
        else:
            loud = middle
    return ceil(silent * 1000) / 1000
