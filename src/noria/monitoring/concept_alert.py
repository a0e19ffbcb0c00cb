"""What a change of the realised loss opens as an alert, with the moment since when the world is another one for a model. Pure.

Finding the change is monitoring/concept; decay against the hold-out is quality.py, which has the first word. Called by loop/stages/watch_concept.
"""

from collections.abc import Mapping
from math import log

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.alert import Severity
from noria.domain.quality import ConceptChange, ConceptReport
from noria.monitoring.alert import Report
from noria.monitoring.alert_drafts import draft
from noria.monitoring.concept import stands
from noria.monitoring.quality import SMALLEST_DECAY, Decay
from noria.stats.checks import Floats
from noria.stats.metrics import entropy, row_log_loss

LEVEL = log(2)
"""The loss above expectation is watched so much higher, for what is watched may not fall below 0."""

HARMLESS = SMALLEST_DECAY / 2
"""A rise in a group that costs the whole less than this much, in nats a row, is information."""

NAMED = 5


def above_expected(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """Loss of each answer above what its score expects of itself, plus LEVEL; shape (n,), >= 0. Labels are 0 and 1, scores chances.

    Given the score, the mean loss is linear in the chance that really holds. So this mean changes with the meaning of the answers, and days that are
    harder for every model, whose scores say so, leave it where it is. Inputs that move to where the model was always too sure change it, too.

    >>> above_expected([1, 0], [0.5, 0.5]).round(3).tolist()
    [0.693, 0.693]
    """
    chance = np.asarray(scores, dtype=np.float64)
    return np.asarray(np.maximum(row_log_loss(labels, chance) - entropy(chance) + LEVEL, 0.0))


def concept_report(
    found: ConceptReport | None,
    decay: Decay,
    *,
    expected_excess: float,
    days: float,
    shares: Mapping[str, float],
    loss_rise: float | None = None,
) -> Report:
    """An alert for changes of the mean of `above_expected` that stand and raise it, or that none does any more.

    Nothing is said of it while decay is in alarm, which tells of the same answers and names the change. expected_excess: that of the hold-out. days:
    between two false alarms, on average. shares: of the labels, by group ('column=value'): a rise in a small group is little harm. loss_rise: by how
    much the loss itself rose with the change of all answers, if it is known: answers that mean something else and got no worse are information.
    """
    if found is None:
        return Report()
    standing = standing_changes(found)
    if not standing:
        return Report(over="labelled answers are as good as before the change again")
    if decay.alarm:
        return Report()
    whole = [each for each in standing if each.where == "all"]
    told = whole[0] if whole else max(standing, key=lambda each: _harm(each, shares))
    return Report(
        alert=draft(
            "concept_drift",
            _severity(told, decay, expected_excess=expected_excess, shares=shares, loss_rise=loss_rise),
            _summary(told, standing, loss_rise),
            evidence=_evidence(told, standing, found, decay)
            | ({} if loss_rise is None or not whole else {"loss_rise": loss_rise}),
            budget=f"at most one false alarm in {days:g} days on average, groups included: {found.budget}",
            causes=[] if whole else list(dict.fromkeys(each.where.partition("=")[0] for each in standing)),
        )
    )


def standing_changes(found: ConceptReport) -> list[ConceptChange]:
    """Changes for the worse that are the last word on their group, the newest last."""
    return [each for each in found.changes if stands(each, found.changes, smallest=SMALLEST_DECAY)]


def _rise(change: ConceptChange) -> float:
    return change.after.value - change.before.value


def _harm(change: ConceptChange, shares: Mapping[str, float]) -> float:
    return _rise(change) * (1.0 if change.where == "all" else shares.get(change.where, 0.0))


def _severity(
    change: ConceptChange,
    decay: Decay,
    *,
    expected_excess: float,
    shares: Mapping[str, float],
    loss_rise: float | None,
) -> Severity:
    """By harm: a page where answers are surely worse than on the hold-out, too; information where the whole is hardly touched, or no worse."""
    is_whole = change.where == "all"
    if decay.better or _harm(change, shares) < HARMLESS or (is_whole and loss_rise is not None and loss_rise <= 0):
        return "info"
    if is_whole and change.after.low - LEVEL > max(0.0, expected_excess) + SMALLEST_DECAY:
        return "page"
    return "warn"


def _summary(told: ConceptChange, standing: list[ConceptChange], loss_rise: float | None) -> str:
    where = (
        "labelled answers" if told.where == "all" else f"labelled answers where {told.where.replace('=', ' is ', 1)}"
    )
    others = [each.where for each in standing if each is not told and each.where != "all"]
    named = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    also = f"; {'most plainly' if told.where == 'all' else 'also'} where {named}" if others else ""
    if told.where == "all" and loss_rise is not None and loss_rise <= 0:
        also += "; the loss itself did not rise"
    return (
        f"{where} mean something else than before: loss beyond expectation {told.before.value - LEVEL:+.4f} -> "
        f"{told.after.value - LEVEL:+.4f} nats [{told.after.low - LEVEL:+.4f}, {told.after.high - LEVEL:+.4f}], "
        f"since about {told.since:%Y-%m-%d}{also}"
    )


def _evidence(
    told: ConceptChange, standing: list[ConceptChange], found: ConceptReport, decay: Decay
) -> dict[str, float | str]:
    evidence: dict[str, float | str] = {
        "log10_evidence": told.evidence,
        "changed_at": told.since.isoformat(),
        "seen_at": told.seen_at.isoformat(),
        "where": told.where,
        "loss_before": told.before.value - LEVEL,
        "loss_after": told.after.value - LEVEL,
        "loss_after_low": told.after.low - LEVEL,
        "labels_since": float(told.labels),
        "labels": float(found.labels),
        "design_effect": found.inflation,
    }
    if decay.recent is not None:
        evidence["recent_excess_loss"] = decay.recent.value
    for each in standing[-NAMED:]:
        evidence[f"rise.{each.where}"] = _rise(each)
    return evidence
