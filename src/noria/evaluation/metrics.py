"""Metrics of a sample by name, with intervals over its blocks. The formulas are stats/metrics and stats/intervals. Used by compare, slices, gates."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.errors import EmptySample, NotFound
from noria.evaluation.sample import Sample
from noria.stats.checks import Floats
from noria.stats.intervals import auc_interval, calibration_interval, mean_interval
from noria.stats.metrics import accuracy, auc, brier, calibration_error, log_loss, row_log_loss

PER_ROW: dict[str, Callable[[Floats, Floats], Floats]] = {
    "log_loss": row_log_loss,
    "brier": lambda y, p: np.asarray((p - y) ** 2),
    "accuracy": lambda y, p: np.asarray(((p >= 0.5) == (y == 1)).astype(np.float64)),
}
"""Metrics that are means over rows: these have exact paired differences."""

KNOWN = (*PER_ROW, "auc", "calibration_error")


def measure(metric: str, sample: Sample, *, level: float = 0.95, of_champion: bool = False) -> Interval:
    """The interval of a metric. Raises NotFound for an unknown metric, EmptySample when it cannot be computed on these rows."""
    scores = sample.champion_p if of_champion else sample.p
    if scores is None:
        raise EmptySample("there is no champion to measure")
    y, p = sample.labels, np.asarray(scores, dtype=np.float64)
    if metric in PER_ROW:
        return mean_interval(PER_ROW[metric](y, p), sample.block, level=level)
    if metric == "auc":
        return auc_interval(y, p, sample.block, level=level)
    if metric == "calibration_error":
        return calibration_interval(y, p, sample.block, level=level)
    raise NotFound.of("metric", metric, list(KNOWN))


def summary(y: ArrayLike, p: ArrayLike) -> dict[str, float]:
    """Point values of all metrics, as a run records them; `auc` is left out where only one class occurs. Raises EmptySample, InputInvalid.

    >>> sorted(summary([0, 1], [0.2, 0.7]))
    ['accuracy', 'auc', 'brier', 'calibration_error', 'log_loss', 'positive_share', 'rows']
    """
    labels = np.asarray(y, dtype=np.float64)
    found = {
        "log_loss": log_loss(y, p),
        "brier": brier(y, p),
        "accuracy": accuracy(y, p),
        "calibration_error": calibration_error(y, p),
        "positive_share": float(labels.mean()),
        "rows": float(labels.size),
    }
    if 0 < labels.sum() < labels.size:
        found["auc"] = auc(y, p)
    return found
