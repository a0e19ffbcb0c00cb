"""What a change of how often labels come true at a score opens as an alert, and what it costs. Pure.

The loss of an answer is a noisy witness: its standard deviation is half a nat or more, and a change that costs a few hundredths of a nat takes
thousands of labels to show in it. Label minus score varies far less, so it is watched as well, over all answers and in bands of the score; the change
itself is found by monitoring/concept, as for losses. What it costs is what a new calibration would gain. Called by loop/stages/watch_quality.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.alert import Severity
from noria.domain.quality import ConceptChange, ConceptReport
from noria.monitoring.alert import Report
from noria.monitoring.alert_drafts import draft
from noria.monitoring.concept_alert import HARMLESS
from noria.monitoring.labels import moment
from noria.monitoring.quality import SMALLEST_DECAY, Decay
from noria.stats.checks import Floats
from noria.stats.metrics import CLIP

BANDS = 5
COLUMN = "score"
"""Bands are groups of this name: 'score=0.10 to 0.25'."""
MOST_DIGITS = 9
SURE = 2.0
"""Standard errors below its estimate at which a cost is sure."""


class Cost(NamedTuple):
    """Nats a row that scores lose by not being what happens at them, band by band, and its standard error."""

    value: float
    error: float


def off_by(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """Label minus score, moved into 0 to 1: 0.5 on average where labels come true as often as the scores say. Shape (n,).

    >>> off_by([1, 0], [0.5, 0.25]).tolist()
    [0.75, 0.375]
    """
    return (np.asarray(labels, dtype=np.float64) - np.asarray(scores, dtype=np.float64) + 1) / 2


def band_edges(scores: ArrayLike) -> Floats:
    """Scores between BANDS bands of as many rows each; fewer where scores repeat.

    >>> band_edges([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).round(2).tolist()
    [0.2, 0.3, 0.4, 0.5]
    """
    inner = np.linspace(0, 1, BANDS + 1)[1:-1]
    return np.unique(np.quantile(np.asarray(scores, dtype=np.float64), inner))


def bands(scores: ArrayLike, edges: Floats) -> NDArray[np.str_]:
    """The band of each score, in words: with two decimals, or as many more as tell the bands apart.

    >>> bands([0.05, 0.3], np.array([0.1, 0.5])).tolist()
    ['0.00 to 0.10', '0.10 to 0.50']
    """
    ends = [0.0, *edges.tolist(), 1.0]
    digits = next(
        (n for n in range(2, MOST_DIGITS) if len({f"{end:.{n}f}" for end in ends}) == len(set(ends))), MOST_DIGITS
    )
    names = [f"{low:.{digits}f} to {high:.{digits}f}" for low, high in pairwise(ends)]
    return np.array(names)[np.searchsorted(edges, np.asarray(scores, dtype=np.float64))]


def cost(labels: ArrayLike, scores: ArrayLike, edges: Floats, *, inflation: float = 1.0) -> Cost:
    """What a new calibration of these answers would gain, without what chance alone would. labels: 0 and 1; scores: chances; both shape (n,), n > 0.

    inflation: how much more days differ than independent rows would. A model that also ranks worse than a new one would loses more than this.

    >>> half = np.full(1000, 0.5)
    >>> cost(half > 0, half, np.array([0.3])).value > 0.6, abs(cost(np.arange(1000) % 2, half, np.array([0.3])).value) < 0.001
    (True, True)
    """
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    code = np.searchsorted(edges, p)
    rows = np.bincount(code, minlength=edges.size + 1)
    there = rows > 0
    n = rows[there]
    # Half a row more of each label: a band of which none came true is no proof that none ever will.
    happened = (np.bincount(code, y, minlength=rows.size)[there] + 0.5) / (n + 1)
    said = np.clip(np.bincount(code, p, minlength=rows.size)[there] / n, CLIP, 1 - CLIP)
    share, slope = n / y.size, np.log(happened / (1 - happened)) - np.log(said / (1 - said))
    gain = happened * slope + np.log((1 - happened) / (1 - said))
    spread = share * slope * np.sqrt(inflation * happened * (1 - happened) / n)
    by_chance = inflation * n.size / (2 * y.size)
    return Cost(value=float((share * gain).sum() - by_chance), error=float(np.sqrt((spread**2).sum())))


def rate_report(
    found: ConceptReport | None,
    decay: Decay,
    *,
    labels: ArrayLike,
    scores: ArrayLike,
    at: ArrayLike,
    edges: Floats,
    days: float,
) -> Report:
    """An alert for changes of `off_by` that stand and cost something, or that none does any more.

    found: the walk over `off_by`, with bands as groups; None while labels are too few. labels, scores, at: the labelled answers, shape (n,), for what
    the change costs. Nothing is said while decay is in alarm, as for losses. days: between two false alarms, on average.
    """
    if found is None:
        return Report()
    standing = standing_rates(found)
    if not standing:
        return Report(over="labels come true as often as before again")
    told = max(standing, key=lambda each: each.evidence)
    y, p, asked = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64), np.asarray(at)
    late = asked >= moment(told.since)
    if not late.any() or late.all():
        return Report()
    now, then = (cost(y[part], p[part], edges, inflation=found.inflation) for part in (late, ~late))
    rise = Cost(value=now.value - then.value, error=float(np.hypot(now.error, then.error)))
    if rise.value <= 0:
        return Report(over="labels come true as often as the scores say, or nearly so, since they changed")
    if decay.alarm:
        return Report()
    severity = _severity(rise, decay)
    return Report(
        alert=draft(
            "concept_drift",
            severity,
            _summary(told, standing, rise),
            evidence={
                "log10_evidence": told.evidence,
                "changed_at": told.since.isoformat(),
                "seen_at": told.seen_at.isoformat(),
                "where": told.where,
                "off_before": _off(told.before.value),
                "off_after": _off(told.after.value),
                "cost_rise": rise.value,
                "cost_rise_low": rise.value - SURE * rise.error,
                "labels_since": float(late.sum()),
                "labels": float(found.labels),
                "design_effect": found.inflation,
                **({} if decay.recent is None else {"recent_excess_loss": decay.recent.value}),
            },
            budget=f"at most one false alarm in {days:g} days on average, bands of the score included: {found.budget}",
        )
    )


def standing_rates(found: ConceptReport | None) -> list[ConceptChange]:
    """The last change of all answers and of each band: whether it was for the better or the worse is told by its cost."""
    last = {each.where: each for each in found.changes} if found is not None else {}
    return list(last.values())


def _severity(rise: Cost, decay: Decay) -> Severity:
    if decay.better or rise.value < HARMLESS:
        return "info"
    return "page" if rise.value - SURE * rise.error > SMALLEST_DECAY else "warn"


def _off(value: float) -> float:
    """Label minus score, of the mean of `off_by`."""
    return 2 * value - 1


def _summary(told: ConceptChange, standing: list[ConceptChange], rise: Cost) -> str:
    where = "over all" if told.where == "all" else f"at scores of {told.where.partition('=')[2]}"
    others = [each.where.partition("=")[2] for each in standing if each is not told and each.where != "all"]
    also = f"; also at {', '.join(others[:3])}" if others else ""
    moved = f"{_off(told.before.value):+.3f} -> {_off(told.after.value):+.3f}"
    return (
        f"labels come true at another rate than the scores say: label minus score {moved} {where}, since about "
        f"{told.since:%Y-%m-%d}{also}; it costs {rise.value:.4f} nats an answer (error {rise.error:.4f})"
    )
