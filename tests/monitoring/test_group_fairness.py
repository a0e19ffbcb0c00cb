"""Laws of the comparison of groups that a served model is asked for: any kind of model, crossed columns, missing labels that are said."""

import numpy as np
import pytest

from noria.errors import InputInvalid, NotFound
from noria.monitoring.errors import answers_of
from noria.monitoring.fairness import group_fairness, group_of


def test_a_quantity_that_is_too_low_for_one_group_is_found() -> None:
    rng = np.random.default_rng(0)
    happened = rng.normal(100, 10, 2000)
    age = rng.uniform(18, 80, 2000)
    answers = answers_of(happened, happened + rng.normal(0, 3, 2000) - 5 * (age > 65))

    found = group_fairness(answers, {"age": age}, by="age", blocks=np.arange(2000) // 100)

    worst = next(g for g in found.gaps if g.measure == "calibration")
    assert worst.sure
    assert "age >" in worst.group


def test_classes_are_compared_by_accuracy() -> None:
    rng = np.random.default_rng(1)
    happened = rng.integers(0, 3, 2000).astype(float)
    sex = rng.choice(["f", "m"], 2000)
    wrong = rng.random(2000) < np.where(sex == "f", 0.4, 0.1)
    answers = answers_of(happened, np.where(wrong, (happened + 1) % 3, happened), task="multiclass")

    found = group_fairness(answers, {"sex": sex}, by="sex")

    assert next(g for g in found.gaps if g.measure == "accuracy").beyond


def test_columns_can_be_crossed_and_an_unknown_one_is_refused() -> None:
    assert len(set(group_of({"a": ["x", "y"] * 2, "b": [1.0, 1.0, 2.0, 2.0]}, "a+b"))) == 4
    with pytest.raises(NotFound):
        group_of({"a": ["x"]}, "b")
    with pytest.raises(InputInvalid):
        group_fairness(answers_of([0, 1], [0.1, 0.9]), {"a": ["x", "y"]}, by="a", allowed=-0.1)


def test_a_group_whose_labels_do_not_come_is_noted() -> None:
    rng = np.random.default_rng(2)
    shop = rng.choice(["north", "web"], 1000)
    known = (shop == "north") | (rng.random(1000) < 0.3)
    answers = answers_of((rng.random(1000) < 0.5).astype(float), rng.random(1000))

    found = group_fairness(answers, {"shop": shop}, by="shop", known=known)

    assert any("shop = 'web' have a label" in note for note in found.notes)
