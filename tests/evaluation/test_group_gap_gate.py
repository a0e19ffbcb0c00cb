"""The gate that holds a candidate to the same treatment of groups."""

import numpy as np

from noria.domain.gate import Gate
from noria.evaluation.gates import judge
from noria.evaluation.sample import Sample


def a_sample(*, blind: float, rows: int = 6000) -> Sample:
    rng = np.random.default_rng(0)
    group = rng.choice(["a", "b"], rows)
    truth = rng.uniform(0, 1, rows)
    said = np.clip(truth - blind * (group == "b"), 0, 1)
    happened = (rng.random(rows) < truth).astype(float)
    return Sample(y=happened, p=said, block=np.arange(rows) // 200, slices={"group": group})


def a_gate(metric: str = "selection_rate", **changes: object) -> Gate:
    fields = {
        "name": "same for all",
        "kind": "group_gap",
        "metric": metric,
        "limit": 0.1,
        "better": "lower",
        "slice_by": "group",
    }
    return Gate(**{**fields, **changes})  # type: ignore[arg-type]


def test_equal_treatment_passes_and_a_gap_does_not() -> None:
    fair, unfair = judge([a_gate()], a_sample(blind=0.0)), judge([a_gate()], a_sample(blind=0.2))

    assert fair.passed
    assert not unfair.passed
    assert unfair.results[0].slice_value in ("a", "b")
    assert "may surely differ by no more than 0.1" in unfair.results[0].evidence


def test_too_few_rows_fail_because_nothing_is_sure() -> None:
    assert not judge([a_gate(minimum_rows=20)], a_sample(blind=0.0, rows=200)).passed


def test_a_measure_that_nobody_knows_fails_and_says_which_there_are() -> None:
    result = judge([a_gate("kindness")], a_sample(blind=0.0)).results[0]

    assert not result.passed
    assert "kindness" in result.evidence
