"""Laws of the additive model: it finds what is additive, a change of mixture splits exactly over its columns, and noise gives nearly nothing."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid
from noria.stats.additive import fit_additive, sums_of


def test_additive_truth_is_found_and_splits_exactly() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (5000, 3))
    truth = np.array([0.0, 1.0, 2.0, 3.0])[codes[:, 0]] - 0.5 * (codes[:, 1] == 2)

    model = fit_additive(sums_of(codes, [4, 4, 4], truth + rng.normal(0, 0.3, 5000))[0])

    assert np.abs(model.predict(codes) - truth).mean() < 0.05
    later = rng.integers(0, 2, (3000, 3))
    split = model.parts(later).mean(axis=0) - model.parts(codes).mean(axis=0)
    assert split.sum() == pytest.approx(model.predict(later).mean() - model.predict(codes).mean())
    assert model.parts(codes).mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-9)


def test_noise_gives_nearly_nothing() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 10, (2000, 20))
    noise = rng.normal(size=2000)

    model = fit_additive(sums_of(codes, [10] * 20, noise)[0])

    fresh = rng.integers(0, 10, (2000, 20))
    assert model.predict(fresh).var() < 0.15


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(InputInvalid):
        sums_of(np.zeros((3, 2), dtype=np.int64), [1], [1.0, 2.0, 3.0])
    with pytest.raises(EmptySample):
        sums_of(np.zeros((3, 0), dtype=np.int64), [], [1.0, 2.0, 3.0])
    with pytest.raises(InputInvalid):
        fit_additive(sums_of(np.zeros((3, 1), dtype=np.int64), [1], [1.0, 2.0, 3.0])[0]).parts(
            np.zeros((3, 2), dtype=np.int64)
        )


def test_sums_of_days_add_up_to_the_sums_of_all() -> None:
    rng = np.random.default_rng(2)
    codes, values, days = rng.integers(0, 5, (400, 2)), rng.normal(size=400), rng.integers(0, 4, 400)

    parts = sums_of(codes, [5, 6], values, folds=days)

    whole = sums_of(codes, [5, 6], values)[0]
    joined = parts[0] + parts[1] + parts[2] + parts[3]
    assert joined.together == pytest.approx(whole.together)
    assert joined.values == pytest.approx(whole.values)
    without = sums_of(codes[days != 3], [5, 6], values[days != 3])[0]
    assert (whole - parts[3]).together == pytest.approx(without.together)
