"""The sequential tests: how often they cry wolf, how fast they find a drift, and that their bets are fair."""

from math import lgamma

import numpy as np
import pytest

from noria.domain.profile import FeatureBins, Wobble
from noria.errors import BinMismatch, InputInvalid
from noria.stats.blame import e_benjamini_hochberg, log_e_values
from noria.stats.decay import decay_by_statistic, decay_evidence, start_decay, step_decay
from noria.stats.gamma import log_gamma
from noria.stats.sequential import Panel, _margins, excess_share_log_e, log_evidence, log_growth, panel, start, step
from noria.stats.wobble import learn_wobble

BINS, FEATURES = 16, 20
THRESHOLD = 10_000.0


def counts(rng: np.random.Generator, rows: int, shift: np.ndarray) -> np.ndarray:
    """Normal features in bins of equal mass, none missing; shift in standard deviations, one a feature."""
    from statistics import NormalDist

    cuts = [NormalDist().inv_cdf(i / BINS) for i in range(1, BINS)]
    values = (rng.standard_normal((FEATURES, rows)) + shift[:, None]).ravel()
    where = np.searchsorted(cuts, values).reshape(FEATURES, rows) + np.arange(FEATURES)[:, None] * (BINS + 1)
    return np.bincount(where.ravel(), minlength=FEATURES * (BINS + 1)).reshape(FEATURES, BINS + 1)


def features(windows: np.ndarray) -> list[FeatureBins]:
    """The bins of a reference, from its windows: shape (windows, features, bins)."""
    return [
        FeatureBins(
            name=str(i),
            kind="number",
            counts=tuple(windows[:, i].sum(axis=0).tolist()),
            varies=learn_wobble(windows[:, i], text=False),
        )
        for i in range(windows.shape[1])
    ]


def a_panel(rng: np.random.Generator, *, wobble: float = 0.0, windows: int = 60) -> Panel:
    return panel(features(np.stack([counts(rng, 1000, rng.normal(0, wobble, FEATURES)) for _ in range(windows)])))


@pytest.mark.parametrize("wobble", [0.0, 0.03])
def test_clean_windows_raise_no_alarm_and_a_drift_of_a_quarter_sd_is_found(wobble: float) -> None:
    delays = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        bets = a_panel(rng, wobble=wobble)
        state = start(bets)
        for _ in range(120):
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

    assert len(delays) == 2
    assert np.median(delays) <= 1000


@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_no_bet_gains_on_average_at_the_edge_of_its_margin_however_few_the_rows(spread: float) -> None:
    """Exactly: all outcomes of windows of 40 rows of a text with two values, the wobble drawn as the test supposes it."""
    rows, reference = 40, (3000, 1000, 0)
    wobble = Wobble(spread=(spread,) * 3, error=(0.0,) * 3, windows=60)
    bets = panel([FeatureBins(name="t", kind="text", categories=("a", "b"), counts=reference, varies=wobble)])
    hits = np.arange(rows + 1)
    tables = np.stack([hits, rows - hits, np.zeros(rows + 1)], axis=1)[:, None]
    growth = np.exp(np.stack([log_growth(bets, table) for table in tables])[..., :4])
    choose = np.array([lgamma(rows + 1) - lgamma(h + 1) - lgamma(rows - h + 1) for h in hits])

    for side, share in ((0, 0.75 + bets.margins[0, 0, 0]), (1, 0.75 - bets.margins[0, 0, 1])):
        for inner in (share, 0.75):
            firm = 1e7 if spread == 0 else inner * (1 - inner) / spread**2 - 1
            a, b = inner * firm, (1 - inner) * firm
            mass = np.exp(
                choose
                + log_gamma(hits + a)
                + log_gamma(rows - hits + b)
                - log_gamma(rows + a + b)
                - log_gamma(a)
                - log_gamma(b)
                + log_gamma(a + b)
            )
            assert mass.sum() == pytest.approx(1, abs=1e-5)
            expected = (mass[:, None] * growth[:, 0, 0, side]).sum(axis=0)
            assert (expected <= 1 + 1e-5).all()


def test_one_window_alarms_alone_where_windows_never_differed_and_not_where_they_do() -> None:
    rng = np.random.default_rng(5)
    for wobble, alarms in ((0.0, True), (0.1, False)):
        bets = a_panel(rng, wobble=wobble)

        state = step(bets, start(bets), counts(rng, 5000, np.full(FEATURES, 1.0)), threshold=THRESHOLD)

        assert (log_evidence(bets, state) > np.log(THRESHOLD)) == alarms


def test_an_alarm_ends_after_its_drift() -> None:
    rng = np.random.default_rng(5)
    bets = a_panel(rng)
    state = start(bets)

    for _ in range(5):
        state = step(bets, state, counts(rng, 1000, np.full(FEATURES, 1.0)), threshold=THRESHOLD)
    assert log_evidence(bets, state) > np.log(THRESHOLD)
    for _ in range(30):
        state = step(bets, state, counts(rng, 1000, np.zeros(FEATURES)), threshold=THRESHOLD)
    assert log_evidence(bets, state) < np.log(THRESHOLD)


def test_a_window_without_rows_leaves_every_bet_as_it_was_up_to_the_new_unit() -> None:
    bets = a_panel(np.random.default_rng(6))

    state = step(bets, start(bets), np.zeros((FEATURES, BINS + 1)), threshold=THRESHOLD)

    assert log_evidence(bets, state) == pytest.approx(0.0)


def test_counts_of_other_bins_are_refused() -> None:
    bets = a_panel(np.random.default_rng(6))

    with pytest.raises(BinMismatch):
        step(bets, start(bets), np.zeros((FEATURES, BINS + 2)), threshold=THRESHOLD)
    with pytest.raises(InputInvalid):
        panel([FeatureBins(name="x", kind="number", counts=(0, 0))])
    with pytest.raises(InputInvalid):
        panel(features(np.ones((2, 1, 4), dtype=int)), smallest=0.0)


def test_log_gamma_is_that_of_the_standard_library() -> None:
    values = np.geomspace(1e-6, 1e9, 2000)
    exact = np.array([lgamma(v) for v in values])

    assert (np.abs(log_gamma(values) - exact) <= 1e-9 * np.maximum(1, np.abs(exact))).all()


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


def test_a_world_that_turned_is_told_within_days_and_a_fortnight_with_storms_is_not() -> None:
    turned = start_decay(3)
    days = 0
    while decay_evidence(turned) <= np.log(1095):
        turned = step_decay(turned, [8.0, -1.0, -1.0], threshold=1095)
        days += 1

    stormy = start_decay(3)
    for day in range(14):
        stormy = step_decay(stormy, [9.0 if day in (3, 4, 10) else -0.4] * 3, threshold=1095)
        assert decay_evidence(stormy) < np.log(1095)

    assert days <= 5


def test_a_place_beyond_one_is_no_share_and_has_a_margin() -> None:
    shares, place = [0.25, 0.75], 1.5

    with np.errstate(invalid="raise"):
        found = _margins(
            np.array([[*shares, place]]), np.zeros((1, 3)), np.zeros((1, 3)), rows=np.full((1, 3), 1e6), smallest=0.01
        )

    assert (found > 0).all()
