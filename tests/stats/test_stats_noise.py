"""The bands beside distances: without drift they are left about once in twenty times, sampled or wobbling."""

import numpy as np
import pytest

from noria.stats.distances import jensen_shannon, kolmogorov_smirnov, psi, wasserstein, wasserstein_at
from noria.stats.noise import Noise

BINS, ROWS, REFERENCE = 12, 800, 8_000
CUTS = np.arange(BINS - 1, dtype=float)


@pytest.mark.parametrize("wobble", [0.0, 0.05])
def test_a_distance_leaves_its_band_about_once_in_twenty_times_without_drift(wobble: float) -> None:
    rng = np.random.default_rng(7)
    share = np.full(BINS, 1 / BINS)
    cumulative = np.cumsum(share)[:-1]
    left = {"psi": 0, "js": 0, "ks": 0, "wasserstein": 0}
    for _ in range(400):
        reference = rng.multinomial(REFERENCE, share)
        # The wobble moves rows from one end to the other, all cuts by one draw.
        move = rng.normal(0, wobble) * cumulative * (1 - cumulative) * 4
        moved = np.diff(np.concatenate([[0.0], np.clip(cumulative + move, 0, 1), [1.0]]))
        current = rng.multinomial(ROWS, np.maximum(moved, 0) / np.maximum(moved, 0).sum())
        variance = cumulative * (1 - cumulative)
        spread = (wobble * 4 * variance) ** 2
        noise = Noise.of(np.append(reference, 0), ROWS, variance=variance, wobble=spread)
        left["psi"] += psi(reference, current) > noise.psi
        left["js"] += jensen_shannon(reference, current) > noise.js
        left["ks"] += kolmogorov_smirnov(reference, current) > noise.ks
        left["wasserstein"] += wasserstein_at(reference, current, CUTS) > noise.wasserstein(CUTS.tolist())

    for name, times in left.items():
        assert times / 400 <= 0.09, (name, times)
    if wobble == 0:
        assert left["psi"] >= 4
        assert left["wasserstein"] >= 4


def test_wasserstein_between_cuts_is_nearer_to_the_truth_than_mass_at_the_middle_of_bins() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal(100_000), rng.standard_normal(100_000) + 0.25
    cuts = np.quantile(a, np.linspace(0, 1, 17)) + np.append(np.zeros(16), 1e-9)
    x, y = (np.bincount(np.searchsorted(cuts, v), minlength=18) for v in (a, b))

    assert wasserstein_at(x, y, cuts) == pytest.approx(0.25, abs=0.02)
    assert wasserstein_at(x, x, cuts) == 0.0
    assert wasserstein_at([1, 0, 0], [0, 0, 1], [0.0, 2.0]) == wasserstein([1, 0], [0, 1], [0.0, 2.0])
