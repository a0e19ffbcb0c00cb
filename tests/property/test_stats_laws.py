"""Laws of stats/ for any input: bounds, invariances, symmetry, additivity."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from noria.domain.profile import FeatureBins
from noria.stats.distances import jensen_shannon, kolmogorov_smirnov, psi, wasserstein
from noria.stats.intervals import mean_interval, wilson_interval
from noria.stats.metrics import auc, calibration_error, log_loss
from noria.stats.sequential import log_evidence, panel, start, step, wobble_of
from noria.stats.wobble import learn_wobble

histograms = npst.arrays(np.int64, st.just(6), elements=st.integers(0, 1000)).filter(lambda a: a.sum() > 0)


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 60))
    p = draw(npst.arrays(np.float64, n, elements=st.integers(0, 1000).map(lambda v: v / 1000)))
    y = draw(npst.arrays(np.int64, n, elements=st.integers(0, 1)))
    y[0], y[1] = 0, 1
    return y, p


@given(samples())
def test_auc_is_unchanged_by_a_monotone_map_and_mirrored_by_a_reversal(sample: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = sample

    assert auc(y, p) == auc(y, p / 2 + 0.1)
    assert abs(auc(y, p) + auc(y, 1 - p) - 1) < 1e-12


@given(samples(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_metric(sample: tuple[np.ndarray, np.ndarray], random: object) -> None:
    y, p = sample
    order = list(range(len(y)))
    random.shuffle(order)  # type: ignore[attr-defined]

    assert abs(log_loss(y, p) - log_loss(y[order], p[order])) < 1e-9
    assert abs(calibration_error(y, p) - calibration_error(y[order], p[order])) < 1e-9
    assert 0 <= calibration_error(y, p) <= 1


@given(histograms, histograms)
def test_distances_are_symmetric_bounded_and_zero_for_equal_shares(a: np.ndarray, b: np.ndarray) -> None:
    at = np.arange(6.0)
    for found in (
        psi(a, b) - psi(b, a),
        jensen_shannon(a, b) - jensen_shannon(b, a),
        wasserstein(a, b, at) - wasserstein(b, a, at),
    ):
        assert abs(found) < 1e-9
    assert psi(a, b) >= 0
    assert 0 <= jensen_shannon(a, b) <= 1 + 1e-12
    assert 0 <= kolmogorov_smirnov(a, b) <= 1 + 1e-12
    assert psi(a, 3 * a) < 1e-12
    assert wasserstein(a, 2 * a, at) < 1e-12


@given(st.integers(0, 200), st.integers(1, 200))
def test_a_share_lies_inside_its_interval(successes: int, n: int) -> None:
    found = wilson_interval(min(successes, n), n)

    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


@given(npst.arrays(np.float64, st.integers(3, 30), elements=st.floats(-100, 100)), st.floats(-50, 50))
def test_the_interval_of_a_mean_moves_with_its_values(values: np.ndarray, shift: float) -> None:
    plain, moved = mean_interval(values), mean_interval(values + shift)

    assert abs(moved.low - plain.low - shift) < 1e-6
    assert abs((moved.high - moved.low) - (plain.high - plain.low)) < 1e-6


@settings(max_examples=40)
@given(st.lists(histograms, min_size=1, max_size=5), st.integers(1, 500))
def test_evidence_is_finite_and_depends_on_counts_only(windows: list[np.ndarray], scale: int) -> None:
    reference = np.array([100, 200, 300, 200, 100, 100]) * scale
    wobble = learn_wobble(np.stack([reference] * 30), text=False)
    bets = panel([FeatureBins(name="x", kind="number", counts=tuple(reference.tolist()), varies=wobble)])

    first, second = start(bets), start(bets)
    for counts in windows:
        first = step(bets, first, counts[None, :], threshold=1000)
        second = step(bets, second, np.array(counts, dtype=float)[None, :], threshold=1000)

    assert log_evidence(bets, first) == log_evidence(bets, second)
    assert np.isfinite(log_evidence(bets, first))


@given(npst.arrays(np.int64, st.tuples(st.integers(2, 8), st.just(5)), elements=st.integers(1, 500)))
def test_wobble_does_not_depend_on_the_order_of_windows(table: np.ndarray) -> None:
    assert np.allclose(wobble_of(table), wobble_of(table[::-1]))
    assert wobble_of(table)[-1] < 1e-6
