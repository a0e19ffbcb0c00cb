"""Laws of the search for bad groups: what is planted is found, what is chance is not, and a group says how sure it is."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid
from noria.monitoring.slices import find_slices, halve
from noria.monitoring.slices_axis import Axis, axis_of, short_between


def a_world(
    seed: int, *, effect: float = 0.0, rows: int = 4000, days: int = 30
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Columns, losses with bad and good days, the day of each row, and the rows of the planted group."""
    rng = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {f"x{i}": rng.normal(size=rows) for i in range(5)}
    columns |= {f"t{i}": rng.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2]) for i in range(2)}
    day = np.sort(rng.integers(0, days, rows))
    planted = (columns["x0"] > 0.7) & (columns["t1"] == "b")
    losses = rng.exponential(0.4, rows) * (1 + 0.2 * rng.normal(size=days)[day]) + effect * planted
    return columns, losses, day, planted


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_pair_is_found_first(seed: int) -> None:
    columns, losses, day, planted = a_world(seed, effect=0.5)

    found = find_slices(columns, losses, blocks=day)

    worst = found.search.slices[0]
    assert worst.sure
    assert {c.column for c in worst.conditions} == {"x0", "t1"}
    assert (found.members[0] & planted).sum() > 0.8 * planted.sum()
    assert worst.excess.low < 0.5 < worst.excess.high + 0.15


def test_chance_is_rarely_called_sure() -> None:
    wrong = sum(
        bool(find_slices(*a_world(100 + s, rows=1500)[:2], blocks=a_world(100 + s, rows=1500)[2]).search.sure)
        for s in range(20)
    )

    assert wrong <= 4  # one in twenty is promised: more than 4 of 20 would be a chance of 1 in 300


def test_a_group_of_one_bad_day_is_not_sure() -> None:
    columns, losses, day, _ = a_world(7)
    columns["hall"] = np.where(day == 11, "new", "old")
    losses = losses + 3.0 * (day == 11)

    found = find_slices(columns, losses, blocks=day)

    assert not any(c.column == "hall" for s in found.search.sure for c in s.conditions)


def test_missing_values_are_a_group() -> None:
    columns, losses, day, _ = a_world(3)
    rng = np.random.default_rng(0)
    gone = rng.random(losses.size) < 0.2
    columns["x1"] = np.where(gone, np.nan, columns["x1"])

    found = find_slices(columns, losses + gone, blocks=day)

    assert str(found.search.slices[0]) == "x1 is missing"


def test_days_are_halved_whole_and_evenly() -> None:
    days = np.repeat(np.arange(20), 7)

    halves = halve(days.size, days, seed=1)

    searched = {int(d) for d in days[halves.search]}
    assert len(searched) == 10
    assert searched.isdisjoint(int(d) for d in days[~halves.search])


def test_few_days_are_said() -> None:
    columns, losses, _, _ = a_world(0)

    found = find_slices(columns, losses, blocks=np.repeat([0, 1], losses.size // 2))

    assert "2 days only" in found.search.note


def test_bad_input_is_refused() -> None:
    with pytest.raises(EmptySample):
        find_slices({"a": [1.0] * 20}, [0.1] * 20)
    with pytest.raises(InputInvalid):
        find_slices({"a": [1.0] * 19}, [0.1] * 20)
    with pytest.raises(InputInvalid):
        find_slices({"a": [1.0] * 500}, [float("nan")] * 500)
    with pytest.raises(InputInvalid):
        axis_of("note", np.zeros((3, 2)))
    with pytest.raises(InputInvalid):
        axis_of("mixed", [1.0, 2.0, 3.0]).codes(["x", "y"])


@pytest.mark.parametrize(
    "values",
    [
        [1.0] * 500,
        [None] * 500,
        ["a"] * 500,
        [float("nan")] * 500,
        [float("inf"), 1.0] * 250,
        [True, False] * 250,
        list(range(500)),
    ],
    ids=["constant", "all missing", "one text", "nan", "infinite", "booleans", "whole numbers"],
)
def test_any_column_can_be_searched(values: list[object]) -> None:
    losses = np.random.default_rng(0).random(500)

    found = find_slices({"odd": np.array(values, dtype=object if None in values else None)}, losses)

    assert found.search.judging_rows == 250


@pytest.mark.parametrize("seed", range(20))
def test_edges_lie_between_the_values_they_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-8, 9))

    edge = short_between(float(low), float(high))

    assert low <= edge < high


def test_a_value_never_seen_is_a_rare_one() -> None:
    axis = axis_of("shop", ["web"] * 3 + ["north"] * 2, top=1)

    assert axis.codes(["web", "north", "elsewhere", None]).tolist() == [0, 1, 1, 2]
    assert isinstance(axis, Axis)
