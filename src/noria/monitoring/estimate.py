"""What a model's quality probably is before labels arrive, from its own probabilities. Replaced by monitoring/quality as soon as labels join.

Called by loop/stages and shown beside the realised numbers.

Source: confidence-based estimation, Garg et al. 2022 (average thresholded confidence) and the expected confusion matrix of the NannyML papers.
"""

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.errors import EmptySample
from noria.stats.intervals import mean_interval
from noria.stats.metrics import entropy

ASSUMPTION = (
    "assumes that the scores are as well calibrated now as on the hold-out: inputs may drift, what they mean may not"
)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Expected quality of unlabelled answers. log_loss: in nats; auc: None when all scores are equal; assumption: shown wherever the numbers are."""

    log_loss: Interval
    auc: float | None
    positive_share: float
    assumption: str = ASSUMPTION


def estimate(scores: ArrayLike, blocks: ArrayLike | None = None, *, excess: float = 0.0) -> Estimate:
    """Expected log loss (mean entropy plus the hold-out's known `excess`) and AUC of answers with these probabilities.

    scores: shape (n,) in [0, 1]; blocks: day of each row. Nothing here can see concept drift. Raises EmptySample for no rows or one block.

    >>> round(estimate([0.5, 0.5, 0.9, 0.1]).log_loss.value, 4)
    0.5091
    """
    p = np.asarray(scores, dtype=np.float64)
    if p.size == 0:
        raise EmptySample("no answers to estimate from")
    found = mean_interval(entropy(p), blocks)
    return Estimate(
        log_loss=Interval(
            value=found.value + excess,
            low=found.low + excess,
            high=found.high + excess,
            n=found.n,
            level=found.level,
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
    p = np.sort(np.asarray(scores, dtype=np.float64))
    if p.size == 0 or p[0] == p[-1]:
        return None
    values, first = np.unique(p, return_index=True)
    positive = np.add.reduceat(p, first)
    negative = np.add.reduceat(1 - p, first)
    below = np.cumsum(negative) - negative
    pairs = float(positive.sum() * negative.sum())
    return float((positive * (below + negative / 2)).sum() / pairs) if pairs > 0 and values.size > 1 else None
