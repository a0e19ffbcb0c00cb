"""What a reference says of each statistic that is watched, padded over features, with what one feature's estimate lacks taken from its kind.

The bets on it are sequential.py, what is learnt of one feature wobble.py. Called by sequential.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noria.domain.profile import FeatureBins, Wobble
from noria.stats.checks import Floats
from noria.stats.wobble import normal_scores, row_variance, watched

MOST = 0.75
"""Estimates of a memory from a few dozen windows scatter widely; three quarters of the features remember no longer than the stream is taken to do."""


@dataclass(frozen=True, eq=False)
class Known:
    """What the reference says of each statistic, padded; shapes as in Panel. error: of its mean, by wobble. rows: that the mean rests on."""

    scores: Floats
    mean: Floats
    variance: Floats
    spread: Floats
    error: Floats
    rows: Floats
    season: list[tuple[int, int, Floats]]

    @classmethod
    def of(cls, features: Sequence[FeatureBins], wobbles: Sequence[Wobble]) -> "Known":
        width = max(len(f.counts) for f in features)
        shape = (len(features), width + 1)
        known = cls(
            scores=np.zeros((len(features), width)),
            mean=np.zeros(shape),
            variance=np.zeros(shape),
            spread=np.zeros(shape),
            error=np.zeros(shape),
            rows=np.ones(shape),
            season=[],
        )
        for i, (feature, wobble) in enumerate(zip(features, wobbles, strict=True)):
            text, counts = feature.kind == "text", np.asarray(feature.counts, dtype=np.float64)
            at, parts = _places(counts.size, width, text=text), len(wobble.season)
            own = np.zeros(counts.size) if text else normal_scores(counts)
            value, held = watched(counts[None], own, text=text)
            known.scores[i, : counts.size] = own
            known.mean[i, at], known.rows[i, at] = value[0], np.maximum(held[0], 1)
            known.variance[i, at] = row_variance(value[0], text=text, scores=own)
            if not text and feature.varies is None:
                known.variance[i, width] = 0.0  # nothing is known of how the place wobbles
            again = 1 + parts / max(wobble.windows, 1)
            known.spread[i, at] = np.square(wobble.spread) * again + known.variance[i, at] * parts / known.rows[i, at]
            known.error[i, at] = np.square(wobble.error)
            if parts:
                usual = np.zeros((parts, width + 1))
                usual[:, at] = np.asarray(wobble.season)
                known.season.append((i, wobble.period_s, usual))
        return known


def shared_memory(persistence: Floats, *, least: float = 1.0) -> Floats:
    """Features of one stream live through the same days: none is taken to remember less than they do on average, nor less than most of them do.

    least: persistence that the stream is known to have, by others that live through the same days. Shape (features,).

    >>> shared_memory(np.array([1.0, 9.0, 9.0, 9.0]))
    array([9., 9., 9., 9.])
    """
    memory = (persistence - 1) / (persistence + 1)
    memory = np.maximum(memory, max(memory.mean(), float(np.quantile(memory, MOST)), (least - 1) / (least + 1)))
    return np.asarray((1 + memory) / (1 - memory))


def share_spread(known: Known, text: NDArray[np.bool_], slower: Floats) -> None:
    """Raise spreads that came out far below those of their kind: of forty estimates from forty windows, some are too small by chance.

    The place of a number has at least half the variance of the median number's, a cut at least half of what its place moves it by; a bin of a text at
    least half of the median bin's, relative to what one row varies. slower: persistence over windows, for the reference's own error.
    """
    numbers = ~text & (known.variance[:, -1] > 0)
    if numbers.any():
        typical = float(np.median(known.spread[numbers, -1]))
        known.spread[numbers, -1] = np.maximum(known.spread[numbers, -1], typical / 2)
        density = _density_at(np.clip(known.mean[numbers, :-1], 1e-6, 1 - 1e-6))
        moved = np.where(known.variance[numbers, :-1] > 0, known.spread[numbers, -1:] * density**2 / 2, 0.0)
        known.spread[numbers, :-1] = np.maximum(known.spread[numbers, :-1], moved)
    for i in np.flatnonzero(text):
        filled = known.variance[i] > 0
        if filled.any():
            relative = float(np.median(known.spread[i, filled] / known.variance[i, filled])) / 2
            known.spread[i, filled] = np.maximum(known.spread[i, filled], relative * known.variance[i, filled])
    np.maximum(known.error, known.spread * slower[:, None] / 2, out=known.error)


def _density_at(share: Floats) -> Floats:
    """Density of the standard normal where its distribution function has these values; within 0.02 of it. Source: Tukey's lambda, 0.135."""
    power = 0.1349
    return np.asarray(
        1 / (np.sqrt(2 * np.pi)) * (2 * 0.5 ** (power - 1)) / (share ** (power - 1) + (1 - share) ** (power - 1))
    )


def _places(bins: int, width: int, *, text: bool) -> NDArray[np.int64]:
    """Where the statistics of a feature stand among the padded ones: the place of a number is the last column."""
    places = np.arange(bins)
    if not text:
        places[-1] = width
    return places


def wobble_of_before(feature: FeatureBins, windows: int) -> Wobble:
    """What profiles made before `varies` know: the wobble of the cumulative shares. Of a bin it is at most that of both its cuts."""
    bins = len(feature.counts)
    known = np.zeros(bins) if not feature.wobble else np.asarray(feature.wobble, dtype=np.float64)
    if feature.kind == "text":
        known = np.hypot(known, np.append(0.0, known[:-1]))
    error = known / np.sqrt(max(windows, 1))
    return Wobble(spread=tuple(known.tolist()), error=tuple(error.tolist()), windows=windows)
