"""Drift under a budget: the three scenarios of acceptance (iid, wobbling, small reference), seasons, and how reports read."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from noria.domain.ids import digest_of
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.errors import BinMismatch, InputInvalid
from noria.monitoring.drift import Budget, complete_windows, detect, detect_on, watch
from noria.monitoring.profile import build_profile, count, window

START = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS, TEXTS, BLOCK = 40, 10, 100


def rows(
    rng: np.random.Generator, n: int, *, wobble: float = 0.0, shift: float = 0.0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Forty numbers of four shapes and ten texts; the drift moves two normal and one uniform input by `shift` standard deviations."""
    columns: dict[str, np.ndarray] = {}
    for i in range(NUMBERS):
        move = rng.normal(0, wobble) if wobble else 0.0
        shape = ("normal", "uniform", "exponential", "integer")[i % 4]
        if shape == "normal":
            values = rng.standard_normal(n) + move + (shift if i in (0, 4) else 0.0)
        elif shape == "uniform":
            values = rng.uniform(-1, 1, n) + (move + (shift if i == 1 else 0.0)) / np.sqrt(3)
        elif shape == "exponential":
            values = rng.exponential(size=n) * (1 + move)
        else:
            values = rng.poisson(3, n).astype(float)
        columns[f"x{i}"] = values
    for i in range(TEXTS):
        levels = 2 + 20 * i
        columns[f"t{i}"] = np.array([f"v{v}" for v in np.minimum(rng.geometric(0.2, n), levels)], dtype=object)
    return columns, rng.beta(2, 5, n)


def a_profile(rng: np.random.Generator, *, n: int = 20_000, wobble: float = 0.0, blocks: int = 40) -> ReferenceProfile:
    parts = [rows(rng, n // blocks, wobble=wobble) for _ in range(blocks)]
    columns = {name: np.concatenate([c[name] for c, _ in parts]) for name in parts[0][0]}
    scores = np.concatenate([s for _, s in parts])
    labels = (rng.uniform(size=scores.size) < scores).astype(float)
    return build_profile(
        columns,
        scores,
        labels=labels,
        blocks=np.repeat(np.arange(blocks), n // blocks),
        since=START,
        until=START + timedelta(days=blocks),
    )


@pytest.mark.parametrize("wobble", [0.0, 0.03])
def test_no_false_alarm_on_clean_windows_and_a_quarter_sd_in_three_of_fifty_found_within_1000_rows(
    wobble: float,
) -> None:
    delays, alarms = [], 0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        profile = a_profile(rng, n=12_000, wobble=wobble)
        eyes = watch(profile, budget=Budget(windows=50_000))
        state = eyes.begin()
        for _ in range(60):
            columns, scores = rows(rng, BLOCK, wobble=wobble)
            state = eyes.step(state, count(profile, columns, scores))
            alarms += any(eyes.alarms(state))
        for i in range(40):
            columns, scores = rows(rng, BLOCK, wobble=wobble, shift=0.25)
            state = eyes.step(state, count(profile, columns, scores))
            if eyes.alarms(state)[0]:
                delays.append((i + 1) * BLOCK)
                break

    assert alarms == 0
    assert len(delays) == 2
    assert np.median(delays) <= 1000


def test_a_small_reference_makes_the_margin_wider_instead_of_crying_wolf() -> None:
    rng = np.random.default_rng(4)
    profile = a_profile(rng, n=2_000, blocks=20)
    eyes = watch(profile, budget=Budget(windows=50_000))
    state = eyes.begin()

    for _ in range(60):
        state = eyes.step(state, count(profile, *rows(rng, BLOCK)))

    assert eyes.alarms(state) == (False, False)
    assert eyes.inputs.bets.margins.max() > 0.03


def a_window(
    profile: ReferenceProfile, rng: np.random.Generator, hour: int, *, n: int = 40, shift: float = 0.0
) -> WindowCounts:
    columns, scores = rows(rng, n, shift=shift)
    since = START + timedelta(hours=hour)
    digest = digest_of(b"profile")
    return window(
        profile,
        columns,
        scores,
        deployment="d",
        number=1,
        profile_digest=digest,
        since=since,
        until=since + timedelta(hours=1),
    )


def test_hours_are_judged_as_days_and_however_they_are_cut_the_answer_is_the_same() -> None:
    rng = np.random.default_rng(5)
    profile = a_profile(rng, n=4000)
    hours = [a_window(profile, rng, h, shift=1.0) for h in range(24 * 4 + 5)]

    found = detect(profile, hours)
    again = detect(profile, complete_windows(profile, hours))

    assert found.windows == 4
    assert found == again
    assert found.inputs.alarm
    assert not found.prediction.alarm
    assert {f.feature for f in found.inputs.features if f.blamed} <= {"x0", "x1", "x4"}
    assert found.inputs.features[0].shift > found.inputs.features[0].margin
    assert found.inputs.features[0].psi > found.inputs.features[0].psi_noise


def test_a_fold_that_goes_on_says_what_one_from_the_start_says() -> None:
    rng = np.random.default_rng(31)
    profile = a_profile(rng, n=4000)
    hours = [a_window(profile, rng, h, shift=0.4) for h in range(24 * 5 + 3)]
    _, stood = detect_on(profile, hours[: 24 * 2 + 7])

    told, stands = detect_on(profile, hours, before=stood)

    assert told == detect(profile, hours)
    assert (stood.windows, stands.windows) == (2, 5)


def test_an_input_whose_days_always_differ_does_not_alarm_when_they_differ_again() -> None:
    rng = np.random.default_rng(6)

    def day(n: int = 200) -> tuple[dict[str, np.ndarray], np.ndarray]:
        return {"temperature": rng.normal(rng.normal(0, 8), 2, n), "hour": rng.uniform(0, 24, n)}, rng.beta(2, 5, n)

    parts = [day() for _ in range(40)]
    columns = {name: np.concatenate([c[name] for c, _ in parts]) for name in parts[0][0]}
    scores = np.concatenate([s for _, s in parts])
    labels = (rng.uniform(size=scores.size) < scores).astype(float)
    profile = build_profile(
        columns,
        scores,
        labels=labels,
        blocks=np.repeat(np.arange(40), 200),
        since=START,
        until=START + timedelta(days=40),
    )
    eyes = watch(profile)
    state = eyes.begin()

    for _ in range(200):
        state = eyes.step(state, count(profile, *day()))

    assert eyes.alarms(state) == (False, False)


def test_without_a_complete_window_nothing_is_said_and_foreign_counts_are_refused() -> None:
    rng = np.random.default_rng(7)
    profile = a_profile(rng, n=2000)

    assert not detect(profile, []).inputs.alarm
    assert detect(profile, [a_window(profile, rng, 3)]).windows == 0
    with pytest.raises(BinMismatch):
        watch(profile).step(watch(profile).begin(), {"x0": (1, 2)})
    with pytest.raises(InputInvalid):
        watch(
            ReferenceProfile(
                features=profile.features[-1:],
                rows=1,
                since=START,
                until=START,
                expected_loss=0.1,
                expected_loss_sd=0.1,
            )
        )


def test_a_table_without_predictions_is_watched_with_the_whole_budget() -> None:
    rng = np.random.default_rng(8)
    profile = a_profile(rng, n=2000)
    table = msgspec.structs.replace(profile, features=profile.features[:2])

    eyes = watch(table, budget=Budget(windows=100))
    seen = eyes.step(eyes.begin(), a_window(profile, rng, 3).counts)

    assert seen.prediction is None
    assert eyes.threshold == 100
    assert eyes.alarms(seen)[1] is False
    assert not detect(table, []).prediction.alarm


@pytest.mark.slow
@pytest.mark.parametrize(("wobble", "n", "blocks"), [(0.0, 50_000, 50), (0.03, 50_000, 50), (0.0, 5_000, 25)])
def test_a_thousand_clean_windows_raise_at_most_one_false_alarm(wobble: float, n: int, blocks: int) -> None:
    alarms = 0
    for seed in (100, 101):
        rng = np.random.default_rng(seed)
        profile = a_profile(rng, n=n, wobble=wobble, blocks=blocks)
        eyes = watch(profile, budget=Budget(windows=50_000))
        state = eyes.begin()
        for _ in range(500):
            state = eyes.step(state, count(profile, *rows(rng, BLOCK, wobble=wobble)))
            if any(eyes.alarms(state)):
                alarms += 1
                state = eyes.begin()

    assert alarms <= 1
