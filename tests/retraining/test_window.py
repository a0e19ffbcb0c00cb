"""What a back-test says, and weights by age."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.errors import InputInvalid
from noria.retraining.window import evidence, weights

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_evidence_has_the_error_of_the_paired_difference_over_days() -> None:
    rng = np.random.default_rng(1)
    hard = np.repeat(rng.exponential(size=14), 100)
    losses = {("all", "boosting"): hard, ("recent", "boosting"): hard + 0.01 + np.repeat(rng.normal(0, 0.004, 14), 100)}

    table = evidence(losses, np.repeat(np.arange(14), 100))  # type: ignore[arg-type]

    by_window = {e.window: e for e in table}
    assert by_window["all"].error == 0.0
    assert 0.0005 < (by_window["recent"].error or 0) < 0.003
    with pytest.raises(InputInvalid):
        evidence({("all", "a"): [1.0], ("recent", "a"): [1.0, 2.0]}, [0])


def test_weights_halve_with_the_half_life_and_average_to_one() -> None:
    times = [NOW - timedelta(days=d) for d in (0, 30, 60)]

    found = weights(times, until=NOW, half_life_days=30)
    same = weights(
        np.array([t.replace(tzinfo=None) for t in times], dtype="datetime64[us]"), until=NOW, half_life_days=30
    )

    assert found[0] / found[1] == pytest.approx(2)
    assert found[1] / found[2] == pytest.approx(2)
    assert found.mean() == pytest.approx(1)
    assert same == pytest.approx(found)
    with pytest.raises(InputInvalid):
        weights(times, until=NOW, half_life_days=0)
