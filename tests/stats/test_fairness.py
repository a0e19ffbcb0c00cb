"""Laws of group comparisons: equal treatment is rarely called unequal, a planted gap is found with its size, few rows are not judged."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid
from noria.stats.fairness import binary_measures, fairness

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def people(seed: int, *, rows: int = 3000, blind: float = 0.0, days: int = 30) -> Rows:
    """Groups 'a', 'b' and a few 'c'; the scores of 'b' are too low by `blind`. Every day moves all groups alike."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], rows, p=[0.6, 0.395, 0.005])
    day = np.arange(rows) * days // rows
    truth = 1 / (1 + np.exp(-rng.normal(0, 1.2, rows) - rng.normal(0, 0.7, days)[day]))
    happened = (rng.random(rows) < truth).astype(float)
    return group, happened, np.clip(truth - blind * (group == "b"), 0, 1), day


def report(rows: Rows, **changes: object):  # type: ignore[no-untyped-def]
    group, happened, said, day = rows
    measures = binary_measures(happened, said)
    known = ~np.isnan(happened)
    return fairness(group.tolist(), measures, column="group", labelled=known, blocks=day, **changes)  # type: ignore[arg-type]


def test_equal_treatment_is_rarely_called_unequal() -> None:
    wrong = sum(any(g.sure for g in report(people(seed)).gaps) for seed in range(20))

    assert wrong <= 4  # one in twenty is promised


def test_a_planted_gap_is_found_with_its_size() -> None:
    found = report(people(1, blind=0.25, rows=8000))

    by = {(g.measure, g.group): g for g in found.gaps}
    assert by["calibration", "b"].beyond
    assert by["calibration", "b"].gap.low < 0.24 < by["calibration", "b"].gap.high + 0.02
    assert by["selection_rate", "b"].beyond
    assert found.ratio is not None and found.ratio.high < 0.8
    assert found.ratio_group == "b"


def test_a_small_group_is_named_and_not_judged() -> None:
    found = report(people(2))

    assert found.too_small == {"c": pytest.approx(15, abs=10)}
    assert {g.group for g in found.groups} == {"a", "b"}


def test_what_few_rows_cannot_tell_is_neither_small_nor_large() -> None:
    found = report(people(3, rows=200))

    open_ = [g for g in found.gaps if not g.beyond and not g.settled]
    assert open_
    assert any(g.rows_needed > 60 for g in open_)


def test_days_that_move_all_groups_alike_cancel() -> None:
    found = report(people(4))

    gap = next(g.gap for g in found.gaps if g.measure == "selection_rate" and g.group == "b")
    own = next(g.rates["selection_rate"] for g in found.groups if g.group == "b")
    assert gap.high - gap.low < own.high - own.low


def test_two_groups_have_one_gap_a_measure() -> None:
    group, happened, said, day = people(5)
    two = np.where(group == "c", "b", group)

    found = report((two, happened, said, day))

    assert len(found.gaps) == len({g.measure for g in found.gaps})


def test_unlabelled_answers_count_where_no_outcome_is_needed() -> None:
    group, happened, said, day = people(6)
    happened[::2] = np.nan

    found = report((group, happened, said, day))

    one = found.groups[0]
    assert one.labelled < one.rows == one.rates["selection_rate"].n
    assert one.rates["calibration"].n == one.labelled


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputInvalid):
        binary_measures([0, 2], [0.5, 0.5])
    with pytest.raises(InputInvalid):
        binary_measures([0, 1], [0.5, 1.5])
    with pytest.raises(EmptySample):
        fairness(["a"] * 50, {}, column="group", labelled=np.ones(50, dtype=bool))
