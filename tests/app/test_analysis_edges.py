"""What a log may hold and an analysis must take or refuse with a reason: other tasks, no labels, redacted or empty inputs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from noria.app.analysis import analyse_errors, analyse_groups
from noria.app.causes import analyse_causes
from noria.app.workspace import Workspace
from noria.errors import EmptySample, InputInvalid, LabelInvalid, NotFound
from noria.testing.clock import FakeClock
from tests.app.served import BEGIN, NAME, serve

ROWS = 480
RNG = np.random.default_rng(0)
X: list[object] = RNG.normal(size=ROWS).tolist()
SHOP: list[object] = RNG.choice(["a", "b"], ROWS).tolist()
SCORES: list[object] = RNG.random(ROWS).tolist()
YES: list[float | None] = [float(v) for v in RNG.integers(0, 2, ROWS)]


def asked(
    outputs: dict[str, list[object]], labels: list[float | None], ask: Callable[[Workspace], Any], **changes: Any
) -> Any:
    columns = changes.pop("columns", {"x": X, "shop": SHOP})
    with Workspace.ephemeral("edges", clock=FakeClock(BEGIN)) as workspace:
        serve(workspace, columns, outputs, labels=labels, days=(np.arange(ROWS) // 20).tolist(), **changes)
        workspace.clock.advance(days=26)  # type: ignore[attr-defined]
        return ask(workspace)


def errors(workspace: Workspace) -> Any:
    return analyse_errors(workspace, NAME)


def test_a_quantity_is_a_regression_and_numbers_of_classes_are_classes() -> None:
    quantity = asked({"value": [10 + 3 * float(str(x)) for x in X]}, [float(str(x)) for x in X], errors)
    numbers: list[object] = RNG.integers(0, 3, ROWS).tolist()
    classes = asked({"class": numbers}, [float(v) for v in RNG.integers(0, 3, ROWS)], errors)

    assert (quantity.report.task, classes.report.task) == ("regression", "multiclass")


def test_texts_as_answers_are_refused_with_what_to_do() -> None:
    with pytest.raises(InputInvalid, match="are no numbers"):
        asked({"label": SHOP}, YES, errors)


def test_labels_that_no_probability_can_have_are_refused() -> None:
    with pytest.raises(LabelInvalid, match="must be 0 or 1"):
        asked({"probability": SCORES}, [2.0] * ROWS, errors)


def test_without_labels_there_are_no_errors_but_selection_rates_and_causes_of_the_answers() -> None:
    none: list[float | None] = [None] * ROWS
    with pytest.raises(EmptySample, match="has a label"):
        asked({"probability": SCORES}, none, errors)
    groups = asked({"probability": SCORES}, none, lambda w: analyse_groups(w, NAME, by="shop"))
    causes = asked({"probability": SCORES}, none, lambda w: analyse_causes(w, NAME, since=BEGIN.replace(day=15)))

    assert {g.measure for g in groups.report.gaps} == {"selection_rate"}
    assert causes.diagnosis.measure == "answer"
    assert "too few to explain a loss" in causes.diagnosis.notes[0]


def test_a_redacted_input_is_left_out_and_said() -> None:
    found = asked({"probability": SCORES}, YES, errors, redacted=("shop",))

    assert found.span.redacted == ("shop",)
    assert {a.column for a in found.report.attributions} == {"x"}
    with pytest.raises(NotFound, match="shop"):
        asked({"probability": SCORES}, YES, lambda w: analyse_groups(w, NAME, by="shop"), redacted=("shop",))


def test_inputs_that_are_always_missing_tell_nothing_and_break_nothing() -> None:
    nothing: dict[str, list[object]] = {"x": [None] * ROWS, "shop": [None] * ROWS}
    found = asked({"probability": SCORES}, YES, errors, columns=nothing)

    assert found.report.slices.slices == ()
    with pytest.raises(EmptySample, match="not two groups"):
        asked({"probability": SCORES}, YES, lambda w: analyse_groups(w, NAME, by="shop"), columns=nothing)
