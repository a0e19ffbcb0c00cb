"""Metrics of binary classifiers on pure arrays: log loss, Brier score, AUC, accuracy, calibration error, and losses row by row.

Their uncertainty is stats/intervals. Called by evaluation/ and monitoring/.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, Ints, scored

CLIP = 1e-6
"""Probabilities are moved into [CLIP, 1 - CLIP] before a logarithm: one sure and wrong answer costs at most 13.8 nats, not infinity."""


def row_log_loss(y: ArrayLike, p: ArrayLike, *, clip: float = CLIP) -> Floats:
    """Log loss of every row, in nats. y in {0, 1}, p in [0, 1], both of shape (n,); no rows have no losses. Raises InputInvalid.

    >>> row_log_loss([1, 0], [0.5, 0.5]).round(4).tolist()
    [0.6931, 0.6931]
    """
    labels, scores = scored(y, p, empty=True)
    kept = np.clip(scores, clip, 1 - clip)
    return np.asarray(-np.where(labels == 1, np.log(kept), np.log1p(-kept)))


def log_loss(y: ArrayLike, p: ArrayLike, *, clip: float = CLIP) -> float:
    """Mean log loss in nats; lower is better. Raises EmptySample, InputInvalid. Source: Good 1952. Checked against scikit-learn in tests/stats.

    >>> round(log_loss([1, 0, 1], [0.9, 0.2, 0.6]), 4)
    0.2798
    """
    labels, scores = scored(y, p)
    return float(row_log_loss(labels, scores, clip=clip).mean())


def entropy(p: ArrayLike, *, clip: float = CLIP) -> Floats:
    """The log loss that each probability expects of itself: -p ln p - (1-p) ln(1-p), in nats. p in [0, 1], any shape.

    It is the mean log loss of a calibrated model, so `row_log_loss - entropy` has mean 0 exactly when the model keeps its word.

    >>> entropy([0.5, 1.0]).round(3).tolist()
    [0.693, 0.0]
    """
    kept = np.clip(np.asarray(p, dtype=np.float64), clip, 1 - clip)
    return np.asarray(-(kept * np.log(kept) + (1 - kept) * np.log1p(-kept)))


def brier(y: ArrayLike, p: ArrayLike) -> float:
    """Mean squared error of the probabilities, in [0, 1]; lower is better. Source: Brier 1950 (the one-sided form).

    >>> brier([1, 0], [0.8, 0.4])
    0.1
    """
    labels, scores = scored(y, p)
    return float(((scores - labels) ** 2).mean())


def accuracy(y: ArrayLike, p: ArrayLike, *, threshold: float = 0.5) -> float:
    """Share of rows on the right side of the threshold; a score equal to it counts as a positive answer.

    >>> accuracy([1, 0, 1, 0], [0.9, 0.5, 0.4, 0.1])
    0.5
    """
    labels, scores = scored(y, p)
    return float(((scores >= threshold) == (labels == 1)).mean())


def auc(y: ArrayLike, p: ArrayLike) -> float:
    """Chance that a random positive scores above a random negative; a tie counts one half. Any monotone change of p leaves it as it is.

    Raises EmptySample when one class is missing. Source: Hanley and McNeil 1982 (the Mann-Whitney form).

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    positives, negatives = placements(y, p)
    return float(positives.mean() if positives.size <= negatives.size else negatives.mean())


def placements(y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    """For each positive the share of negatives below it, and for each negative the share of positives above it (ties one half).

    Results of shape (positives,) and (negatives,), in row order; the mean of either is the AUC. Raises EmptySample when one class is missing.
    Source: DeLong, DeLong and Clarke-Pearson 1988, equations 3 and 4.
    """
    labels, scores = scored(y, p)
    high, low = scores[labels == 1], scores[labels == 0]
    if high.size == 0 or low.size == 0:
        only = "negatives" if high.size == 0 else "positives"
        raise EmptySample(
            f"the AUC needs both classes, these {labels.size} rows are all {only}", remedy="take a longer window"
        )
    below, above = np.sort(low), np.sort(high)
    positives = (np.searchsorted(below, high, "left") + np.searchsorted(below, high, "right")) / (2 * low.size)
    negatives = 1 - (np.searchsorted(above, low, "left") + np.searchsorted(above, low, "right")) / (2 * high.size)
    return positives, negatives


class CalibrationBins(NamedTuple):
    """Rows grouped by score: how many, what was said on average, and what came true. All of shape (bins,)."""

    rows: Ints
    said: Floats
    happened: Floats


def calibration_bin_of(p: ArrayLike, *, bins: int = 15) -> Ints:
    """The equal-mass bin of each score, shape (n,). Equal scores share a bin, so fewer bins than asked for may be used."""
    if bins < 1:
        raise InputInvalid(f"calibration needs at least one bin, got {bins}")
    scores = np.asarray(p, dtype=np.float64)
    inner = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1])) if bins > 1 else np.empty(0)
    return np.searchsorted(inner, scores, side="left").astype(np.int64)


def calibration_bins(y: ArrayLike, p: ArrayLike, *, bins: int = 15) -> CalibrationBins:
    """The table behind a reliability diagram, empty bins left out.

    >>> calibration_bins([0, 1, 1, 1], [0.2, 0.4, 0.8, 0.9], bins=2).happened.tolist()
    [0.5, 1.0]
    """
    labels, scores = scored(y, p)
    where = calibration_bin_of(scores, bins=bins)
    rows = np.bincount(where)
    kept = rows > 0
    said, happened = np.bincount(where, scores)[kept], np.bincount(where, labels)[kept]
    return CalibrationBins(rows[kept].astype(np.int64), said / rows[kept], happened / rows[kept])


def calibration_error(y: ArrayLike, p: ArrayLike, *, bins: int = 15) -> float:
    """Expected calibration error: mean over rows of |what happened - what was said| in their bin of equal mass. In [0, 1], lower is better.

    It is biased upward: a calibrated model shows about 0.7 sqrt(bins/n) times the spread of the labels, not 0 (see intervals.calibration_interval).
    Source: Naeini, Cooper and Hauskrecht 2015; equal mass: Nguyen and O'Connor 2015.

    >>> round(calibration_error([0, 1, 1, 1], [0.2, 0.4, 0.8, 0.9], bins=2), 4)
    0.175
    """
    table = calibration_bins(y, p, bins=bins)
    return float((table.rows * np.abs(table.happened - table.said)).sum() / table.rows.sum())
