"""Compare challenger and champion on the same rows, pairwise. What follows from a difference is evaluation/gates. Called by gates and slices."""

import numpy as np

from noria.domain.interval import Interval
from noria.errors import EmptySample, InputInvalid, NotFound
from noria.evaluation.metrics import KNOWN, PER_ROW
from noria.evaluation.sample import Sample
from noria.stats.intervals import auc_difference_interval, paired_interval


def difference(metric: str, sample: Sample, *, level: float = 0.95) -> Interval:
    """Interval of challenger minus champion, whole blocks counted as independent.

    Raises EmptySample without a champion or with one block only, InputInvalid for a metric without a paired interval, NotFound for an unknown one.
    """
    if sample.champion_p is None:
        raise EmptySample("there is no champion to compare with")
    y = sample.labels
    challenger, champion = np.asarray(sample.p, dtype=np.float64), np.asarray(sample.champion_p, dtype=np.float64)
    if metric in PER_ROW:
        rows = PER_ROW[metric]
        return paired_interval(rows(y, challenger), rows(y, champion), sample.block, level=level)
    if metric == "auc":
        return auc_difference_interval(y, challenger, champion, blocks=sample.block, level=level)
    if metric in KNOWN:
        raise InputInvalid(
            f"the metric {metric!r} has no paired interval",
            cause="it is not a mean over rows",
            remedy="compare 'log_loss' or 'brier', which contain calibration, or gate on its absolute value",
        )
    raise NotFound.of("metric", metric, list(KNOWN))
