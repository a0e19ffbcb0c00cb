"""Permutation importance: what is used matters, what is not does not."""

import numpy as np
import pytest

from noria.errors import InputInvalid, NotFound
from noria.evaluation.explain import Columns, permutation_importance


def predict(columns: Columns) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(2.0 * columns["strong"] + 0.5 * columns["weak"]))))


def a_table() -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(1)
    columns = {name: rng.normal(size=2000) for name in ("unused", "weak", "strong")}
    return columns, (rng.uniform(size=2000) < predict(columns)).astype(float)


@pytest.mark.parametrize("metric", ["log_loss", "auc", "accuracy"])
def test_inputs_are_ordered_by_what_the_model_leans_on(metric: str) -> None:
    columns, y = a_table()

    found = permutation_importance(predict, columns, y, metric=metric, seed=2)

    assert found[0].feature == "strong"
    assert next(i for i in found if i.feature == "unused").worsening == 0
    assert found == permutation_importance(predict, columns, y, metric=metric, seed=2)


def test_a_metric_that_is_no_mean_over_rows_is_refused() -> None:
    columns, y = a_table()

    with pytest.raises(NotFound):
        permutation_importance(predict, columns, y, metric="f1")
    with pytest.raises(InputInvalid):
        permutation_importance(predict, columns, y, repeats=0)
