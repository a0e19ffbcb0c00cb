"""The budget holds on tables where nothing happened, also where they wobble and have seasons; and what moved is found, by name."""

import numpy as np
import pytest

from noria.monitor import Watch, compare

Columns = dict[str, np.ndarray]


def table(seed: int, rows: int, *, wobble: float = 0.0, shift: float = 0.0) -> Columns:
    """Twelve columns of five shapes; every hundred rows a new mood of size `wobble`; the first column moves by `shift` standard deviations."""
    rng = np.random.default_rng(seed)
    mood = np.arange(rows) // 100
    found: Columns = {}
    for i in range(10):
        values = [
            rng.normal(size=rows) + (shift if i == 0 else 0.0),
            rng.gamma(2.0, 1.0, rows),
            rng.integers(0, 5, rows).astype(float),
            np.round(rng.exponential(3.0, rows), 1),
        ][i % 4]
        found[f"x{i}"] = values + rng.normal(0.0, wobble, mood.max() + 1)[mood] if wobble and i % 4 < 2 else values
    found["text"] = rng.choice(np.array(list("abcdefghij"), dtype=object), rows, p=np.arange(10, 0, -1) / 55)
    found["place"] = np.array([f"z{v}" for v in rng.zipf(1.5, rows)], dtype=object)
    return found


def alarms(pairs: int, *, reference: int, current: int, wobble: float) -> int:
    return sum(
        compare(table(2 * i, reference, wobble=wobble), table(2 * i + 1, current, wobble=wobble)).exit_code
        for i in range(pairs)
    )


SIZES = [(50, 500), (500, 300), (3000, 1000), (3000, 30)]


@pytest.mark.parametrize(("reference", "current"), SIZES)
@pytest.mark.parametrize("wobble", [0.0, 0.2])
def test_a_few_clean_tables_raise_no_alarm(reference: int, current: int, wobble: float) -> None:
    assert alarms(3, reference=reference, current=current, wobble=wobble if reference >= 3000 else 0.0) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("reference", "current"), SIZES)
@pytest.mark.parametrize("wobble", [0.0, 0.2])
def test_hundreds_of_clean_tables_raise_at_most_one(reference: int, current: int, wobble: float) -> None:
    assert alarms(60, reference=reference, current=current, wobble=wobble if reference >= 3000 else 0.0) <= 1


def test_half_a_standard_deviation_is_found_in_one_of_twelve_columns() -> None:
    found = [compare(table(2 * i, 4000), table(2 * i + 1, 1000, shift=0.5)) for i in range(3)]

    assert [[c.name for c in f.columns if c.blamed] for f in found] == [["x0"]] * 3


def seasons(seed: int, *, day: int, days: int) -> Columns:
    """200 rows a day, with a daily and a weekly rhythm and a mood of the day."""
    rng = np.random.default_rng(seed)
    hours = day * 24 + np.sort(rng.uniform(0, days * 24, days * 200))
    mood = rng.normal(0, 0.1, days + 1)[(hours // 24).astype(int) - day]
    rhythm = np.sin(hours * 2 * np.pi / 24) + 0.7 * (hours // 24 % 7 > 4)
    return {
        "x": rng.normal(size=hours.size) + rhythm + mood,
        "weekend": (rng.random(hours.size) < 0.2 + 0.4 * (hours // 24 % 7 > 4)).astype(float),
        "at": np.datetime64("2026-01-05", "us") + (hours * 3600e6).astype("m8[us]"),
    }


def test_seasons_of_the_reference_are_no_drift_later() -> None:
    reference = seasons(1, day=0, days=84)

    assert compare(reference, seasons(2, day=84, days=14), time="at").verdict == "fine"
    assert compare(reference, seasons(3, day=89, days=2), time="at").verdict == "fine", "a weekend alone"
    watch = Watch(reference, time="at")
    for i in range(14):
        watch.update(seasons(10 + i, day=90 + i, days=1))
    assert watch.close().verdict == "fine"
