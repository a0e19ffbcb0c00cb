"""Every flavor under the suite of the port. PyTorch's is in test_flavor_torch: it is large and not always there."""

import functools

import numpy as np
import pytest

from noria.adapters.flavors import lightgbm, onnx, pickle, python, sklearn, xgboost
from noria.packaging.convert import to_onnx
from noria.packaging.signature import infer_signature
from noria.testing.flavor_suite import FlavorCase, FlavorSuite
from tests.serving.worker_factory import arrays, before, boosting, flights, late, signature_of

pytestmark = pytest.mark.filterwarnings("ignore")


@functools.cache
def numbers():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 3))
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, np.digitize(np.nansum(x, axis=1), [-1, 1])


def columns():
    return {f"x{i}": numbers()[0][:, i] for i in range(3)}


def case(flavor, package, model, answers, *, given=None, **more):
    given = columns() if given is None else given
    return FlavorCase(
        flavor=flavor.FLAVOR,
        module=flavor.__name__,
        package=package,
        model=model,
        signature=infer_signature(given, answers),
        columns=given,
        answers=answers,
        **more,
    )


def by_class(probabilities):
    return {f"probability.{k}": probabilities[:, k].astype(np.float32) for k in range(probabilities.shape[1])}


class TestOnnx(FlavorSuite):
    @pytest.fixture
    def case(self):
        table = flights()
        graph = to_onnx(boosting(), signature_of(table))
        answers = {"probability": boosting().predict_proba(table)[:, 1].astype(np.float32)}
        return case(onnx, "onnxruntime", graph, answers, given=arrays(table))


class TestLightgbm(FlavorSuite):
    @pytest.fixture
    def case(self):
        from lightgbm import LGBMClassifier

        model = LGBMClassifier(n_estimators=5, num_leaves=7, verbose=-1, n_jobs=1).fit(*numbers())
        return case(lightgbm, "lightgbm", model, by_class(model.predict_proba(numbers()[0])))


class TestXgboost(FlavorSuite):
    @pytest.fixture
    def case(self):
        from xgboost import XGBClassifier

        model = XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1).fit(*numbers())
        return case(xgboost, "xgboost", model, by_class(model.predict_proba(numbers()[0])))


class TestXgboostLinear(FlavorSuite):
    """The one booster that is not safe for threads by itself."""

    @pytest.fixture
    def case(self):
        from xgboost import XGBRegressor

        model = XGBRegressor(booster="gblinear", n_estimators=5, n_jobs=1).fit(*numbers())
        return case(xgboost, "xgboost", model, {"value": model.predict(numbers()[0])})


class TestSklearn(FlavorSuite):
    @pytest.fixture
    def case(self):
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.pipeline import Pipeline

        table = flights()
        model = Pipeline([("before", before()), ("model", HistGradientBoostingClassifier(max_iter=5))])
        model.fit(table, late(table))
        answers = {"probability": model.predict_proba(table)[:, 1].astype(np.float32)}
        return case(sklearn, "skops", model, answers, given=arrays(table))


def rule(given):
    """A plain function: late if the carrier is often late, or the flight before was."""
    often = np.array([carrier in LATE_CARRIERS for carrier in given["carrier"]])
    return np.clip(np.nan_to_num(given["delay"]) / 60 + often * 0.5, 0, 1)


LATE_CARRIERS = ("UA",)


class Rule:
    """An object with `predict`, and with state."""

    def __init__(self, weight):
        self.weight = weight

    def predict(self, given):
        return {"probability": rule(given) * self.weight, "carrier": given["carrier"]}


class TestPythonFunction(FlavorSuite):
    @pytest.fixture
    def case(self):
        given = arrays(flights())
        return case(python, "", rule, {"probability": rule(given)}, given=given)


class TestPythonObject(FlavorSuite):
    @pytest.fixture
    def case(self):
        given = {n: v for n, v in arrays(flights()).items() if n != "origin"}
        answers = {"probability": rule(given) * 0.5}
        return case(python, "cloudpickle", Rule(0.5), answers, given=given)


class OwnEstimator:
    """An estimator of somebody's own: what skops would not load."""

    def get_params(self, deep=True):
        return {}

    def fit(self, x, y):
        self.mean_ = np.nanmean(x, axis=0)
        return self

    def predict(self, x):
        return np.nan_to_num(x - self.mean_).sum(axis=1)


class TestPickle(FlavorSuite):
    @pytest.fixture
    def case(self):
        model = OwnEstimator().fit(*numbers())
        return case(pickle, "cloudpickle", model, {"value": model.predict(numbers()[0])})
