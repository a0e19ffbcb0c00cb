"""Quality of answers before their labels come, from the model's own probabilities made honest on labelled rows. Called by quality_history.py.

Losses of any kind are estimated from the inputs by estimate_direct.py; how estimates turned out is quality_history.py's.

Sources: confidence-based estimation: Garg et al. 2022 (average thresholded confidence), and the expected confusion matrix as in NannyML's CBPE. What
is ours: every metric's error is written as sum of (label - honest score) x weight, so one interval serves all, by days of the labelled rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.domain.quality import Estimate
from noria.errors import EmptySample, InputInvalid
from noria.stats.calibration import AS_THEY_ARE, Calibration, calibrate, temperature, tempered
from noria.stats.checks import Floats, Ints, scored, vector
from noria.stats.intervals import clustered_interval, mean_interval
from noria.stats.metrics import CLIP, entropy
from noria.stats.quantiles import normal_quantile

ASSUMPTION = (
    "assumes that the scores mean now what they meant on the labelled rows: inputs may drift, what follows from them may not "
    "(no concept drift)"
)
OWN_WORD = (
    "assumes that the scores are as well calibrated now as on the hold-out: inputs may drift, what they mean may not"
)
LEVEL = 0.95
SMALLEST = 200
"""So many labelled rows are needed before scores are corrected by them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Honest:
    """Scores of one version made honest, and how far off they still are. rows: labelled rows behind it.

    error: by metric, standard deviation of (realised - expected) for a window of as many rows as were learnt from, days counted as independent.
    """

    calibration: Calibration
    temperature: float
    rows: int
    error: Mapping[str, float]


UNLEARNT = Honest(calibration=AS_THEY_ARE, temperature=1.0, rows=0, error={})
"""Before the first label: the scores are taken at their word."""


def learn_honesty(y: ArrayLike, p: ArrayLike, *, blocks: Ints | None = None, threshold: float = 0.5) -> Honest:
    """Fit the map from scores to shares on labelled rows in the order of time. y: shape (n,), 0/1; p: shape (n,); blocks: day of each row.

    Fewer than 200 rows: the scores as they are, and intervals from the scores' own noise. Raises EmptySample, InputInvalid.
    """
    labels, scores = scored(y, p)
    few = labels.size < SMALLEST
    honest = AS_THEY_ARE if few else calibrate(labels, scores)
    left = labels - honest(scores)
    error = {
        name: _error(left * weight, blocks)
        for name, (_, weight) in _expected(scores, honest(scores), threshold).items()
    }
    return Honest(calibration=honest, temperature=1.0, rows=labels.size, error=error)


def estimate_binary(
    scores: ArrayLike, honest: Honest, *, threshold: float = 0.5, extra: Mapping[str, float] | None = None
) -> Estimate:
    """Expected quality of answers without labels, each metric with a 95 % interval for what will be realised.

    scores: shape (n,) in [0, 1]. extra: by metric, a standard deviation to add, learnt from how earlier estimates turned out. Raises EmptySample.

    >>> learnt = learn_honesty([0, 1] * 500, [0.25, 0.75] * 500)
    >>> told = estimate_binary([0.25, 0.75] * 50, learnt)
    >>> told.metrics["accuracy"].low < 1.0 <= told.metrics["accuracy"].value + 0.01
    True
    """
    p = _probabilities(scores)
    c = honest.calibration(p)
    found = {}
    for name, (value, weight) in _expected(p, c, threshold).items():
        noise = float((c * (1 - c) * weight**2).sum()) / p.size**2
        found[name] = (value, sqrt(_variance(honest, name, rows=p.size, noise=noise)))
    kind = honest.calibration.kind
    return _told(
        "confidence of the scores" + ("" if kind == "as they are" else f", corrected ({kind})"),
        found,
        honest,
        p.size,
        extra,
    )


def learn_temperature(y: ArrayLike, probabilities: ArrayLike, *, blocks: Ints | None = None) -> Honest:
    """As `learn_honesty` for several classes. y: numbers of classes, shape (n,); probabilities: shape (n, classes)."""
    p = _rows(probabilities)
    numbers = np.asarray(y).astype(np.int64)
    heat = temperature(numbers, p) if numbers.size >= SMALLEST else 1.0
    q = tempered(p, heat)
    each = np.arange(numbers.size)
    error = {
        "accuracy": _error((p.argmax(axis=1) == numbers) - q[each, p.argmax(axis=1)], blocks),
        "log_loss": _error(-np.log(np.clip(p[each, numbers], CLIP, 1)) - _class_loss(p, q), blocks),
    }
    return Honest(calibration=AS_THEY_ARE, temperature=heat, rows=numbers.size, error=error)


def estimate_classes(probabilities: ArrayLike, honest: Honest, *, extra: Mapping[str, float] | None = None) -> Estimate:
    """As `estimate_binary` for several classes: accuracy and log loss. probabilities: shape (n, classes)."""
    p = _rows(probabilities)
    q = tempered(p, honest.temperature)
    top = q[np.arange(p.shape[0]), p.argmax(axis=1)]
    loss = _class_loss(p, q)
    spread = (q * np.log(np.clip(p, CLIP, 1)) ** 2).sum(axis=1) - loss**2
    noise = {"accuracy": float((top * (1 - top)).mean()), "log_loss": max(float(spread.mean()), 0.0)}
    found = {
        name: (value, sqrt(_variance(honest, name, rows=top.size, noise=noise[name] / top.size)))
        for name, value in (("accuracy", float(top.mean())), ("log_loss", float(loss.mean())))
    }
    method = f"confidence of the classes, temperature {honest.temperature:.2f}"
    return _told(method, found, honest, top.size, extra)


class OwnWord(msgspec.Struct, frozen=True, kw_only=True):
    """What scores expect of themselves. log_loss: in nats; auc: None when all scores are equal; assumption: shown wherever the numbers are."""

    log_loss: Interval
    auc: float | None
    positive_share: float
    assumption: str = OWN_WORD


def estimate(scores: ArrayLike, blocks: ArrayLike | None = None, *, excess: float = 0.0) -> OwnWord:
    """Expected log loss (mean entropy plus a known `excess`) and AUC of answers, taken at their word: for one look without labelled rows.

    scores: shape (n,) in [0, 1]; blocks: day of each row. Raises EmptySample for no rows or one block.

    >>> round(estimate([0.5, 0.5, 0.9, 0.1]).log_loss.value, 4)
    0.5091
    """
    p = _probabilities(scores)
    found = mean_interval(entropy(p), blocks)
    return OwnWord(
        log_loss=msgspec.structs.replace(
            found,
            value=found.value + excess,
            low=found.low + excess,
            high=found.high + excess,
            method=f"entropy of the scores; {found.method}",
        ),
        auc=expected_auc(p),
        positive_share=float(p.mean()),
    )


def expected_auc(scores: ArrayLike) -> float | None:
    """AUC that calibrated scores expect of themselves: every row counts as a positive with its score and as a negative with the rest.

    >>> expected_auc([0.0, 1.0])
    1.0
    """
    p = np.asarray(scores, dtype=np.float64)
    found = _auc(p, p)
    return None if found is None else found[0]


def _auc(p: Floats, c: Floats) -> tuple[float, Floats] | None:
    """Expected AUC of scores p when positives come with chances c, and how much (label - c) of each row moves it."""
    values, first, place = np.unique(p, return_index=True, return_inverse=True)
    positive, negative = np.bincount(place, c), np.bincount(place, 1 - c)
    share, pairs = positive.sum() / p.size, float(positive.sum() * negative.sum())
    if values.size < 2 or pairs <= 0 or first.size < 2:
        return None
    below = np.cumsum(negative) - negative / 2
    above = positive.sum() - np.cumsum(positive) + positive / 2
    auc = float((positive * below).sum() / pairs)
    if_positive = (below / negative.sum() - auc) / share
    if_negative = (above / positive.sum() - auc) / (1 - share)
    return auc, (if_positive - if_negative)[place]


def _expected(p: Floats, c: Floats, threshold: float) -> dict[str, tuple[float, Floats]]:
    """Each metric's expected value, and the weight w of each row: realised - expected is nearly the mean of (label - c) w."""
    said = (p >= threshold).astype(np.float64)
    clipped = np.clip(p, CLIP, 1 - CLIP)
    loss = -(c * np.log(clipped) + (1 - c) * np.log1p(-clipped))
    found: dict[str, tuple[float, Floats]] = {
        "log_loss": (float(loss.mean()), np.log1p(-clipped) - np.log(clipped)),
        "excess": (float((loss - entropy(p)).mean()), np.log1p(-clipped) - np.log(clipped)),
        "brier": (float((c * (1 - p) ** 2 + (1 - c) * p**2).mean()), 1 - 2 * p),
        "accuracy": (float((said * c + (1 - said) * (1 - c)).mean()), 2 * said - 1),
        "bias": (float((c - p).mean()), np.ones_like(p)),
    }
    hits, positives, answered = float((said * c).sum()), float(c.sum()), float(said.sum())
    n = p.size
    if answered:
        found["precision"] = (hits / answered, said * n / answered)
    if positives:
        found["recall"] = (hits / positives, (said - hits / positives) * n / positives)
    if answered + positives:
        f1 = 2 * hits / (answered + positives)
        found["f1"] = (f1, (2 * said - f1) * n / (answered + positives))
    auc = _auc(p, c)
    if auc is not None:
        found["auc"] = auc
    return found


def _error(left: Floats, blocks: Ints | None) -> float:
    """Standard error of the mean of what is left, days counted as independent; as independent rows where there is one day only."""
    try:
        found = clustered_interval(0.0, left - left.mean(), blocks)
    except EmptySample:
        if left.size < 2:
            return float("inf")
        found = clustered_interval(0.0, left - left.mean(), None)
    return found.high / normal_quantile((1 + LEVEL) / 2)


def _variance(honest: Honest, name: str, *, rows: int, noise: float) -> float:
    """Of (realised - expected) in a window of so many rows: what days of the labelled rows showed, scaled to it (at least the scores' own noise), and
    what is not known better than from so many labelled rows.
    """
    error = honest.error.get(name, 0.0)
    if not np.isfinite(error):
        return noise
    return max(noise, error**2 * honest.rows / rows) + error**2


def _told(
    method: str, found: Mapping[str, tuple[float, float]], honest: Honest, rows: int, extra: Mapping[str, float] | None
) -> Estimate:
    added = {name: sd for name, sd in (extra or {}).items() if sd > 0 and name in found}
    z = normal_quantile((1 + LEVEL) / 2)
    metrics = {}
    for name, (value, error) in found.items():
        reach = z * sqrt(error**2 + added.get(name, 0.0) ** 2)
        low, high = LIMITS.get(name, (-np.inf, np.inf))
        metrics[name] = Interval(
            value=value,
            low=max(low, value - reach),
            high=min(high, value + reach),
            n=rows,
            level=LEVEL,
            method=f"{method}; days of {honest.rows} labelled rows",
        )
    return Estimate(
        method=method, assumption=ASSUMPTION, rows=rows, learnt_from=honest.rows, metrics=metrics, widened=added
    )


SHARES = ("accuracy", "precision", "recall", "f1", "auc")
LIMITS = dict.fromkeys(SHARES, (0.0, 1.0)) | {"log_loss": (0.0, np.inf), "brier": (0.0, 2.0)}


def _probabilities(scores: ArrayLike) -> Floats:
    p = vector(scores, "scores")
    if (p < 0).any() or (p > 1).any():
        raise InputInvalid("scores must lie in [0, 1]", remedy="hand in probabilities, not margins or log odds")
    return p


def _rows(probabilities: ArrayLike) -> Floats:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not np.isfinite(p).all() or (p < 0).any():
        raise InputInvalid(
            f"probabilities have shape {p.shape}", remedy="hand in one row an answer, one column a class"
        )
    if not p.shape[0]:
        raise EmptySample("no answers to estimate from")
    return p


def _class_loss(p: Floats, q: Floats) -> Floats:
    return np.asarray(-(q * np.log(np.clip(p, CLIP, 1))).sum(axis=1))
