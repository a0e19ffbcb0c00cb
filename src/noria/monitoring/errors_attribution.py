"""How much of the differences between losses the inputs tell: each by itself, and all together. Pure: arrays in, nouns out.

Learnt on one half of the days, judged on the other. Called by monitoring/errors.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.monitoring.slices import halve
from noria.monitoring.slices_axis import axes_of
from noria.stats.additive import fit_additive, sums_of
from noria.stats.intervals import clustered_interval

SMOOTHING = 20.0
"""Rows of the overall mean that are mixed into the mean of each bin."""


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the differences between losses one column tells.

    explained: share of their variance, on rows that were not used to learn it; below 0 is noise. sure: beyond doubt, all columns together.
    worst: where its losses are highest, with the mean there.
    """

    column: str
    explained: Interval
    sure: bool
    worst: str
    worst_mean: float


def attribute(
    columns: Mapping[str, ArrayLike],
    losses: ArrayLike,
    *,
    blocks: ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Attribution, ...]:
    """How much of the differences between losses each column tells by itself, most first.

    Mean losses by bin are learnt on one half of the rows; on the other half the squared error of guessing by them is compared with guessing the
    overall mean. Columns that go together share what they tell. Raises EmptySample for one block only.
    """
    loss = np.asarray(losses, dtype=np.float64)
    halves = halve(loss.size, blocks, seed=seed)
    learn, judge = halves.search, ~halves.search
    days = None if halves.blocks is None else halves.blocks[judge]
    mean = float(loss[learn].mean())
    plain = (loss[judge] - mean) ** 2
    if not plain.any():
        return ()
    axes = axes_of({name: np.asarray(values)[learn] for name, values in columns.items()}, bins=10)
    each = 1 - (1 - level) / max(len(axes), 1)
    found = []
    for axis in axes:
        codes = axis.codes(columns[axis.name])
        rows = np.bincount(codes[learn], minlength=axis.bins)
        sums = np.bincount(codes[learn], loss[learn], minlength=axis.bins)
        guess = (sums + SMOOTHING * mean) / (rows + SMOOTHING)
        gain = (plain - (loss[judge] - guess[codes[judge]]) ** 2) / plain.mean()
        value = float(gain.mean())
        worst = int(np.argmax(np.where(rows > 0, guess, -np.inf)))
        explained = clustered_interval(value, gain - value, days, level=each)
        found.append(
            Attribution(
                column=axis.name,
                explained=explained,
                sure=explained.low > 0,
                worst=str(axis.condition(worst, worst)),
                worst_mean=float(sums[worst] / max(rows[worst], 1)),
            )
        )
    return tuple(sorted(found, key=lambda a: (-a.explained.value, a.column)))


def told_together(
    columns: Mapping[str, ArrayLike], losses: ArrayLike, *, blocks: ArrayLike | None = None, seed: int = 0
) -> Interval | None:
    """How much of the differences between losses all columns tell together: an additive model learnt on one half, judged on the other.

    None where the losses do not differ or no column takes two values.
    """
    loss = np.asarray(losses, dtype=np.float64)
    halves = halve(loss.size, blocks, seed=seed)
    learn, judge = halves.search, ~halves.search
    axes = axes_of({name: np.asarray(values)[learn] for name, values in columns.items()}, bins=10)
    plain = (loss[judge] - loss[learn].mean()) ** 2
    if not axes or not plain.any():
        return None
    codes = np.stack([axis.codes(columns[axis.name]) for axis in axes], axis=1)
    model = fit_additive(sums_of(codes[learn], [axis.bins for axis in axes], loss[learn])[0])
    gain = (plain - (loss[judge] - model.predict(codes[judge])) ** 2) / plain.mean()
    value = float(gain.mean())
    return clustered_interval(value, gain - value, None if halves.blocks is None else halves.blocks[judge])
