"""Laws of odd predictions: ordinary rows are flagged at the stated rate, planted ones are found and explained, few rows say so."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid
from noria.monitoring.anomaly import Ordinary, find_odd, learn

Columns = dict[str, np.ndarray]


def ordinary_rows(seed: int, rows: int = 4000) -> Columns:
    """Two numbers that go together, a text that depends on another, some missing values, and noise."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    shop = rng.choice(["north", "south", "web"], rows)
    noise = {f"x{i}": rng.gamma(2, size=rows) for i in range(6)}
    gone = rng.random(rows) < 0.02
    return {
        "a": a,
        "b": 0.95 * a + 0.3 * rng.normal(size=rows),
        "shop": shop.astype(object),
        "till": np.where(shop == "web", "none", rng.choice(["one", "two"], rows)).astype(object),
        "gone": np.where(gone, np.nan, rng.normal(size=rows)),
        **noise,
    }


@pytest.fixture(scope="module")
def known() -> Ordinary:
    return learn(ordinary_rows(0, 10_000), blocks=np.arange(10_000) // 400)


def ids(rows: int) -> list[str]:
    return [f"p{i}" for i in range(rows)]


def test_ordinary_rows_are_flagged_at_the_stated_rate() -> None:
    flagged = 0
    for seed in range(6):
        known = learn(ordinary_rows(seed, 3000))
        flagged += find_odd(known, ordinary_rows(1000 + seed, 2000), ids=ids(2000), rate=0.01).flagged

    assert 30 <= flagged <= 210  # 120 by chance; the two scores overlap, so rather fewer


@pytest.mark.parametrize(
    ("column", "value", "beside", "reason"),
    [
        ("x3", 60.0, {}, "outside of all that was seen"),
        ("b", -2.0, {"a": 2.0}, ", where 1."),
        ("till", "one", {"shop": "web"}, "where shop = 'web'"),
        ("shop", "moon", {}, "rare value"),
    ],
)
def test_an_odd_row_is_found_and_told_why(
    known: Ordinary, column: str, value: object, beside: dict[str, object], reason: str
) -> None:
    rows = ordinary_rows(1, 500)
    rows[column][7] = value
    for name, other in beside.items():
        rows[name][7] = other

    found = find_odd(known, rows, ids=ids(500), rate=0.01)

    odd = next(o for o in found.oddities if o.prediction_id == "p7")
    assert any(reason in r.sentence for r in odd.reasons)
    assert odd.inputs[column] == value


def test_the_same_value_is_ordinary_where_it_belongs(known: Ordinary) -> None:
    rows = ordinary_rows(1, 500)
    rows["b"][7], rows["a"][7] = -2.0, -2.0

    found = find_odd(known, rows, ids=ids(500), rate=0.01)

    assert "p7" not in [o.prediction_id for o in found.oddities]


def test_many_rows_that_moved_together_are_said_to_be_more_than_chance(known: Ordinary) -> None:
    moved = ordinary_rows(3, 1000)
    moved["x0"] = moved["x0"] + 30

    found = find_odd(known, moved, ids=ids(1000))

    assert found.too_many
    assert found.flagged > 900


def test_too_few_ordinary_rows_for_a_rate_are_said() -> None:
    found = find_odd(learn(ordinary_rows(4, 500)), ordinary_rows(5, 100), ids=ids(100), rate=0.001)

    assert found.flagged == 0
    assert "cannot show a rate" in found.notes[0]


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_values_that_are_no_numbers_are_taken(known: Ordinary, odd: float) -> None:
    rows = ordinary_rows(6, 300)
    rows["x1"][0] = odd

    assert find_odd(known, rows, ids=ids(300)).rows == 300


def test_constant_and_empty_columns_can_be_learnt() -> None:
    columns: Columns = {
        "c": np.ones(1000),
        "n": np.full(1000, np.nan),
        "t": np.array([None] * 1000, dtype=object),
        "x": np.arange(1000.0),
    }

    found = find_odd(learn(columns), columns | {"c": np.full(1000, 9.0)}, ids=ids(1000), rate=0.01)

    assert found.flagged == 1000


def test_bad_input_is_refused(known: Ordinary) -> None:
    with pytest.raises(EmptySample):
        learn(ordinary_rows(0, 100))
    with pytest.raises(EmptySample):
        find_odd(known, {n: c[:0] for n, c in ordinary_rows(0, 10).items()}, ids=[])
    with pytest.raises(InputInvalid):
        find_odd(known, {"a": np.zeros(3)}, ids=ids(3))
    with pytest.raises(InputInvalid):
        find_odd(known, ordinary_rows(0, 10), ids=ids(10), rate=0.0)
