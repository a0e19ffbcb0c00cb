"""Metrics against scikit-learn, which stands in the extra 'train', and against closed forms."""

import numpy as np
import pytest

from noria.errors import EmptySample, InputInvalid
from noria.stats.metrics import accuracy, auc, brier, calibration_error, entropy, log_loss, placements, row_log_loss

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def a_sample(rows: int = 2000, *, seed: int = 1, decimals: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.01, 0.99, rows).round(decimals)
    return (rng.uniform(size=rows) < p).astype(float), p


def test_log_loss_brier_and_auc_with_ties_equal_scikit_learn() -> None:
    y, p = a_sample()

    assert log_loss(y, p) == pytest.approx(sklearn_metrics.log_loss(y, p), abs=1e-12)
    assert brier(y, p) == pytest.approx(sklearn_metrics.brier_score_loss(y, p), abs=1e-12)
    assert auc(y, p) == pytest.approx(sklearn_metrics.roc_auc_score(y, p), abs=1e-12)
    assert accuracy(y, p) == pytest.approx(sklearn_metrics.accuracy_score(y, p >= 0.5), abs=1e-12)


def test_a_sure_and_wrong_answer_costs_a_finite_loss() -> None:
    assert row_log_loss([1.0], [0.0])[0] == pytest.approx(-np.log(1e-6))


def test_a_calibrated_model_loses_its_own_entropy_on_average() -> None:
    y, p = a_sample(200_000, decimals=6)

    excess = row_log_loss(y, p) - entropy(p)

    assert abs(excess.mean()) < 4 * excess.std() / np.sqrt(excess.size)


def test_both_kinds_of_placements_average_to_the_auc() -> None:
    y, p = a_sample(500)

    high, low = placements(y, p)

    assert high.mean() == pytest.approx(low.mean()) == pytest.approx(auc(y, p))


def test_calibration_error_of_a_constant_score_is_its_distance_to_the_rate() -> None:
    assert calibration_error([0, 0, 0, 1], [0.5] * 4) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 2], [0.1, 0.2]),
        ([0, 1], [0.1, 1.2]),
        ([0, 1], [0.1]),
        ([0, 1], [0.1, float("nan")]),
        ([[0, 1]], [[0.1, 0.2]]),
    ],
)
def test_what_cannot_be_scored_is_refused_with_a_reason(y: list[float], p: list[float]) -> None:
    with pytest.raises(InputInvalid) as caught:
        log_loss(y, p)

    assert caught.value.problem
    assert caught.value.remedy


def test_nothing_and_one_class_are_named_as_what_they_are() -> None:
    with pytest.raises(EmptySample):
        log_loss([], [])
    with pytest.raises(EmptySample, match="both classes"):
        auc([1, 1], [0.2, 0.3])
