"""Scores made honest, temperatures, and the small learner of means beside LightGBM."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid, SchemaMismatch
from noria.stats.boosting import learn_mean
from noria.stats.calibration import AS_THEY_ARE, calibrate, isotonic, platt, temperature, tempered
from noria.stats.metrics import calibration_error, row_log_loss


def coins(
    rows: int, *, slope: float = 1.0, shift: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores, and the true chances: log odds times slope plus shift."""
    dice = np.random.default_rng(seed)
    z = dice.normal(-0.5, 1.5, rows)
    chance = 1 / (1 + np.exp(-(slope * z + shift)))
    return (dice.random(rows) < chance).astype(float), 1 / (1 + np.exp(-z)), chance


@pytest.mark.parametrize(("slope", "shift"), [(1.6, 0.4), (0.5, -1.0)])
def test_a_map_of_log_odds_is_found_again(slope: float, shift: float) -> None:
    y, p, chance = coins(8000, slope=slope, shift=shift)

    found = platt(y, p)

    assert (found.slope, found.shift) == (pytest.approx(slope, abs=0.08), pytest.approx(shift, abs=0.08))
    assert np.abs(calibrate(y, p)(p) - chance).mean() < 0.02


def test_honest_scores_stay_about_as_they_are_and_any_rising_map_is_found() -> None:
    y, p, _ = coins(6000, seed=1)
    dice = np.random.default_rng(2)
    step = np.where(p < 0.4, 0.1, 0.7)
    odd = (dice.random(p.size) < step).astype(float)

    assert np.abs(calibrate(y, p)(p) - p).mean() < 0.02
    found = calibrate(odd, p)
    assert found.kind == "isotonic"
    assert calibration_error(odd, found(p)) < 0.025
    assert row_log_loss(odd, found(p)).mean() < row_log_loss(odd, p).mean() - 0.05


def test_isotonic_rises_and_few_rows_change_nothing() -> None:
    y, p, _ = coins(3000, seed=3)
    grid = np.linspace(0, 1, 400)

    assert (np.diff(isotonic(y, p)(grid)) >= 0).all()
    assert calibrate(y[:30], p[:30]) is AS_THEY_ARE
    assert calibrate(np.zeros(500), p[:500]) is AS_THEY_ARE
    assert isotonic(np.ones(50), np.full(50, 0.3))([0.3])[0] > 0.9
    with pytest.raises(EmptySample):
        calibrate([], [])


def test_a_temperature_is_found_again() -> None:
    dice = np.random.default_rng(4)
    logits = dice.normal(size=(5000, 4))
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (share.cumsum(axis=1) < dice.random((5000, 1))).sum(axis=1)

    assert temperature(y, tempered(share, 1 / 1.7)) == pytest.approx(1.7, abs=0.1)
    assert tempered(tempered(share, 1 / 1.7), 1.7) == pytest.approx(share, abs=1e-4)
    with pytest.raises(InputInvalid):
        temperature([0], [0.3, 0.7])


def test_the_learner_is_about_as_good_as_one_of_the_same_size() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    dice = np.random.default_rng(5)
    x, kind = dice.normal(size=(4000, 6)), dice.choice(list("abcd"), 4000)
    mean = 2 + np.sin(2 * x[:, 0]) + x[:, 1] * (x[:, 2] > 0) + (kind == "a")
    y = mean + dice.normal(size=4000)
    columns = {f"x{n}": x[:, n] for n in range(6)} | {"kind": kind}
    old, new = slice(0, 3000), slice(3000, 4000)

    told = learn_mean({n: c[old] for n, c in columns.items()}, y[old])({n: c[new] for n, c in columns.items()})
    codes = np.column_stack([x, np.unique(kind, return_inverse=True)[1]])
    peer = lightgbm.LGBMRegressor(n_estimators=80, num_leaves=8, max_depth=3, verbose=-1, n_jobs=1).fit(
        codes[old], y[old]
    )

    error, its = (float(((each - mean[new]) ** 2).mean()) for each in (told, peer.predict(codes[new])))
    assert error < 0.5 * mean.var() * 0.5
    assert error < 2.5 * its


def test_what_is_missing_or_new_gets_a_bin_of_its_own() -> None:
    kind = np.array(["a", "b", None, "a"] * 200, dtype=object)
    value = np.array([1.0, np.nan, 3.0, 1.0] * 200)
    target = np.where(np.isnan(value), 9.0, np.where(kind == "a", 1.0, 5.0))

    told = learn_mean({"kind": kind, "value": value}, target)
    answers = told({"kind": ["a", "b", None, "never seen"], "value": [1.0, np.nan, 3.0, np.inf]})

    assert answers[:3].tolist() == pytest.approx([1.0, 9.0, 5.0], abs=0.1)
    assert 1.0 <= answers[3] <= 9.0
    assert told({"kind": [], "value": []}).size == 0
    with pytest.raises(SchemaMismatch):
        told({"kind": ["a"]})


def test_noise_is_not_learnt_and_too_little_is_refused() -> None:
    dice = np.random.default_rng(6)
    told = learn_mean({"x": dice.normal(size=1000)}, dice.normal(size=1000))

    assert told({"x": dice.normal(size=500)}).std() < 0.15
    assert len(told.trees) < 30
    with pytest.raises(EmptySample):
        learn_mean({"x": [1.0] * 50}, [1.0] * 50)
    with pytest.raises(InputInvalid):
        learn_mean({"x": [1.0] * 499}, [1.0] * 500)
    constant = learn_mean({"x": [1.0] * 500}, [2.0] * 500)
    assert constant({"x": [0.0, 7.0]}).tolist() == [2.0, 2.0]
