"""The window of adaptive length: what it finds in streams of errors, how seldom it is wrong, and that it does not depend on how rows come in."""

import numpy as np
import pytest

from noria.errors import InputInvalid
from noria.stats.adwin import Adwin, MeanChange


def errors(*stretches: tuple[float, int], seed: int = 0) -> np.ndarray:
    """Errors of 0 and 1 at one rate after another."""
    dice = np.random.default_rng(seed)
    return np.concatenate([dice.random(rows) < rate for rate, rows in stretches]).astype(float)


def test_it_is_quiet_while_the_rate_stays() -> None:
    found = [Adwin(budget=1e6).feed(errors((rate, 15_000), seed=seed)) for seed in range(2) for rate in (0.02, 0.3)]

    assert found == [[]] * 4


@pytest.mark.parametrize(("before", "after", "within"), [(0.114, 0.206, 900), (0.109, 0.525, 100), (0.3, 0.2, 1500)])
def test_a_change_is_found_dated_and_measured(before: float, after: float, within: int) -> None:
    delays, misdated = [], []
    for seed in range(8):
        window = Adwin()
        found = window.feed(errors((before, 6000), (after, 3000), seed=seed))
        assert len(found) >= 1, f"seed {seed}"
        assert found[0].is_worse == (after > before)
        assert found[-1].row >= 6000
        delays.append(found[0].row - 6000)
        misdated.append(abs(found[0].since - 6000))
        assert window.mean == pytest.approx(after, abs=0.06)

    assert np.median(delays) < within
    assert np.median(misdated) < within / 2


def test_means_and_sizes_of_a_change_are_those_of_the_window() -> None:
    values = np.concatenate([np.zeros(640), np.ones(32)])

    (change,) = Adwin().feed(values)

    assert change.rows_after == change.row - change.since >= 32
    assert change.rows_before == change.since
    assert change.after == values[change.since : change.row].mean()
    assert change.before == values[: change.since].mean()
    assert 640 < change.row <= 672


def test_rows_one_by_one_or_all_at_once_are_the_same() -> None:
    values = errors((0.1, 2000), (0.4, 700), (0.1, 700), seed=3)
    whole, single, pieces = Adwin(), Adwin(), Adwin()

    found = whole.feed(values)
    one_by_one: list[MeanChange] = [change for value in values for change in single.feed([value])]
    in_pieces = [change for part in np.array_split(values, 37) for change in pieces.feed(part)]

    assert found == one_by_one == in_pieces
    assert len(found) == 2
    assert whole.width == single.width == pieces.width
    assert whole.mean == pytest.approx(values[-whole.width :].mean())


def test_a_loss_beyond_0_and_1_is_judged_on_its_own_scale() -> None:
    dice = np.random.default_rng(4)
    losses = np.concatenate([dice.gamma(2.0, 0.2, 4000), dice.gamma(2.0, 0.3, 2000)])

    (change,) = Adwin(bound=5.0).feed(losses)

    assert 0 <= change.row - 4000 < 1200
    assert change.before == pytest.approx(0.4, abs=0.03)
    assert change.after == pytest.approx(0.6, abs=0.1)
    assert len(Adwin(bound=50.0).feed(losses * 10)) == 1


def test_what_neighbours_share_is_no_change_once_it_is_known() -> None:
    dice = np.random.default_rng(5)
    rates = np.clip(np.repeat(dice.normal(0.2, 0.05, 200), 200), 0, 1)
    values = (dice.random(rates.size) < rates).astype(float)

    assert len(Adwin().feed(values)) > 5, "200 rows of one day have a rate of their own"
    assert Adwin(inflation=1 + 200 * 0.05**2 / 0.16).feed(values) == []


def test_memory_grows_with_the_logarithm_of_the_window() -> None:
    window = Adwin()
    window.feed(errors((0.1, 60_000)))

    assert window.width == window.rows == 60_000
    assert len(window._rows) < 80


@pytest.mark.parametrize("wrong", [{"budget": 1.0}, {"bound": 0.0}, {"inflation": 0.5}, {"every": 0}])
def test_a_window_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputInvalid):
        Adwin(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputInvalid):
        Adwin().feed([0.0, float("nan")])
    assert Adwin().feed([]) == []
    assert np.isnan(Adwin().mean)
