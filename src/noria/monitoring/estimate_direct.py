"""Direct loss estimation: learn what loss answers with such inputs had, and expect it of answers whose labels have not come. For any loss.

Estimates from probabilities alone, which need fewer labels, are estimate.py's. The learner is stats/boosting. Called by quality_history.py.

Source: the idea as in NannyML's DLE (a second model that predicts the loss of the first).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.domain.quality import Estimate
from noria.errors import EmptySample
from noria.stats.boosting import Booster, learn_mean
from noria.stats.checks import Floats, Ints, vector
from noria.stats.intervals import clustered_interval
from noria.stats.quantiles import normal_quantile

ASSUMPTION = (
    "assumes that answers with such inputs err as those did that have labels: inputs may drift to what was seen before, not beyond it, and what "
    "follows from them may not change (no concept drift)"
)
LEVEL = 0.95
HELD_BACK = 0.3
SMALLEST = 300


@dataclass(frozen=True, eq=False, kw_only=True)
class LossModel:
    """What was learnt of a loss. shift: mean of what the newest labelled rows had beyond it; error: its standard error, days counted as independent;
    held: those rows. rows: labelled rows in all.
    """

    booster: Booster
    shift: float
    error: float
    held: int
    rows: int


def learn_loss(losses: ArrayLike, features: Mapping[str, Any], *, blocks: Ints | None = None) -> LossModel:
    """Learn a loss from inputs, on labelled rows in the order of time; the newest 30 % say how good it is. Raises EmptySample below 300 rows.

    losses: shape (n,), any unit. features: name -> n values, numbers or texts; put the answer itself among them. blocks: day of each row.
    """
    values = vector(losses, "losses", empty=True)
    if values.size < SMALLEST:
        raise EmptySample(
            f"{values.size} labelled answers are too few to learn their loss", remedy=f"wait for {SMALLEST}"
        )
    cut = int(values.size * (1 - HELD_BACK))
    booster = learn_mean({name: column[:cut] for name, column in features.items()}, values[:cut])
    left = values[cut:] - booster({name: column[cut:] for name, column in features.items()})
    try:
        found = clustered_interval(0.0, left - left.mean(), None if blocks is None else blocks[cut:])
    except EmptySample:
        found = clustered_interval(0.0, left - left.mean(), None)
    error = found.high / normal_quantile((1 + LEVEL) / 2)
    return LossModel(booster=booster, shift=float(left.mean()), error=error, held=left.size, rows=values.size)


def estimate_loss(model: LossModel, features: Mapping[str, Any], *, extra: float = 0.0) -> Interval:
    """Expected mean loss of answers with these inputs, with a 95 % interval for what will be realised. extra: a standard deviation to add."""
    told = model.booster(features)
    if not told.size:
        raise EmptySample("no answers to estimate from")
    value = float(told.mean()) + model.shift
    reach = normal_quantile((1 + LEVEL) / 2) * sqrt(model.error**2 * (1 + model.held / told.size) + extra**2)
    return Interval(
        value=max(0.0, value),
        low=max(0.0, value - reach),
        high=max(0.0, value + reach),
        n=told.size,
        level=LEVEL,
        method=f"{len(model.booster.trees)} trees over {len(model.booster.columns)} columns, days of {model.held} newer rows",
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class ErrorModel:
    """What was learnt of the errors of quantities: their absolute value and their square."""

    absolute: LossModel
    square: LossModel


def learn_errors(error: ArrayLike, features: Mapping[str, Any], *, blocks: Ints | None = None) -> ErrorModel:
    """Learn |error| and error^2 of quantities from inputs. Arguments and errors as `learn_loss`."""
    values: Floats = vector(error, "error", empty=True)
    return ErrorModel(
        absolute=learn_loss(np.abs(values), features, blocks=blocks),
        square=learn_loss(values**2, features, blocks=blocks),
    )


def estimate_errors(
    model: ErrorModel, features: Mapping[str, Any], *, extra: Mapping[str, float] | None = None
) -> Estimate:
    """Expected mean absolute and root mean squared error of answers without labels. extra: standard deviations to add, by metric."""
    added = {name: sd for name, sd in (extra or {}).items() if sd > 0 and name in ("mae", "rmse")}
    mae = estimate_loss(model.absolute, features, extra=added.get("mae", 0.0))
    plain = estimate_loss(model.square, features)
    spread = 2 * sqrt(plain.value) * added.get("rmse", 0.0)
    square = estimate_loss(model.square, features, extra=spread)
    rmse = Interval(
        value=sqrt(square.value),
        low=sqrt(square.low),
        high=sqrt(square.high),
        n=square.n,
        level=LEVEL,
        method=square.method,
    )
    return Estimate(
        method="direct loss estimation",
        assumption=ASSUMPTION,
        rows=mae.n,
        learnt_from=model.absolute.rows,
        metrics={"mae": mae, "rmse": rmse},
        widened=added,
    )
