"""Whether a model has decayed, from labelled answers by day.

How good answers were is quality_history.py's, a change of the loss itself concept.py's; the bets are stats/decay. Called by loop/stages.

A hard day raises every model's loss, so decay is not judged by the loss itself but by how far it exceeds what the scores expected of themselves
(their entropy), and by how far the rate of positives leaves them: both are 0 on average for a calibrated model whatever the day is like.
What this cannot see: a model that stays honest but ranks worse than a new one would. That takes a challenger: retraining/review.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import log, log10, sqrt

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.domain.profile import ReferenceProfile
from noria.errors import InputInvalid
from noria.monitoring.labels import moment, moments
from noria.stats.checks import Floats
from noria.stats.decay import decay_by_statistic, decay_evidence, start_decay, step_decay
from noria.stats.intervals import mean_interval
from noria.stats.metrics import entropy, row_log_loss

STATISTICS = (
    "loss above what the scores expect",
    "more positives than the scores say",
    "fewer positives than the scores say",
)
SMALLEST_DECAY = 0.01
"""Loss (nats) above its own expectation that is not worth an alarm."""


class DayQuality(msgspec.Struct, frozen=True, kw_only=True):
    """One day of labelled answers, as means over its rows. expected: entropy of the scores; said, happened: mean score and mean label.

    loss_noise, rate_noise: standard deviation of `loss - expected` and of `happened - said` from sampling alone, if the scores are right.
    """

    day: str
    rows: int
    loss: float
    expected: float
    said: float
    happened: float
    loss_noise: float
    rate_noise: float


class Decay(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the labelled days. evidence, threshold: log10. statistic: what speaks most. recent: `loss - expected` over the newest 14 days."""

    alarm: bool
    evidence: float
    threshold: float
    statistic: str
    days: int
    rows: int
    recent: Interval | None
    recent_bias: float
    budget: str
    since: str = ""
    until: str = ""
    began: str = ""
    """Day since which the loss is higher, if one can be told (monitoring/concept)."""
    changed_at: str = ""
    """The same as a moment, ISO 8601: labels since then are of the world as it is now."""
    where: str = ""
    """Groups in which it rose most plainly, if there are any."""
    better: bool = False
    """Whether the loss of the newest 14 days is surely below that of the hold-out: the scores are off, yet the answers did not suffer."""


def daily(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    at: ArrayLike,
    known_by: datetime,
    settle_s: float = 86400.0,
    minimum_rows: int = 30,
) -> list[DayQuality]:
    """One DayQuality a UTC day, for days that ended at least `settle_s` before `known_by`, oldest first.

    Labels of a bad day often come last (a late flight is labelled late), so a day that is still filling looks better than it was: it is left out
    until it has settled. Days with fewer than `minimum_rows` labels are left out as well.
    labels: shape (n,), 0, 1 or NaN; scores: shape (n,); at: datetime64 or aware datetimes.
    """
    y, p, asked = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64), moments(at)
    settled = moment(known_by - timedelta(seconds=settle_s))
    day = asked.astype("datetime64[D]")
    kept = ~np.isnan(y) & ((day + np.timedelta64(1, "D")).astype("datetime64[us]") <= settled)
    if not kept.any():
        return []
    y, p = y[kept], p[kept]
    days, codes = np.unique(day[kept], return_inverse=True)
    rows = np.bincount(codes)
    clipped = np.clip(p, 1e-6, 1 - 1e-6)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(codes, values) / rows)

    loss, own, said, happened = mean(row_log_loss(y, p)), mean(entropy(p)), mean(p), mean(y)
    spread = clipped * (1 - clipped)
    rate_noise = np.sqrt(mean(spread) / rows)
    loss_noise = np.sqrt(mean(spread * np.log(clipped / (1 - clipped)) ** 2) / rows)
    return [
        DayQuality(
            day=str(days[i]),
            rows=int(rows[i]),
            loss=float(loss[i]),
            expected=float(own[i]),
            said=float(said[i]),
            happened=float(happened[i]),
            loss_noise=float(loss_noise[i]),
            rate_noise=float(rate_noise[i]),
        )
        for i in range(days.size)
        if rows[i] >= minimum_rows
    ]


def standardised(profile: ReferenceProfile, day: DayQuality, *, smallest: float = SMALLEST_DECAY) -> Floats:
    """How far a day left what the null allows, in standard deviations, for each of STATISTICS. Shape (3,).

    Allowed: the hold-out's own excess and bias, plus `smallest` nats; as a bias that is the one which costs as much, sqrt(2 smallest p (1-p)).
    The standard deviation joins the hold-out's between days with the day's own sampling noise.
    """
    excess_sd = sqrt(profile.expected_excess_sd**2 + day.loss_noise**2) or 1.0
    bias_sd = sqrt(profile.expected_bias_sd**2 + day.rate_noise**2) or 1.0
    excess = day.loss - day.expected - max(0.0, profile.expected_excess) - smallest
    allowed = abs(profile.expected_bias) + sqrt(2 * smallest * day.said * (1 - day.said))
    bias = day.happened - day.said
    return np.array([excess / excess_sd, (bias - allowed) / bias_sd, (-bias - allowed) / bias_sd])


def decay(
    profile: ReferenceProfile, days: Sequence[DayQuality], *, budget_days: int = 1095, smallest: float = SMALLEST_DECAY
) -> Decay:
    """Fold labelled days (oldest first, from `daily`) and judge: at most one false alarm in `budget_days` days on average.

    The same days give the same answer. `smallest`: excess loss in nats that is not worth an alarm. Raises InputInvalid when days are out of order.
    """
    if any(a.day >= b.day for a, b in pairwise(days)):
        raise InputInvalid("labelled days must be in order, each once")
    state = start_decay(len(STATISTICS))
    for day in days:
        state = step_decay(state, standardised(profile, day, smallest=smallest), threshold=budget_days)
    evidence = decay_evidence(state) if days else 0.0
    recent = list(days[-14:])
    rows = np.array([d.rows for d in recent], dtype=np.float64)
    excess = np.array([d.loss - d.expected for d in recent])
    bias = float((np.array([d.happened - d.said for d in recent]) * rows).sum() / rows.sum()) if recent else 0.0
    loss = mean_interval(np.array([d.loss for d in recent])) if len(recent) >= 2 else None
    return Decay(
        alarm=evidence > log(budget_days),
        evidence=max(evidence / log(10), -99.0),
        threshold=log10(budget_days),
        statistic=STATISTICS[int(np.argmax(decay_by_statistic(state)))] if days else "",
        days=len(days),
        rows=sum(d.rows for d in days),
        recent=mean_interval(excess) if len(recent) >= 2 else None,
        recent_bias=bias,
        budget=f"at most one false decay alarm in {budget_days} days ({budget_days / 365.25:.1f} years) on average",
        since=days[0].day if days else "",
        until=days[-1].day if days else "",
        better=loss is not None and loss.high < profile.expected_loss,
    )
