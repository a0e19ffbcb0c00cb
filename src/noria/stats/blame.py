"""Which features to blame for a drift: e-values of each, and e-BH, which keeps the share of wrong names small under any dependence.

The capital they come from is sequential.py. Called by monitoring/drift_report.

Source: Wang and Ramdas 2022, "False discovery rate control with e-values"; weights: section 5 there.
"""

from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.errors import InputInvalid
from noria.stats.checks import Floats
from noria.stats.sequential import Panel, State, feature_capital


def log_e_values(bets: Panel, state: State) -> Floats:
    """Log of each feature's e-value: its capital over the number of steps (the mean over possible starts of the drift). Shape (features,).

    At a fixed step its expectation is at most 1 for a feature within its margin; at the moment of an alarm it is a guide, not a guarantee.
    """
    return np.asarray(feature_capital(bets, state) - log(max(state.steps, 1)))


def e_benjamini_hochberg(
    log_values: ArrayLike, *, level: float = 0.05, weights: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Which of K hypotheses to reject so that at most a share `level` of the rejected are false on average, under any dependence.

    log_values: natural logs of e-values, shape (K,). weights: how much each matters, fixed before the data (their mean is made 1): a weight
    of 2 halves what it takes. Rejects the k largest for the largest k with k-th weighted e-value >= K / (k level). Raises InputInvalid.

    >>> e_benjamini_hochberg([9.0, 0.0, 8.0]).tolist()
    [True, False, True]
    """
    values = np.asarray(log_values, dtype=np.float64)
    if weights is not None:
        given = np.asarray(weights, dtype=np.float64)
        if given.shape != values.shape or (given < 0).any() or given.sum() <= 0:
            raise InputInvalid("weights must be one non-negative number a hypothesis, not all 0")
        with np.errstate(divide="ignore"):
            values = values + np.log(given * given.size / given.sum())
    order = np.argsort(-values, kind="stable")
    ranks = np.arange(1, values.size + 1)
    passed = np.flatnonzero(values[order] >= np.log(values.size / (ranks * level)))
    rejected = np.zeros(values.size, dtype=bool)
    if passed.size:
        rejected[order[: passed[-1] + 1]] = True
    return rejected


def blamed_features(bets: Panel, state: State, *, level: float = 0.05) -> NDArray[np.bool_]:
    """The features to name, those that matter more to the model by less evidence. Shape (features,)."""
    return e_benjamini_hochberg(log_e_values(bets, state), level=level, weights=bets.weights)
