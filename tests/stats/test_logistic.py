"""The own logistic regression finds the optimum that scikit-learn finds, on sparse and on dense rows."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from noria.errors import EmptySample, InputInvalid
from noria.stats.logistic import Dense, Sparse, fit_logistic, one_hot


@pytest.mark.parametrize("penalty", [1e-2, 1e-4])
def test_it_finds_what_scikit_learn_finds(penalty: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 6)) / np.sqrt(6)
    y = (rng.random(800) < 1 / (1 + np.exp(-3 * x[:, 0] + x[:, 1] - 0.3))).astype(float)

    own = fit_logistic(Dense(x), y, penalty=penalty, steps=200)

    theirs = LogisticRegression(C=1 / (penalty * 800), tol=1e-10, max_iter=2000).fit(x, y)
    assert own.weights == pytest.approx(theirs.coef_[0], abs=1e-3)
    assert own.bias == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_sparse_rows_are_dense_rows_of_norm_one() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, (300, 3))
    sparse = one_hot(codes, [4, 4, 4])
    dense = np.zeros((300, 12))
    for column in range(3):
        dense[np.arange(300), 4 * column + codes[:, column]] = 1 / np.sqrt(3)
    y = (codes[:, 0] > 1).astype(float)

    a, b = fit_logistic(sparse, y), fit_logistic(Dense(dense), y)

    assert a.log_odds(sparse) == pytest.approx(b.log_odds(Dense(dense)), abs=1e-6)
    kept = rng.random(300) < 0.4
    assert a.log_odds(sparse.only(kept)) == pytest.approx(a.log_odds(sparse)[kept])


def test_rows_without_any_column_are_rows() -> None:
    empty = Sparse(np.array([0], dtype=np.int64), np.array([0, 0, 1, 1], dtype=np.int64), 1)

    assert fit_logistic(empty, [0, 1, 0]).log_odds(empty).shape == (3,)


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(EmptySample):
        fit_logistic(Dense(np.ones((3, 1))), [1, 1, 1])
    with pytest.raises(InputInvalid):
        fit_logistic(Dense(np.ones((3, 1))), [1, 0])
    with pytest.raises(InputInvalid):
        one_hot(np.zeros((3, 2), dtype=np.int64), [4])
