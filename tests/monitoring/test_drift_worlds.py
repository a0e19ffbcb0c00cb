"""Drift over references and windows of every kind: nothing is cried over what is usual, and what is new is found."""

from datetime import UTC, datetime, timedelta
from math import log

import numpy as np
import pytest

from noria.domain.ids import digest_of
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.errors import InputInvalid
from noria.monitoring.drift import Budget, Watch, detect, watch
from noria.monitoring.profile import build_profile, count, describe
from noria.stats.sequential import log_evidence, panel, start, step
from noria.stats.wobble import learn_wobble

START = datetime(2026, 1, 5, tzinfo=UTC)
FEATURES, BINS = 30, 10
CUTS = np.array([-1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28])
THRESHOLD = 5000.0


def draw(rng: np.random.Generator, rows: int, shift: np.ndarray) -> np.ndarray:
    """Counts of one window of normal features that moved by `shift`, shape (features, bins + 1); none is missing."""
    from statistics import NormalDist

    normal = NormalDist()
    below = np.array([[normal.cdf(c - s) for c in CUTS] for s in shift])
    share = np.diff(np.concatenate([np.zeros((shift.size, 1)), below, np.ones((shift.size, 1))], axis=1), axis=1)
    counts = rng.multinomial(rows, share / share.sum(axis=1, keepdims=True))
    return np.concatenate([counts, np.zeros((shift.size, 1), dtype=counts.dtype)], axis=1)


def remembering(rng: np.random.Generator, windows: int, *, keeps: float, size: float) -> np.ndarray:
    chain = rng.standard_normal((windows, FEATURES)) * size
    for i in range(1, windows):
        chain[i] = keeps * chain[i - 1] + np.sqrt(1 - keeps**2) * chain[i]
    return chain


@pytest.mark.parametrize(("keeps", "rows"), [(0.0, 30), (0.0, 1_000_000), (0.9, 1_000), (0.9, 1_000_000)])
def test_days_that_remember_the_day_before_wake_nobody_and_a_jump_is_found(keeps: float, rows: int) -> None:
    rng = np.random.default_rng(int(keeps * 10) + rows)
    moves = remembering(rng, 40 + 60 + 20, keeps=keeps, size=0.05)
    windows = np.stack([draw(rng, rows, m) for m in moves[:40]])
    features = [
        FeatureBins(
            name=str(i),
            kind="number",
            counts=tuple(windows[:, i].sum(axis=0).tolist()),
            varies=learn_wobble(windows[:, i], text=False),
        )
        for i in range(FEATURES)
    ]
    bets = panel(features)
    state = start(bets)
    for move in moves[40:100]:
        state = step(bets, state, draw(rng, rows, move), threshold=THRESHOLD)
        assert log_evidence(bets, state) < log(THRESHOLD)

    jump = np.where(np.arange(FEATURES) < 3, 0.8, 0.0)
    delay = 0
    for move in moves[100:]:
        delay += 1
        state = step(bets, state, draw(rng, rows, move + jump), threshold=THRESHOLD)
        if log_evidence(bets, state) > log(THRESHOLD):
            break

    assert log_evidence(bets, state) > log(THRESHOLD)
    assert delay <= 10


def a_profile(columns: dict[str, np.ndarray], blocks: np.ndarray, *, seconds: float = 86_400.0) -> ReferenceProfile:
    rows = blocks.size
    scores = np.random.default_rng(0).beta(2, 5, rows)
    return build_profile(
        columns,
        scores,
        labels=(np.arange(rows) % 3 == 0).astype(float),
        blocks=blocks,
        since=START - timedelta(days=400),
        until=START,
        window_seconds=seconds,
    )


def looks(eyes: Watch, profile: ReferenceProfile, tables: list[dict[str, np.ndarray]]) -> bool:
    """Whether the inputs alarm after these windows."""
    state = eyes.begin()
    for i, table in enumerate(tables):
        scores = np.full(len(next(iter(table.values()))), 0.3)
        state = eyes.step(state, count(profile, table, scores), at=START + timedelta(days=i))
    return eyes.alarms(state)[0]


@pytest.mark.parametrize("rows", [1, 50, 500])
def test_a_reference_of_few_rows_cries_over_nothing_that_it_could_not_know(rows: int) -> None:
    rng = np.random.default_rng(rows)

    def table(n: int) -> dict[str, np.ndarray]:
        numbers = {f"x{i}": rng.standard_normal(n) for i in range(10)}
        return numbers | {f"t{i}": rng.choice(["a", "b", "c", "d"], n).astype(object) for i in range(5)}

    profile = a_profile(table(rows), np.zeros(rows, dtype=int))

    assert not looks(watch(profile), profile, [table(500) for _ in range(15)])


def test_a_reference_of_one_value_bears_that_value_and_tells_of_another() -> None:
    constant = {"x": np.full(1000, 7.0), "t": np.full(1000, "only", dtype=object)}
    profile = a_profile(constant, np.repeat(np.arange(10), 100))
    eyes = watch(profile)

    assert not looks(eyes, profile, [constant] * 20)
    assert looks(eyes, profile, [constant | {"x": np.full(1000, 8.0)}] * 5)
    assert looks(eyes, profile, [constant | {"t": np.full(1000, "new", dtype=object)}] * 5)
    assert looks(eyes, profile, [constant | {"x": np.full(1000, np.nan)}] * 5)


def test_what_was_always_missing_or_infinite_may_remain_so() -> None:
    broken = {"gone": np.full(600, np.nan), "far": np.full(600, np.inf), "x": np.arange(600.0)}
    profile = a_profile(broken, np.repeat(np.arange(6), 100))

    assert not looks(watch(profile), profile, [broken] * 20)


def test_ever_new_ids_are_no_drift_and_a_new_mix_of_common_values_is() -> None:
    rng = np.random.default_rng(3)

    def table(n: int, common: float) -> dict[str, np.ndarray]:
        ids = np.array([f"id-{v}" for v in rng.integers(0, 10**9, n)], dtype=object)
        mix = np.where(rng.uniform(size=n) < common, "often", ids)
        return {"id": ids, "mix": mix.astype(object)}

    profile = a_profile(table(6000, 0.4), np.repeat(np.arange(20), 300))
    eyes = watch(profile)

    assert not looks(eyes, profile, [table(300, 0.4) for _ in range(30)])
    assert looks(eyes, profile, [table(300, 0.6) for _ in range(8)])


def test_parts_of_one_usual_day_are_not_many_days_that_agree() -> None:
    rng = np.random.default_rng(4)
    moves = rng.normal(0, 0.2, 30)
    columns = {"x": (rng.standard_normal((30, 300)) + moves[:, None]).ravel()}
    profile = a_profile(columns, np.repeat(np.arange(30), 300))
    one_day = [{"x": rng.standard_normal(300) + 0.35} for _ in range(20)]
    strange = [{"x": rng.standard_normal(300) + 3.0} for _ in range(20)]

    eyes = watch(profile, together=True)

    assert not looks(eyes, profile, one_day)
    assert looks(eyes, profile, strange)


def test_a_profile_with_a_season_needs_to_know_when_and_then_sleeps_through_its_weekends() -> None:
    rng = np.random.default_rng(5)

    def day(at: datetime) -> np.ndarray:
        return rng.standard_normal(400) + (0.6 if at.weekday() >= 5 else 0.0)

    days = [START - timedelta(days=56 - i) for i in range(56)]
    blocks = np.repeat(np.array([d.replace(tzinfo=None) for d in days], dtype="datetime64[D]"), 400)
    profile = a_profile({"x": np.concatenate([day(d) for d in days])}, blocks)
    served = [
        WindowCounts(
            deployment="d",
            number=1,
            profile=digest_of(b"p"),
            since=START + timedelta(days=i),
            until=START + timedelta(days=i + 1),
            rows=400,
            counts=count(profile, {"x": day(START + timedelta(days=i))}, np.full(400, 0.3)),
        )
        for i in range(28)
    ]
    found = profile.features[0].varies
    assert found is not None
    assert len(found.season) == 7

    assert not detect(profile, served).inputs.alarm
    with pytest.raises(InputInvalid):
        watch(profile).step(watch(profile).begin(), served[0].counts)
    late = [w for w in served if w.since.weekday() >= 5]
    assert not detect(profile, late).inputs.alarm


def test_a_profile_of_before_is_still_judged() -> None:
    rng = np.random.default_rng(6)
    (x,) = describe({"x": rng.standard_normal(4000)}, blocks=np.repeat(np.arange(20), 200))
    before = FeatureBins(name="x", kind="number", cuts=x.cuts, counts=x.counts, wobble=x.wobble)
    profile = ReferenceProfile(
        features=(before,), rows=4000, since=START, until=START, expected_loss=0, expected_loss_sd=0, windows=20
    )
    eyes = watch(profile)

    assert not looks(eyes, profile, [{"x": rng.standard_normal(200)} for _ in range(30)])
    assert looks(eyes, profile, [{"x": rng.standard_normal(200) + 0.5} for _ in range(10)])


def test_the_answers_may_have_a_smaller_part_of_the_budget() -> None:
    profile = a_profile({"x": np.arange(600.0)}, np.repeat(np.arange(6), 100))
    eyes = watch(profile, budget=Budget(windows=900, prediction=0.1))

    assert (eyes.threshold, eyes.prediction_threshold) == (1000, 9000)
    assert 1 / eyes.threshold + 1 / eyes.prediction_threshold == pytest.approx(1 / 900)
