"""Which inputs a model leans on: permutation importance, for any model that answers columns. Called by the evaluate step; shown on model cards.

Source: Breiman 2001 (section 10); model-agnostic form: Fisher, Rudin and Dominici 2019. Correlated inputs share their importance.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.errors import InputInvalid, NotFound
from noria.evaluation.metrics import PER_ROW
from noria.stats.metrics import auc

Columns = Mapping[str, NDArray[Any]]


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse the metric becomes when one input is shuffled (mean over repeats; 0 or below: not needed), and its spread."""

    feature: str
    worsening: float
    spread: float


def permutation_importance(
    predict: Callable[[Columns], ArrayLike],
    columns: Columns,
    y: ArrayLike,
    *,
    metric: str = "log_loss",
    repeats: int = 3,
    seed: int = 0,
) -> tuple[Importance, ...]:
    """Importance of every column, most important first. predict: columns -> probabilities, shape (n,). Deterministic for a seed.

    Cost: (columns * repeats + 1) predictions of n rows. Raises InputInvalid, NotFound for a metric other than 'auc' and the means over rows.
    """
    if repeats < 1:
        raise InputInvalid(f"at least one repeat is needed, got {repeats}")
    labels = np.asarray(y, dtype=np.float64)
    base = _loss(metric, labels, predict(columns))
    generator = np.random.default_rng(seed)
    found = []
    for name in columns:
        worse = []
        for _ in range(repeats):
            shuffled = {**columns, name: np.asarray(columns[name])[generator.permutation(labels.size)]}
            worse.append(_loss(metric, labels, predict(shuffled)) - base)
        found.append(Importance(feature=name, worsening=float(np.mean(worse)), spread=float(np.std(worse))))
    return tuple(sorted(found, key=lambda i: (-i.worsening, i.feature)))


def _loss(metric: str, y: NDArray[np.float64], p: ArrayLike) -> float:
    scores = np.asarray(p, dtype=np.float64)
    if metric == "auc":
        return -auc(y, scores)
    if metric not in PER_ROW:
        raise NotFound.of("metric", metric, [*PER_ROW, "auc"])
    value = float(PER_ROW[metric](y, scores).mean())
    return -value if metric == "accuracy" else value
