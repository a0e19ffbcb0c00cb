"""Labels that look wrong in themselves are told from a world that changed."""

from datetime import UTC, datetime

import numpy as np
import pytest

from noria.retraining.doubt import Labelled, contradicted, doubtful, labelled

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def a_life(
    seed: int, *, rate: float = 0.0, days: range = range(0), turned: range = range(0), a_day: int = 150
) -> Labelled:
    """20 days. rate: of labels flipped on the way on `days`; on the days of `turned` the world follows one of two inputs the other way round."""
    rng = np.random.default_rng(seed)
    n = 20 * a_day
    day = np.arange(n) // a_day
    one, two = rng.normal(size=n), rng.normal(size=n)
    score = 1 / (1 + np.exp(-1.2 * one - 0.8 * two))
    other = np.isin(day, list(turned))
    truth = 1 / (1 + np.exp(-1.2 * np.where(other, -one, one) - 0.8 * two))
    y = (rng.random(n) < truth).astype(float)
    wrong = np.isin(day, list(days)) & (rng.random(n) < rate)
    known = np.datetime64("2026-01-01") + day * np.timedelta64(1, "D")
    return labelled(np.where(wrong, 1 - y, y), score, known=known, inputs={"one": one, "two": two})


@pytest.mark.parametrize("seed", range(6))
def test_flipped_labels_are_dated_and_a_calm_or_turned_world_is_not_doubted(seed: int) -> None:
    (flipped,) = doubtful(a_life(seed, rate=1.0, days=range(8, 12)))
    (open_end,) = doubtful(a_life(seed, rate=0.9, days=range(16, 20)))

    assert (flipped.since, flipped.until) == (datetime(2026, 1, 9, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))
    assert "of 600 labels look flipped, whatever the inputs were" in flipped.what
    assert (open_end.since.day, open_end.until) == (17, None)
    assert doubtful(a_life(seed)) == []
    assert doubtful(a_life(seed, turned=range(8, 20))) == []


def test_labels_that_are_all_alike_are_doubted() -> None:
    rows = a_life(0)
    lost = rows.known >= np.datetime64("2026-01-19")

    (found,) = doubtful(labelled(np.where(lost, 0.0, rows.y), rows.p, known=rows.known, inputs=rows.inputs))

    assert found.what.startswith("all 300 labels are 0, where the scores led to expect")
    assert found.until is None


def test_contradicting_labels_are_doubted_from_a_share_on() -> None:
    assert contradicted([FIRST] * 19, [FIRST] * 30) is None
    assert contradicted([FIRST] * 30, [FIRST] * 1000) is None
    found = contradicted([FIRST] * 100, [FIRST] * 900)
    assert found is not None
    assert "10% of all" in found.what


def test_nothing_is_said_of_no_labels() -> None:
    assert doubtful(labelled([], [], known=np.array([], dtype="datetime64[us]"), inputs={})) == []
