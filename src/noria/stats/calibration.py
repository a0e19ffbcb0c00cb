"""Make probabilities honest: a map from what a model says to how often it happens, and a temperature for several classes. Fitted on labelled rows.

How far scores are from honest is stats/metrics; what is estimated with honest scores is monitoring/estimate. Called by monitoring/estimate.

Sources: Platt 1999 (on the log odds); Zadrozny and Elkan 2002 (isotonic); Guo et al. 2017 (temperature).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, scored
from noria.stats.metrics import CLIP, row_log_loss

BINS = 100
SMALLEST_BIN = 20
STEPS = 30


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rising map of scores. kind: 'as they are', 'platt' or 'isotonic'. knots: shape (k, 2), score and share, for 'isotonic'."""

    kind: str
    slope: float = 1.0
    shift: float = 0.0
    knots: Floats | None = None

    def __call__(self, scores: ArrayLike) -> Floats:
        """Honest probabilities, the shape of the scores, within [CLIP, 1 - CLIP]."""
        p = np.clip(np.asarray(scores, dtype=np.float64), CLIP, 1 - CLIP)
        if self.kind == "platt":
            p = 1 / (1 + np.exp(-(self.slope * _logit(p) + self.shift)))
        elif self.kind == "isotonic" and self.knots is not None:
            p = np.interp(p, self.knots[:, 0], self.knots[:, 1])
        return np.asarray(np.clip(p, CLIP, 1 - CLIP))


AS_THEY_ARE = Calibration("as they are")


def calibrate(y: ArrayLike, p: ArrayLike, *, held_back: float = 0.3) -> Calibration:
    """The map, of three kinds, that is best on the newest rows when fitted on the older ones; fitted again on all rows.

    y: shape (n,), 0 and 1; p: shape (n,), scores; both in the order of time. Few rows, or one class only: the scores as they are.
    Raises EmptySample, InputInvalid.

    >>> half = calibrate([0, 1] * 500, [0.2, 0.2, 0.8, 0.8] * 250)
    >>> half([0.2, 0.8]).round(1).tolist()
    [0.5, 0.5]
    """
    labels, scores = scored(y, p)
    cut = int(labels.size * (1 - held_back))
    old, new = (labels[:cut], scores[:cut]), (labels[cut:], scores[cut:])
    if cut < 2 * SMALLEST_BIN or old[0].min() == old[0].max():
        return AS_THEY_ARE
    ways = {"as they are": lambda _y, _p: AS_THEY_ARE, "platt": platt, "isotonic": isotonic}
    losses = {name: float(row_log_loss(new[0], fit(*old)(new[1])).mean()) for name, fit in ways.items()}
    best = min(losses, key=lambda name: losses[name])
    return ways[best](labels, scores)


def platt(y: ArrayLike, p: ArrayLike) -> Calibration:
    """Logistic regression of y on the log odds of p, by Newton's method, drawn a little towards slope 1 and shift 0 (one row's worth)."""
    labels, scores = scored(y, p)
    x = _logit(np.clip(scores, CLIP, 1 - CLIP))
    weights = np.array([1.0, 0.0])
    design = np.stack([x, np.ones_like(x)], axis=1)
    for _ in range(STEPS):
        q = 1 / (1 + np.exp(-(design @ weights)))
        pull = design.T @ (labels - q) - (weights - [1.0, 0.0])
        curve = (design * (q * (1 - q))[:, None]).T @ design + np.eye(2)
        move = np.linalg.solve(curve, pull)
        weights = weights + np.clip(move, -2.0, 2.0)
        if float(np.abs(move).max()) < 1e-9:
            break
    if weights[0] <= 0:
        return AS_THEY_ARE
    return Calibration("platt", slope=float(weights[0]), shift=float(weights[1]))


def isotonic(y: ArrayLike, p: ArrayLike) -> Calibration:
    """The best rising step function of the score, by pooling neighbours that fall (Ayer et al. 1955) of bins of equal mass, joined by lines."""
    labels, scores = scored(y, p)
    order = np.argsort(scores, kind="stable")
    bins = max(1, min(BINS, labels.size // SMALLEST_BIN))
    where = np.minimum(np.arange(labels.size) * bins // labels.size, bins - 1)
    first = np.searchsorted(scores[order], scores[order], side="left")
    where = where[first]  # equal scores share a bin
    rows = np.bincount(where, minlength=bins)
    said = np.bincount(where, scores[order], minlength=bins)
    happened = np.bincount(where, labels[order], minlength=bins)
    pools: list[tuple[float, float, float, float]] = []  # rows, positives, mean score of the first bin and of the last
    for n, s, h in zip(rows, said, happened, strict=True):
        if not n:
            continue
        pools.append((float(n), float(h), float(s / n), float(s / n)))
        while len(pools) > 1 and pools[-2][1] / pools[-2][0] >= pools[-1][1] / pools[-1][0]:
            m, more, _, last = pools.pop()
            k, some, begin, _ = pools[-1]
            pools[-1] = (k + m, some + more, begin, last)
    knots = np.array([[at, (h + 0.5) / (n + 1)] for n, h, low, high in pools for at in (low, high)])
    return Calibration("isotonic", knots=np.maximum.accumulate(knots, axis=0))


def temperature(y: ArrayLike, probabilities: ArrayLike) -> float:
    """The temperature T for which softmax(log p / T) has the least log loss; above 1 the model was too sure. y: numbers of classes, shape (n,).

    probabilities: shape (n, classes). Golden section on log T in [-3, 3]. Raises EmptySample, InputInvalid.

    >>> round(temperature([0, 1, 0, 1], [[0.99, 0.01]] * 4), 1) > 5
    True
    """
    p = np.asarray(probabilities, dtype=np.float64)
    numbers = np.asarray(y).astype(np.int64)
    if p.ndim != 2 or numbers.shape != (p.shape[0],):
        raise InputInvalid(f"{numbers.shape} labels and probabilities of shape {p.shape} do not belong together")
    if not numbers.size:
        raise EmptySample("no labelled row to fit a temperature to")
    logs = np.log(np.clip(p, CLIP, 1.0))

    def loss(power: float) -> float:
        scaled = logs / np.exp(power)
        peak = scaled.max(axis=1)
        total = peak + np.log(np.exp(scaled - peak[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(numbers.size), numbers]).mean())

    low, high, ratio = -3.0, 3.0, (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2))


def tempered(probabilities: ArrayLike, temperature: float) -> Floats:
    """softmax(log p / T), rows summing to 1. Shape (n, classes)."""
    logs = np.log(np.clip(np.asarray(probabilities, dtype=np.float64), CLIP, 1.0)) / temperature
    risen = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(risen / risen.sum(axis=1, keepdims=True))


def _logit(p: Floats) -> Floats:
    return np.asarray(np.log(p) - np.log1p(-p))
