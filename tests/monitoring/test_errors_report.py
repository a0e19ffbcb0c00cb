"""Laws of the look at errors: counts add up, what is planted is told, and what cannot be said is not."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid, LabelInvalid, NotFound
from noria.monitoring.errors import Answers, answers_of, confusion, error_report, residuals
from noria.monitoring.errors_attribution import attribute, told_together


def shop(seed: int = 0, *, rows: int = 3000, blind: float = 0.0) -> tuple[Answers, dict[str, np.ndarray], np.ndarray]:
    """A calibrated model, except that it says `blind` too little for orders over the web."""
    rng = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {
        "price": rng.gamma(2, 30, rows),
        "shop": rng.choice(["north", "web"], rows, p=[0.7, 0.3]),
    }
    truth = 1 / (1 + np.exp(-rng.normal(-1, 1, rows)))
    happened = (rng.random(rows) < truth).astype(float)
    said = np.clip(truth - blind * (columns["shop"] == "web"), 0.01, 0.99)
    return answers_of(happened, said), columns, np.arange(rows) // 100


def test_every_answer_is_counted_once() -> None:
    answers, _, days = shop()

    found = confusion(answers, blocks=days)

    assert sum(sum(row) for row in found.matrix) == answers.rows
    accuracy = found.rates["accuracy"]
    assert accuracy is not None
    assert accuracy.value == pytest.approx((found.matrix[0][0] + found.matrix[1][1]) / answers.rows)
    assert sum(m.share for m in found.mixups) == pytest.approx(1.0)


def test_a_threshold_that_says_never_is_noted() -> None:
    answers, _, days = shop()
    never = answers_of(answers.happened, answers.said * 0.4, threshold=0.5)

    found = confusion(never, blocks=days)

    assert found.rates["precision"] is None
    assert "every answer is negative" in found.note


def test_classes_are_counted_with_their_names_and_rare_ones_together() -> None:
    rng = np.random.default_rng(0)
    happened = np.concatenate([np.zeros(50), np.ones(50), np.arange(2, 40)])
    said = np.where(rng.random(happened.size) < 0.8, happened, 0)

    found = confusion(answers_of(happened, said, task="multiclass"), classes=["cat", "dog"])

    assert found.classes[:2] == ("cat", "dog")
    assert found.classes[-1] == "all others"
    assert sum(sum(row) for row in found.matrix) == happened.size


def test_probabilities_of_classes_give_a_log_loss() -> None:
    answers = answers_of([0, 1, 2], [0, 0, 0], probabilities=[[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2]])

    assert answers.said.tolist() == [0, 1, 0]
    assert answers.loss == pytest.approx(-np.log([0.8, 0.6, 0.2]))
    assert answers.wrong.tolist() == [False, False, True]


def test_a_model_that_keeps_its_word_has_no_gap_and_one_that_does_not_has() -> None:
    honest, _, days = shop()
    shy = answers_of(honest.happened, honest.said * 0.4)

    kept, broken = residuals(honest, blocks=days), residuals(shy, blocks=days)

    assert kept is not None and broken is not None
    assert all(b.gap.low <= 0 <= b.gap.high for b in kept.bins)
    assert kept.bias.low <= 0 <= kept.bias.high
    assert sum(b.gap.low > 0 for b in broken.bins) >= 8


def test_what_tells_the_errors_is_told_and_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    columns = {"cause": rng.choice(["a", "b"], 4000), **{f"noise{i}": rng.normal(size=4000) for i in range(8)}}
    losses = rng.exponential(1.0, 4000) + 1.0 * (columns["cause"] == "b")

    told = attribute(columns, losses, blocks=np.arange(4000) // 100)

    assert told[0].column == "cause"
    assert told[0].sure
    assert told[0].explained.low < 0.25 / 1.25 < told[0].explained.high
    assert not any(a.sure for a in told[1:])


def test_a_blind_spot_is_named_by_what_is_beyond_expectation_with_examples() -> None:
    answers, columns, days = shop(blind=0.2)
    ids = [f"p{i}" for i in range(answers.rows)]

    found = error_report(answers, columns, ids=ids, blocks=days, by="under")

    assert found.slices is not None
    assert str(found.slices.slices[0]) == "shop = 'web'"
    assert found.slices.slices[0].sure
    assert found.examples[0].inputs["shop"] == "web"
    assert len({e.prediction_id for e in found.examples}) == len(found.examples)


def test_too_few_rows_leave_groups_out_and_say_so() -> None:
    answers, columns, days = shop(rows=100)

    found = error_report(answers, columns, ids=["p"] * 100, blocks=days)

    assert found.slices is None
    assert any("too few" in note for note in found.notes)
    assert found.confusion is not None


def test_quantities_have_residuals_and_no_sides() -> None:
    rng = np.random.default_rng(2)
    happened = rng.normal(10, 3, 1000)
    answers = answers_of(happened, happened + rng.normal(1, 1, 1000))

    found = error_report(
        answers, {"x": rng.normal(size=1000)}, ids=[str(i) for i in range(1000)], blocks=np.arange(1000) // 50
    )

    assert found.task == "regression"
    assert found.confusion is None
    assert found.residuals is not None
    assert found.residuals.bias.high < 0
    with pytest.raises(InputInvalid):
        answers.measure("error")


def test_bad_labels_and_measures_are_refused() -> None:
    with pytest.raises(EmptySample):
        answers_of([], [])
    with pytest.raises(LabelInvalid):
        answers_of([0, 2], [0.5, 0.5], task="binary")
    with pytest.raises(LabelInvalid):
        answers_of([0, 3], [0, 0], probabilities=[[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(InputInvalid):
        answers_of([0, float("nan")], [0.5, 0.5])
    with pytest.raises(NotFound):
        answers_of([0, 1], [0.5, 0.5]).measure("anger")


def test_what_the_columns_tell_together_is_more_than_one_tells_and_of_noise_it_is_nothing() -> None:
    rng = np.random.default_rng(3)
    columns = {"a": rng.choice(["x", "y"], 4000), "b": rng.normal(size=4000)}
    losses = rng.exponential(1.0, 4000) + 1.0 * (columns["a"] == "y") + 1.0 * (columns["b"] > 0)
    days = np.arange(4000) // 100

    both, alone = told_together(columns, losses, blocks=days), attribute(columns, losses, blocks=days)
    noise = told_together(columns, rng.exponential(1.0, 4000), blocks=days)

    assert both is not None and noise is not None
    assert both.low < 0.5 / 1.5 < both.high
    assert both.value > 1.5 * alone[0].explained.value
    assert noise.low < 0.01
    assert told_together({"a": np.ones(4000)}, losses) is None
