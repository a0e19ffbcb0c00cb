"""What one arm is worth against another when each request was sent to one of them at random, with shares that may have moved meanwhile.

Limits of the mean of these scores are anytime.py. Called by serving/ and loop/stages.
"""

import numpy as np
from numpy.typing import ArrayLike

from noria.errors import InputInvalid
from noria.stats.checks import Floats, block_codes, vector


def difference_scores(losses: ArrayLike, challenger: ArrayLike, *, chance: ArrayLike, units: ArrayLike) -> Floats:
    """One score for each unit that was sent to an arm as a whole; their mean is the loss of the challenger minus the champion's. Shape (units,).

    losses: shape (n,), of rows in the order of time. challenger: shape (n,), whether the challenger answered the row. chance: shape (n,), with which
    the row had fallen to the arm that it fell to, in (0, 1], as it was at that moment. units: shape (n,), the request (or the caller that sticks to
    its arm); rows of one unit are summed. Each row is weighted by one over its chance, so shares may have followed a schedule or the evidence
    itself, and what rows usually lose is taken off before, so what moves both arms alike (a bad day) cancels. Raises InputInvalid.
    Source: Horvitz and Thompson 1952; Robins, Rotnitzky and Zhao 1994 for the part that is taken off (here the mean of all rows before).

    >>> difference_scores([1.0, 0.0, 1.0, 0.0], [True, False, True, False], chance=[0.5] * 4, units=[1, 2, 3, 4]).round(2).tolist()
    [2.0, 2.0, 1.0, 1.33]
    """
    values, chances = vector(losses, "losses", empty=True), vector(chance, "chance", empty=True)
    answered = np.asarray(challenger, dtype=bool)
    codes, count = block_codes(units, values.size)
    if not values.shape == chances.shape == answered.shape:
        raise InputInvalid(f"{values.size} losses need as many arms and chances as there are")
    if ((chances <= 0) | (chances > 1)).any():
        raise InputInvalid("the chance of an answer lies above 0 and not above 1", cause=f"{chances.min():g} was given")
    if not values.size:
        return np.zeros(0)
    order = np.full(count, values.size)
    np.minimum.at(order, codes, np.arange(values.size))
    # What rows lost before the unit's first: known when its arm was drawn, so whatever it is, the mean of the scores stays the difference.
    before = np.concatenate([[0.0], np.cumsum(values)[:-1] / np.arange(1, values.size)])[order[codes]]
    scores = np.where(answered, 1.0, -1.0) * (values - before) / chances
    summed = np.bincount(codes, weights=scores, minlength=count) / (values.size / count)
    return np.asarray(summed[np.argsort(order, kind="stable")])


def mixed_mean(losses: ArrayLike, *, chance: ArrayLike) -> tuple[float, float]:
    """Mean loss of one arm over all rows, those that others answered included, and its standard error: rows count by one over their chance.

    Source: Hájek 1971 (the weights are made to sum to 1). Raises EmptySample for fewer than two rows, InputInvalid.

    >>> mixed_mean([0.0, 1.0, 1.0], chance=[0.5, 0.25, 0.25])[0]
    0.8
    """
    values, chances = vector(losses, "losses"), vector(chance, "chance")
    if values.shape != chances.shape or (chances <= 0).any():
        raise InputInvalid("each loss needs the chance, above 0, with which its arm was drawn")
    weights = 1 / chances
    mean = float((weights * values).sum() / weights.sum())
    return mean, float((weights**2 * (values - mean) ** 2).sum() ** 0.5 / weights.sum())
