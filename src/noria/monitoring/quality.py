"""Quality of answers whose labels have arrived, and whether the model has decayed: both from arrays of the joined log.

Without labels see monitoring/estimate; the bets are stats/decay. Called by loop/stages.

A hard day raises every model's loss, so decay is not judged by the loss itself but by how far it exceeds what the scores expected of themselves
(their entropy), and by how far the rate of positives leaves them: both are 0 on average for a calibrated model whatever the day is like.
What this cannot see: a model that stays honest but ranks worse than a new one would. That takes a challenger: retraining/review.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import log, log10, sqrt

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.interval import Interval
from noria.domain.profile import ReferenceProfile
from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, Ints
from noria.stats.decay import decay_by_statistic, decay_evidence, start_decay, step_decay
from noria.stats.intervals import auc_interval, calibration_interval, mean_interval
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


class QualityWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Realised quality of one version over a stretch of time. coverage: labelled share of its answers; a metric that cannot be computed is None."""

    since: datetime
    until: datetime
    answers: int
    labelled: int
    coverage: float
    log_loss: Interval | None
    auc: Interval | None
    calibration_error: Interval | None
    excess: Interval | None
    """Log loss minus what the scores expected of themselves."""
    median_delay_s: float | None
    reason: str = ""
    """Why a metric is missing."""


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


def _times(times: ArrayLike) -> NDArray[np.datetime64]:
    """Times as datetime64[us] in UTC; a list of aware datetimes is converted."""
    array = np.asarray(times)
    if array.dtype.kind == "O":
        array = np.array(
            [
                np.datetime64("NaT")
                if t is None
                else np.datetime64(t.replace(tzinfo=None) - (t.utcoffset() or timedelta()))
                for t in array
            ]
        )
    if array.dtype.kind != "M":
        raise InputInvalid("times must be datetimes", remedy="hand in datetime64 values or aware datetimes")
    return array.astype("datetime64[us]")


def _naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta()), "us")


def realised(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    at: ArrayLike,
    label_at: ArrayLike,
    since: datetime,
    until: datetime,
    seed: int = 0,
) -> QualityWindow:
    """Quality of the answers given in since <= at < until, as far as their labels are known, with intervals by day blocks.

    labels: shape (n,), 0, 1 or NaN where none is known; scores: shape (n,); at, label_at: datetime64 or aware datetimes, None where unknown.
    Too few days or one class only: the metric is None and `reason` says why. Raises InputInvalid.
    """
    y, p, asked, known = (
        np.asarray(labels, dtype=np.float64),
        np.asarray(scores, dtype=np.float64),
        _times(at),
        _times(label_at),
    )
    inside = (asked >= _naive(since)) & (asked < _naive(until))
    have = inside & ~np.isnan(y)
    answers, labelled = int(inside.sum()), int(have.sum())
    delay = (known[have] - asked[have]) / np.timedelta64(1, "s")
    delay = delay[np.isfinite(delay)]
    found, reasons = _metrics(y[have], p[have], asked[have].astype("datetime64[D]").astype(np.int64), seed=seed)
    return QualityWindow(
        since=since,
        until=until,
        answers=answers,
        labelled=labelled,
        coverage=labelled / answers if answers else 0.0,
        log_loss=found.get("log_loss"),
        auc=found.get("auc"),
        calibration_error=found.get("calibration_error"),
        excess=found.get("excess"),
        median_delay_s=float(np.median(delay)) if delay.size else None,
        reason="; ".join(reasons),
    )


def _metrics(y: Floats, p: Floats, days: Ints, *, seed: int) -> tuple[dict[str, Interval], list[str]]:
    """The metrics that can be computed, and why the others cannot."""
    if y.size == 0:
        return {}, ["no label has arrived yet"]
    loss = row_log_loss(y, p)
    measures: dict[str, Callable[[], Interval]] = {
        "log_loss": lambda: mean_interval(loss, days),
        "auc": lambda: auc_interval(y, p, days),
        "calibration_error": lambda: calibration_interval(y, p, days, seed=seed),
        "excess": lambda: mean_interval(loss - entropy(p), days),
    }
    found: dict[str, Interval] = {}
    reasons: list[str] = []
    for name, measure in measures.items():
        try:
            found[name] = measure()
        except EmptySample as exc:
            reasons.append(f"{name}: {exc.problem}")
    return found, reasons


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
    until it has settled. Days with fewer than `minimum_rows` labels are left out as well. Arrays as in `realised`.
    """
    y, p, asked = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64), _times(at)
    settled = _naive(known_by - timedelta(seconds=settle_s))
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
    )
