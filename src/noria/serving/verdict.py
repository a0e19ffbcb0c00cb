"""Judge a canary from the labelled answers of both arms, at any time and as often as one likes. Pure: no clock, no store.

Routing is serving/route, moving traffic is loop/stages/rollout, the mathematics are stats/anytime and stats/sequential.

The rule, in this order:
1. Requests that failed: roll back once the challenger's share is above `maximum_error_share` beyond doubt (a betting test, valid at every look).
2. Fewer than `minimum_labels` labels in the smaller arm, or a champion without labels: wait; at `maximum_days` roll back, as nothing was shown.
3. The confidence sequence of the difference (challenger minus champion, log loss) lies above `tolerance`: roll back. At or below it: promote.
4. At `maximum_days` undecided: promote if the point estimate is at most `tolerance`, else roll back.

What holds: over all looks together, the chance that 3 rolls back a challenger that is not worse than `tolerance`, or promotes one that is, is at
most half of `error_rate` (approximately, for enough labels), and the chance that 1 is wrong at most the other half. Rule 4 has no such bound: a
canary of a few days cannot tell 0.005 nats from 0.010, it is there to stop harm; that the challenger is better was the gate's business.
With `paired_losses` (both versions scored on the same rows, which is possible when an answer does not change what happens) the same rule is an
order of magnitude sharper.
"""

from datetime import datetime
from math import log
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.deployment import CanaryPlan, Verdict
from noria.domain.interval import Interval
from noria.errors import InputInvalid
from noria.stats.anytime import difference_sequence, mean_sequence
from noria.stats.checks import vector
from noria.stats.sequential import excess_share_log_e

LEAST_PER_ARM = 50
"""A central limit needs some rows in each arm, whatever the plan says."""


def judge_rollout(
    plan: CanaryPlan,
    *,
    champion_losses: ArrayLike,
    challenger_losses: ArrayLike,
    champion_errors: int = 0,
    challenger_errors: int = 0,
    started_at: datetime,
    now: datetime,
    looks: int = 0,
    challenger_requests: int | None = None,
    paired_losses: ArrayLike | None = None,
) -> Verdict:
    """What the evidence says now.

    champion_losses, challenger_losses: log loss of each labelled answer since the start, shapes (n,) and (m,), 0 rows allowed. Rows must have been
    sent to the arms at random in a fixed proportion. challenger_errors: failed ones among `challenger_requests` (default: labels plus errors);
    champion_errors excuses the challenger: an outage that both share is not its fault. looks: how many verdicts came before, for the record.
    paired_losses: challenger minus champion loss of each row that both scored, in order of time; replaces the comparison of the arms.
    Raises InputInvalid for losses that are not finite or a plan that cannot be.
    """
    if not 0 < plan.error_rate < 1 or plan.minimum_labels < 1 or plan.maximum_days <= 0:
        raise InputInvalid("a canary needs an error rate between 0 and 1, at least one label and a positive duration")
    champion, challenger = (
        np.asarray(champion_losses, dtype=np.float64),
        np.asarray(challenger_losses, dtype=np.float64),
    )
    labels = (int(champion.size), int(challenger.size))
    failed = _failures(plan, champion_errors, challenger_errors, requests=challenger_requests, labels=labels)
    if failed:
        return _verdict("roll_back", failed, None, labels, looks)
    days = (now - started_at).total_seconds() / 86400
    late = days >= plan.maximum_days
    need = max(plan.minimum_labels, LEAST_PER_ARM)
    have = int(np.asarray(paired_losses).size) if paired_losses is not None else labels[1]
    if have < need or (paired_losses is None and labels[0] < LEAST_PER_ARM):
        if late:
            reason = (
                f"only {have} labels after {days:.1f} days, {need} are needed: nothing was shown, the champion stays"
            )
            return _verdict("roll_back", reason, None, labels, looks)
        return _verdict("wait", f"{have} of {need} labels have arrived", None, labels, looks)
    found = _difference(plan, champion, challenger, paired_losses)
    return _from_difference(plan, found, late=late, days=days, labels=labels, looks=looks)


def _failures(
    plan: CanaryPlan, champion_errors: int, challenger_errors: int, *, requests: int | None, labels: tuple[int, int]
) -> str:
    """Why the challenger fails too often, or nothing."""
    asked = max(requests if requests is not None else labels[1] + challenger_errors, challenger_errors)
    if asked == 0 or plan.maximum_error_share <= 0 or plan.maximum_error_share >= 1:
        return ""
    # What the champion suffers too is allowed on top: its own share, as far as it is known.
    shared = champion_errors / (labels[0] + champion_errors) if champion_errors else 0.0
    limit = min(plan.maximum_error_share + shared, 0.99)
    evidence = excess_share_log_e(challenger_errors, asked, limit)
    if evidence <= log(2 / plan.error_rate):
        return ""
    return f"{challenger_errors} of {asked} requests failed, surely more than the {limit:.1%} allowed"


def _difference(plan: CanaryPlan, champion: np.ndarray, challenger: np.ndarray, paired: ArrayLike | None) -> Interval:
    """The confidence sequence, tightest where the plan expects to end: twice the least number of labels."""
    if paired is not None:
        return mean_sequence(
            vector(paired, "paired_losses"), error_rate=plan.error_rate / 2, tightest_at=2.0 * plan.minimum_labels
        )
    share = min(max(plan.weight, 0.01), 0.99)
    return difference_sequence(
        challenger, champion, error_rate=plan.error_rate / 2, tightest_at=2.0 * plan.minimum_labels / share
    )


def _from_difference(
    plan: CanaryPlan, found: Interval, *, late: bool, days: float, labels: tuple[int, int], looks: int
) -> Verdict:
    measured = f"log loss differs by {found.value:+.4f} ({found.level:.1%} at every look: {found.low:+.4f}..{found.high:+.4f}, n={found.n})"
    allowed = f"the {plan.tolerance:g} allowed"
    if found.low > plan.tolerance:
        return _verdict("roll_back", f"{measured}: surely worse than {allowed}", found, labels, looks)
    if found.high <= plan.tolerance:
        return _verdict("promote", f"{measured}: surely not worse than {allowed}", found, labels, looks)
    if not late:
        return _verdict(
            "wait", f"{measured}: not decided after {days:.1f} of {plan.maximum_days:g} days", found, labels, looks
        )
    if found.value <= plan.tolerance:
        reason = f"{measured}: no harm was shown in {days:.1f} days and the estimate is within {allowed} (by estimate, not beyond doubt)"
        return _verdict("promote", reason, found, labels, looks)
    reason = f"{measured}: undecided after {days:.1f} days and the estimate is beyond {allowed}, the champion stays"
    return _verdict("roll_back", reason, found, labels, looks)


def _verdict(
    outcome: Literal["wait", "promote", "roll_back"],
    reason: str,
    difference: Interval | None,
    labels: tuple[int, int],
    looks: int,
) -> Verdict:
    return Verdict(
        outcome=outcome,
        reason=reason,
        difference=difference,
        champion_labels=labels[0],
        challenger_labels=labels[1],
        looks=looks + 1,
    )
