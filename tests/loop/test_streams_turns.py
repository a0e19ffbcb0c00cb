"""Streams on which deciding is tried: the same seed is the same world, and what is told, broken and true is what the scenario says."""

import numpy as np
import pytest

from noria.testing.streams_turns import DAYS, ROWS, TURNS, TURNS_ON, turn


@pytest.mark.parametrize("name", [each.name for each in TURNS])
def test_a_seed_is_a_world(name: str) -> None:
    first, told = turn(name).make(3).day(TURNS_ON + 1)
    again, told_again = turn(name).make(3).day(TURNS_ON + 1)
    other, _ = turn(name).make(4).day(TURNS_ON + 1)

    assert len(first) == ROWS
    assert np.array_equal(told, told_again)
    assert all(np.array_equal(first.columns[c], again.columns[c], equal_nan=c.startswith("x")) for c in first.columns)
    assert not np.array_equal(first.labels, other.labels)


def test_labels_are_told_wrong_only_while_a_lie_lasts() -> None:
    made = turn("poisoned").make(1)

    wrong = []
    for window in range(TURNS_ON - 2, TURNS_ON + 9):
        rows, told = made.day(window)
        wrong.append(float((rows.labels != told).mean()))

    assert wrong[:2] == [0, 0]
    assert all(0.8 < share < 1 for share in wrong[2:9])
    assert wrong[9:] == [0, 0]
    assert [made.is_sound(TURNS_ON - 1), made.is_sound(TURNS_ON), made.is_sound(TURNS_ON + 7)] == [True, False, True]


def test_a_broken_input_is_broken_for_a_week_and_the_world_goes_on() -> None:
    made = turn("broken-unit").make(1)

    sound, _ = made.day(TURNS_ON - 1)
    broken, told = made.day(TURNS_ON)

    assert np.abs(broken.columns["x0"]).mean() > 10 * np.abs(sound.columns["x0"]).mean()
    assert np.array_equal(broken.labels, told)
    assert not made.is_sound(TURNS_ON)
    assert made.is_sound(TURNS_ON + 7)


def test_days_of_one_law_are_told_apart() -> None:
    recurring, gradual, none = (turn(name).make(1) for name in ("recurring", "gradual", "none"))

    assert [recurring.law(window) for window in (0, 40, 70, 100, DAYS - 1)] == [0, 1, 0, 1, 0]
    assert 0 < gradual.law(TURNS_ON + 10) < gradual.law(TURNS_ON + 30) < 1
    assert {none.law(window) for window in range(-5, DAYS)} == {0}


def test_the_old_law_is_what_its_world_believes() -> None:
    made = turn("sudden").make(5)
    rows = [made.day(window)[0] for window in range(20)]

    said = np.concatenate([made.stream.world.believes(day.columns) for day in rows])
    happened = np.concatenate([day.labels for day in rows])

    assert abs(said.mean() - happened.mean()) < 4 * np.sqrt(0.25 / said.size)
    assert np.mean((said > 0.5) == (happened == 1)) > 0.7
