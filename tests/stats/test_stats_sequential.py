"""The sequential tests: how often they cry wolf, how fast they find a drift, and that their bets are fair."""

import numpy as np
import pytest

from noria.errors import BinMismatch, InputInvalid
from noria.stats.anytime import boundary, difference_sequence, mean_sequence
from noria.stats.decay import decay_by_statistic, decay_evidence, start_decay, step_decay
from noria.stats.sequential import (
    Panel,
    e_benjamini_hochberg,
    excess_share_log_e,
    log_e_values,
    log_evidence,
    margin_of,
    panel,
    start,
    step,
    wobble_of,
)

BINS, FEATURES = 16, 20
THRESHOLD = 10_000.0


def counts(rng: np.random.Generator, rows: int, shift: np.ndarray) -> np.ndarray:
    """Normal features in bins of equal mass; shift in standard deviations, one a feature."""
    from statistics import NormalDist

    cuts = [NormalDist().inv_cdf(i / BINS) for i in range(1, BINS)]
    where = np.searchsorted(cuts, (rng.standard_normal((FEATURES, rows)) + shift[:, None]).ravel()).reshape(
        FEATURES, rows
    )
    return np.bincount((where + np.arange(FEATURES)[:, None] * BINS).ravel(), minlength=FEATURES * BINS).reshape(
        FEATURES, BINS
    )


def a_panel(rng: np.random.Generator, *, wobble: float = 0.0, windows: int = 60) -> Panel:
    table = np.stack([counts(rng, 1000, rng.normal(0, wobble, FEATURES)) for _ in range(windows)])
    reference = table.sum(axis=0)
    share = np.cumsum(reference, axis=1) / reference.sum(axis=1, keepdims=True)
    wobbles = np.stack([wobble_of(table[:, i]) for i in range(FEATURES)])
    margins = margin_of(share, reference.sum(axis=1, keepdims=True), wobbles, windows=windows)
    return panel(reference, margins, bins=[BINS] * FEATURES)


@pytest.mark.parametrize("wobble", [0.0, 0.03])
def test_clean_windows_raise_no_alarm_and_a_drift_of_a_quarter_sd_is_found(wobble: float) -> None:
    delays = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        bets = a_panel(rng, wobble=wobble)
        state = start(bets)
        for _ in range(300):
            state = step(bets, state, counts(rng, 200, rng.normal(0, wobble, FEATURES)), threshold=THRESHOLD)
            assert log_evidence(bets, state) < np.log(THRESHOLD)
        drift = np.zeros(FEATURES)
        drift[:2] = 0.25
        for i in range(40):
            state = step(bets, state, counts(rng, 200, drift + rng.normal(0, wobble, FEATURES)), threshold=THRESHOLD)
            if log_evidence(bets, state) > np.log(THRESHOLD):
                delays.append((i + 1) * 200)
                break
        blamed = set(np.flatnonzero(e_benjamini_hochberg(log_e_values(bets, state))).tolist())
        assert blamed
        assert blamed <= {0, 1}

    assert len(delays) == 3
    assert np.median(delays) <= 2000


def test_every_bet_is_fair_or_worse_on_the_edge_of_its_margin() -> None:
    reference = np.array([[300, 300, 300, 100]])
    share = np.cumsum(reference, axis=1) / 1000
    bets = panel(reference, np.full((1, 4), 0.02), bins=[4])

    for side, edge in ((0, share + 0.02), (1, share - 0.02)):
        expected = edge[..., None] * np.exp(bets.log_gain[:, :, side]) + (1 - edge[..., None]) * np.exp(
            bets.log_loss[:, :, side]
        )
        assert np.allclose(expected[0, :3], 1.0)
        inner = share[..., None] * np.exp(bets.log_gain[:, :, side]) + (1 - share[..., None]) * np.exp(
            bets.log_loss[:, :, side]
        )
        assert (inner[0, :3] <= 1.0 + 1e-12).all()


def test_one_freak_window_raises_no_alarm_and_an_alarm_ends_after_its_drift() -> None:
    rng = np.random.default_rng(5)
    bets = a_panel(rng)
    state = step(bets, start(bets), counts(rng, 5000, np.full(FEATURES, 3.0)), threshold=THRESHOLD)
    assert log_evidence(bets, state) < np.log(THRESHOLD)

    for _ in range(5):
        state = step(bets, state, counts(rng, 1000, np.full(FEATURES, 1.0)), threshold=THRESHOLD)
    assert log_evidence(bets, state) > np.log(THRESHOLD)
    for _ in range(30):
        state = step(bets, state, counts(rng, 1000, np.zeros(FEATURES)), threshold=THRESHOLD)
    assert log_evidence(bets, state) < np.log(THRESHOLD)


def test_a_window_without_rows_leaves_every_bet_as_it_was_up_to_the_new_unit() -> None:
    bets = a_panel(np.random.default_rng(6))

    state = step(bets, start(bets), np.zeros((FEATURES, BINS)), threshold=THRESHOLD)

    assert log_evidence(bets, state) == pytest.approx(0.0)


def test_counts_of_other_bins_are_refused() -> None:
    bets = a_panel(np.random.default_rng(6))

    with pytest.raises(BinMismatch):
        step(bets, start(bets), np.zeros((FEATURES, BINS + 1)), threshold=THRESHOLD)
    with pytest.raises(InputInvalid):
        panel([[0, 0]], [[0.1, 0.1]], bins=[2])


def test_looking_every_day_at_equal_arms_errs_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(300):
        hard = np.repeat(rng.exponential(size=20), 150)
        loss = hard + rng.exponential(size=3000)
        arm = rng.uniform(size=3000) < 0.3
        looks = [
            difference_sequence(loss[:n][arm[:n]], loss[:n][~arm[:n]], error_rate=0.1, tightest_at=1500)
            for n in range(300, 3001, 150)
        ]
        wrong += any(not i.low <= 0 <= i.high for i in looks)

    assert wrong / 300 <= 0.1


def test_a_confidence_sequence_is_wider_than_one_look_and_closes_with_rows() -> None:
    values = np.random.default_rng(8).normal(size=4000)

    few = mean_sequence(values[:500], error_rate=0.05, tightest_at=1000)
    many = mean_sequence(values, error_rate=0.05, tightest_at=1000)

    assert many.high - many.low < few.high - few.low
    assert boundary(1000, error_rate=0.05, tightest_at=1000) > 1.96


def test_an_error_share_above_the_limit_is_found_and_one_below_is_not() -> None:
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(200):
        failures = np.cumsum(rng.uniform(size=2000) < 0.01)
        alarms += any(excess_share_log_e(int(failures[n - 1]), n, 0.01) > np.log(20) for n in range(50, 2001, 50))
    assert alarms / 200 <= 0.05
    assert excess_share_log_e(20, 400, 0.01) > np.log(20)


def test_days_of_usual_wobble_raise_no_decay_alarm_and_a_worsening_of_one_sd_does() -> None:
    alarms, delays = 0, []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        state = start_decay(3)
        for _ in range(365):
            state = step_decay(state, rng.gamma(2.0, size=3) / np.sqrt(2) - np.sqrt(2) - 0.2, threshold=1095)
            alarms += decay_evidence(state) > np.log(1095)
        for day in range(60):
            state = step_decay(state, rng.normal(size=3) + np.array([1.0, -0.2, -0.2]), threshold=1095)
            if decay_evidence(state) > np.log(1095):
                delays.append(day + 1)
                assert int(np.argmax(decay_by_statistic(state))) == 0
                break

    assert alarms == 0
    assert len(delays) == 30
    assert np.median(delays) <= 30


def test_a_day_that_says_nothing_and_one_storm_change_no_verdict() -> None:
    state = step_decay(start_decay(1), [float("nan")], threshold=1095)
    assert decay_evidence(state) == pytest.approx(0.0)

    stormy = step_decay(state, [1000.0], threshold=1095)
    assert decay_evidence(stormy) < np.log(1095)
