"""Distances against SciPy and against what sampling alone does."""

import numpy as np
import pytest

from noria.errors import BinMismatch, EmptySample
from noria.stats.distances import jensen_shannon, kolmogorov_smirnov, psi, psi_noise, wasserstein

distance = pytest.importorskip("scipy.spatial.distance")
scipy_stats = pytest.importorskip("scipy.stats")


def test_jensen_shannon_and_wasserstein_equal_scipy() -> None:
    a, b, at = np.array([5, 0, 20, 75]), np.array([1, 9, 30, 10]), np.array([0.0, 1.0, 1.5, 9.0])

    assert jensen_shannon(a, b) == pytest.approx(distance.jensenshannon(a, b, base=2))
    assert wasserstein(a, b, at) == pytest.approx(scipy_stats.wasserstein_distance(at, at, a, b))


def test_psi_of_samples_without_drift_stays_below_its_noise_band_as_often_as_it_says() -> None:
    rng = np.random.default_rng(9)
    share = np.full(12, 1 / 12)
    under = [
        psi(rng.multinomial(20_000, share), rng.multinomial(1_000, share)) < psi_noise(12, 20_000, 1_000)
        for _ in range(600)
    ]

    assert 0.92 <= np.mean(under) <= 0.98


def test_histograms_of_other_bins_and_empty_ones_are_refused() -> None:
    with pytest.raises(BinMismatch):
        psi([1, 2], [1, 2, 3])
    with pytest.raises(EmptySample):
        kolmogorov_smirnov([0, 0], [1, 2])
