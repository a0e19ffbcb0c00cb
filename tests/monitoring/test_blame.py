"""Laws of root causes: each change is laid at the right door, the parts add up, and nothing is blamed for chance."""

import numpy as np
import pytest

from noria.errors import EmptySample
from noria.monitoring.blame import Stretch, diagnose


def a_stretch(
    seed: int, *, days: int = 20, rows: int = 3000, moved: float = 0.0, meaning: float = 0.0, other: float = 0.0
) -> Stretch:
    """Losses that rise with x0. moved: how far x0 is; meaning: what a high x2 costs more; other: how far x1, which does not matter, is."""
    rng = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {f"x{i}": rng.normal(size=rows) for i in range(5)}
    columns["x0"] = columns["x0"] + moved
    columns["x1"] = columns["x1"] + other
    columns["shop"] = rng.choice(["a", "b"], rows)
    expected = 0.3 + 0.2 * np.tanh(columns["x0"]) + meaning * (columns["x2"] > 0)
    return Stretch(columns=columns, values=expected * rng.exponential(1, rows), days=np.arange(rows) * days // rows)


def test_inputs_that_moved_are_blamed_and_named() -> None:
    found = diagnose(a_stretch(0), a_stretch(1, moved=0.8))

    assert found.inputs.low > 0
    assert found.meaning.low < 0 < found.meaning.high
    assert found.causes[0].feature == "x0"
    assert found.causes[0].sure and found.causes[0].moved
    assert "because the inputs moved (x0)" in found.verdict


def test_a_new_meaning_is_no_ones_fault_among_the_inputs() -> None:
    found = diagnose(a_stretch(0), a_stretch(1, meaning=0.25))

    assert found.meaning.low < 0.125 < found.meaning.high
    assert found.meaning.low > 0
    assert not any(c.sure for c in found.causes)
    assert "mean something else now" in found.verdict


def test_an_input_that_moved_and_does_not_matter_is_seen_and_not_blamed() -> None:
    found = diagnose(a_stretch(0), a_stretch(1, other=1.0), importance={"x0": 3.0, "x1": 1.0})

    cause = next(c for c in found.causes if c.feature == "x1")
    assert cause.moved
    assert not cause.sure
    assert cause.importance == pytest.approx(0.25)
    assert "did not surely change" in found.verdict


def test_the_parts_add_up_and_the_split_is_the_same_every_time() -> None:
    one, again = (diagnose(a_stretch(2), a_stretch(3, moved=0.5, meaning=0.1)) for _ in range(2))

    assert one == again
    assert one.inputs.value + one.meaning.value == pytest.approx(one.change.value)


def test_chance_is_rarely_blamed() -> None:
    blamed = [diagnose(a_stretch(100 + 2 * s, rows=1200), a_stretch(101 + 2 * s, rows=1200)) for s in range(8)]

    assert sum(any(c.sure for c in d.causes) for d in blamed) <= 2
    assert sum("did not surely change" not in d.verdict for d in blamed) <= 2


def test_stretches_that_do_not_overlap_are_said_to_be_a_guess() -> None:
    found = diagnose(a_stretch(0), a_stretch(1, moved=6.0))

    assert any("the split is a guess" in note for note in found.notes)


def test_too_few_days_and_no_common_column_are_refused() -> None:
    with pytest.raises(EmptySample, match="four days"):
        diagnose(a_stretch(0), a_stretch(1, days=3))
    bare = a_stretch(1)
    with pytest.raises(EmptySample, match="no column in common"):
        diagnose(a_stretch(0), Stretch(columns={"z": np.ones(3000)}, values=bare.values, days=bare.days))
