"""What a distance stays under, 19 times in 20, while nothing drifted: sampling of both sides, and the wobble between windows.

Without such a band no number of PSI means anything. The distances are distances.py. Called by monitoring/drift_report.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, log, sqrt

import numpy as np
from numpy.typing import ArrayLike

from noria.stats.checks import Floats
from noria.stats.distances import areas_between
from noria.stats.quantiles import chi_square_quantile

KOLMOGOROV = 1.358
"""95 % quantile of the largest distance of a Brownian bridge from 0 (Kolmogorov 1933)."""

BRIDGE_AREA = 1.55
"""95 % quantile of the area under a Brownian bridge, by the area under its standard deviation: 1.47 for a uniform, 1.6 for long tails (simulated)."""

NORMAL = 1.96


@dataclass(frozen=True, eq=False)
class Noise:
    """Bands of one feature. psi: in nats. js: a distance, base 2. ks: a share.

    shares: the reference's cumulative ones; wobbles: standard deviation of each by wobble; sampled: 1/n + 1/m.

    Asymptotic, rows independent but for the wobble: tests/stats/test_stats_noise.py shows how often they are left.
    """

    psi: float
    ks: float
    shares: Floats
    wobbles: Floats
    sampled: float

    @property
    def js(self) -> float:
        """Jensen-Shannon distance: near 0 its divergence is an eighth of PSI (in bits)."""
        return min(1.0, sqrt(self.psi / (8 * log(2))))

    def wasserstein(self, cuts: Sequence[float]) -> float:
        """In the units of the cuts."""
        if len(cuts) < 2:
            return 0.0
        share = self.shares[: len(cuts)]
        left, right = areas_between(np.diff(np.concatenate([[0.0], share, [1.0]])), cuts)
        spread, moved = np.sqrt(share * (1 - share)), self.wobbles[: len(cuts)]
        sampling = BRIDGE_AREA * float((spread[:-1] * left + spread[1:] * right).sum()) * sqrt(self.sampled)
        return hypot(sampling, NORMAL * float((moved[:-1] * left + moved[1:] * right).sum()))

    @classmethod
    def of(cls, reference: ArrayLike, rows: float, *, variance: Floats, wobble: Floats) -> "Noise":
        """reference: counts. rows: of the current side. variance: of one row's share at each cut or bin; wobble: variance of it between windows.

        >>> Noise.of([5000, 5000], 1000, variance=np.array([0.25]), wobble=np.array([0.0])).ks.__round__(4)
        0.045
        """
        counts = np.asarray(reference, dtype=np.float64)
        sampled = 1 / max(float(counts.sum()), 1.0) + 1 / max(float(rows), 1.0)
        filled = int((counts > 0).sum())
        free = max(filled - 1, 0)
        usable = variance > 1e-9
        relative = float((wobble[usable] / variance[usable]).mean()) if usable.any() else 0.0
        sampling = sampled * chi_square_quantile(0.95, free) if free else 0.0
        # Wobble mostly moves all bins by one cause, so it has one degree of freedom that weighs as much as all.
        return cls(
            psi=sampling + NORMAL**2 * free * relative,
            ks=min(1.0, hypot(KOLMOGOROV * sqrt(sampled), NORMAL * sqrt(float(wobble.max(initial=0.0))))),
            shares=np.cumsum(counts[:-1]) / max(counts[:-1].sum(), 1.0),
            wobbles=np.sqrt(wobble),
            sampled=sampled,
        )
