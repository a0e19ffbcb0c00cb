"""Two tables, one verdict: what is an alarm, what is none, and how it reads."""

import json
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pytest

from noria.domain.comparison import Compared
from noria.errors import EmptyTable, InputInvalid
from noria.monitor import compare

Columns = dict[str, object]


def orders(rows: int, *, seed: int = 1, price: float = 0.0, web: float = 0.5, days: int = 0) -> Columns:
    """Orders with a price, a channel and eight numbers that never move; `price` shifts the price by so many standard deviations."""
    rng = np.random.default_rng(seed)
    table: Columns = {f"x{i}": rng.normal(size=rows) for i in range(8)}
    table["price"] = rng.gamma(2.0, 10.0, rows) + price * 14.1
    table["channel"] = np.where(rng.random(rows) < web, "web", "store").astype(object)
    if days:
        start = np.datetime64("2026-01-01", "us")
        table["at"] = start + (np.arange(rows) * (days * 86400e6 / rows)).astype("m8[us]")
    return table


def answers(rows: int, *, seed: int = 2, flip: float = 0.0) -> Columns:
    """Chances that are right, except that a share `flip` of the labels is turned round."""
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-1.5 * rng.normal(size=rows)))
    label = (rng.random(rows) < chance).astype(float)
    turned = rng.random(rows) < flip
    return {"age": rng.integers(18, 90, rows), "chance": chance, "bought": np.where(turned, 1 - label, label)}


def test_tables_of_one_kind_are_fine() -> None:
    found = compare(orders(5000), orders(1000, seed=3))

    assert found.verdict == "fine"
    assert found.exit_code == 0
    assert found.headline == "Fine: none of 10 inputs moved beyond their margins"
    assert not any(c.blamed for c in found.columns)


def test_a_column_that_moved_is_an_alarm_that_names_it_and_says_how() -> None:
    found = compare(orders(5000), orders(1000, seed=3, price=0.5, web=0.5))

    assert (found.verdict, found.exit_code) == ("alarm", 1)
    assert [c.name for c in found.columns if c.blamed] == ["price"]
    assert found.headline == "Alarm: price moved (1 of 10 inputs)"
    assert "price (above" in found.reasons[0]
    assert found.budget == "at most one false alarm in 1,000 comparisons"


def test_predictions_are_judged_apart_from_inputs() -> None:
    then, now = orders(5000), orders(1000, seed=3)
    then["score"], now["score"] = np.linspace(0, 0.7, 5000), np.linspace(0.2, 0.7, 1000)

    found = compare(then, now, prediction="score")

    assert found.prediction is not None and found.prediction.alarm
    assert not found.inputs.alarm
    assert found.headline == "Alarm: predictions moved"


def test_an_input_may_be_called_prediction() -> None:
    then, now = orders(2000), orders(1000, seed=3)
    for table in (then, now):
        table["prediction"] = table.pop("x0")
        table["score"] = table.pop("x1")

    found = compare(then, now, prediction="score")

    assert {c.name: c.role for c in found.columns}["prediction"] == "input"
    assert {c.name: c.role for c in found.columns}["score"] == "prediction"


def test_answers_that_got_worse_are_an_alarm_and_those_that_did_not_are_none() -> None:
    same = compare(answers(4000), answers(2000, seed=5), prediction="chance", label="bought")
    worse = compare(answers(4000), answers(2000, seed=5, flip=0.15), prediction="chance", label="bought")

    assert same.verdict == "fine"
    assert worse.quality is not None and worse.quality.alarm
    assert worse.quality.task == "probability"
    assert "they are no longer to be believed" in worse.quality.says
    assert worse.headline.startswith("Alarm: answers got worse")
    assert [m.name for m in worse.quality.measures] == ["log loss", "AUC", "Brier score", "calibration error"]


def test_without_labels_quality_is_estimated_and_says_so() -> None:
    then, now = answers(4000), answers(2000, seed=5)
    del now["bought"]

    found = compare(then, now, prediction="chance", label="bought")

    assert found.verdict == "fine"
    assert found.quality is not None and found.quality.estimated is not None
    assert found.quality.assumption
    realised = answers(2000, seed=5)
    loss = -np.mean(
        np.where(
            np.asarray(realised["bought"]) == 1, np.log(realised["chance"]), np.log(1 - np.asarray(realised["chance"]))
        )
    )
    assert found.quality.estimated.low - 0.03 < loss < found.quality.estimated.high + 0.03


@pytest.mark.parametrize(
    ("answer", "label", "task", "measure"),
    [
        (np.array(["a", "b"] * 500, dtype=object), np.array(["a", "b"] * 500, dtype=object), "classes", "accuracy"),
        (np.array([0.0, 1.0] * 500), np.array([0.0, 1.0] * 500), "classes", "accuracy"),
        (np.arange(1000.0) % 7, np.arange(1000.0) % 7 + 0.5, "number", "mean absolute error"),
    ],
    ids=["texts", "zeros and ones", "numbers"],
)
def test_classes_and_numbers_have_a_quality_too(answer: object, label: object, task: str, measure: str) -> None:
    table = {"said": answer, "was": label, "x": np.arange(1000) % 10}

    found = compare(table, table, prediction="said", label="was")

    assert found.verdict == "fine"
    assert found.quality is not None
    assert (found.quality.task, found.quality.measures[0].name) == (task, measure)


def test_a_column_that_is_gone_or_is_of_another_kind_is_an_alarm_and_a_new_one_is_told() -> None:
    now = orders(1000, seed=3)
    del now["x0"]
    now["x1"] = np.array(["?"] * 1000, dtype=object)
    now["surplus"] = np.ones(1000)

    found = compare(orders(5000), now)

    assert found.verdict == "alarm"
    assert [(f.kind, f.about, f.severity) for f in found.findings] == [
        ("schema", "x0", "warn"),
        ("type", "x1", "warn"),
        ("schema", "surplus", "info"),
    ]
    assert found.headline == "Alarm: x0 and x1 look broken"
    assert found.reasons[0] == "Data: the column 'x0' is gone."


def test_a_drift_that_begins_late_is_found_and_dated_when_there_is_a_time() -> None:
    now = orders(4000, seed=3, days=20)
    now["price"] = np.where(np.arange(4000) >= 3200, np.asarray(now["price"]) + 14.1, now["price"])

    found = compare(orders(12000, days=60), now, time="at")

    assert found.inputs.alarm
    began = next(m.at for m in found.course if m.inputs > found.inputs.threshold)
    assert began is not None
    assert timedelta(0) <= began.replace(tzinfo=None) - datetime(2026, 1, 17) <= timedelta(days=1)
    assert "since 2026-01-1" in found.reasons[0]


def test_what_wobbles_in_the_reference_may_wobble_now() -> None:
    def table(seed: int, rows: int) -> Columns:
        rng = np.random.default_rng(seed)
        day = np.arange(rows) // 200
        return {"x": rng.normal(size=rows) + rng.normal(0, 0.3, day.max() + 1)[day], "day": day}

    then, now = table(1, 12000), table(2, 1000)
    then["at"] = np.datetime64("2026-01-01", "us") + np.asarray(then["day"]) * np.timedelta64(86400, "s")
    now["at"] = np.datetime64("2026-04-01", "us") + np.asarray(now["day"]) * np.timedelta64(86400, "s")

    assert compare(then, now, time="at", columns=["x"]).verdict == "fine"


def test_a_table_that_is_sorted_now_is_no_drift() -> None:
    now = orders(1000, seed=3)
    order = np.argsort(np.asarray(now["price"]))
    now = {name: np.asarray(values)[order] for name, values in now.items()}

    assert compare(orders(5000), now).verdict == "fine"


def test_a_reference_that_is_sorted_still_finds_a_drift() -> None:
    then = orders(5000)
    order = np.argsort(np.asarray(then["price"]))
    then = {name: np.asarray(values)[order] for name, values in then.items()}

    found = compare(then, orders(1000, seed=3, price=0.5))

    assert found.inputs.alarm
    assert any("sorted by 'price'" in note for note in found.notes)


def test_a_row_number_is_left_out_unless_it_is_asked_for() -> None:
    then, now = (
        {"id": np.arange(1000), "x": np.arange(1000) % 7},
        {"id": np.arange(1000, 1500), "x": np.arange(500) % 7},
    )

    assert compare(then, now).verdict == "fine"
    assert compare(then, now, columns=["id"]).verdict == "alarm"


def test_the_same_tables_give_the_same_result_and_it_survives_json() -> None:
    then, now = orders(2000), orders(500, seed=3, price=0.3)
    first, second = compare(then, now, prediction="x0"), compare(then, now, prediction="x0")

    assert first == second
    assert msgspec.convert(json.loads(first.json()), Compared) == msgspec.convert(msgspec.to_builtins(second), Compared)


@pytest.mark.parametrize(
    ("then", "now", "options", "error", "word"),
    [
        ({"x": []}, {"x": [1]}, {}, EmptyTable, "reference"),
        ({"x": [1]}, {"x": []}, {}, EmptyTable, "current"),
        ({}, {"x": [1]}, {}, EmptyTable, "reference"),
        ({"x": [1, 2]}, {"x": [1, 2]}, {"label": "y"}, InputInvalid, "'y'"),
        ({"price": [1, 2]}, {"price": [1, 2]}, {"prediction": "prise"}, InputInvalid, "prise"),
        ({"x": [1, 2]}, {"x": [1, 2]}, {"time": "x"}, InputInvalid, "no times"),
        ({"x": [1, 2]}, {"x": [1, 2]}, {"budget": 0}, InputInvalid, "budget"),
        ({"x": [1, 2]}, {"x": [1, 2]}, {"smallest": 2}, InputInvalid, "smallest"),
        ({"x": [1, 2]}, {"y": [1, 2]}, {"prediction": "x"}, InputInvalid, "'x'"),
        ({"x": [1, 2], "y": [1]}, {"x": [1]}, {}, InputInvalid, "lengths"),
        ({"x": [[1], [2]]}, {"x": [[1], [2]]}, {}, InputInvalid, "no column"),
        ({"x": np.ones((2, 2))}, {"x": [1]}, {}, InputInvalid, "dimensions"),
        (7, {"x": [1]}, {}, InputInvalid, "int"),
        ({"t": ["soon"], "x": [1]}, {"t": ["2026-01-01"], "x": [1]}, {"time": "t"}, InputInvalid, "no times"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(then: object, now: object, options: dict, error: type, word: str) -> None:
    with pytest.raises(error) as caught:
        compare(then, now, **options)

    assert word in str(caught.value)
    assert caught.value.remedy
