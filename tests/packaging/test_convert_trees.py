"""XGBoost and scikit-learn's histogram trees as ONNX: the same answers beside every threshold and with missing values, or refused with the reason."""

import functools

import numpy as np
import pytest

from noria.adapters.flavors import onnx
from noria.errors import BundleError
from noria.packaging.convert import raw_thresholds, to_onnx
from noria.packaging.parity import parity
from noria.packaging.signature import infer_signature

pytestmark = pytest.mark.filterwarnings("ignore")
EXPONENTIAL = ("count:poisson", "reg:gamma", "reg:tweedie")


@functools.cache
def rows(count=600):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(count, 3))
    x[rng.random(x.shape) < 0.1] = np.nan
    return x


def sums():
    return np.nansum(rows(), axis=1)


def judged(model, answers, tmp_path, outputs=("probability",)):
    """What parity says of a model against its own answers."""
    columns = {f"x{i}": rows()[:, i] for i in range(3)}
    signature = infer_signature(columns, {name: np.zeros(1, np.float32) for name in outputs})
    onnx.FLAVOR.save(to_onnx(model, signature), signature, tmp_path)

    def origin(given):
        found = np.asarray(answers(np.column_stack(list(given.values())))).reshape(len(given["x0"]), -1)
        return {n: found[:, -1] if len(outputs) == 1 else found[:, i] for i, n in enumerate(outputs)}

    converted = onnx.FLAVOR.load(tmp_path, signature).predict
    return parity(
        origin, converted, columns, signature=signature, thresholds=raw_thresholds(model, signature), tolerance=1e-6
    )


def xgboost(kind="Classifier", y=None, **params):
    import xgboost as xgb

    params = {"n_estimators": 20, "max_depth": 3, "n_jobs": 1} | params
    return getattr(xgb, f"XGB{kind}")(**params).fit(rows(), (sums() > 0.5).astype(int) if y is None else y)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"booster": "dart", "rate_drop": 0.4},
        {"num_parallel_tree": 3},
        {"scale_pos_weight": 4.0},
        {"base_score": 0.2},
    ],
    ids=lambda params: " ".join(params) or "plain",
)
def test_xgboost_classifiers_answer_alike(tmp_path, params):
    model = xgboost(**params)

    verdict = judged(model, model.predict_proba, tmp_path)

    assert verdict.passed, verdict.reason
    assert verdict.label_flips == 0
    assert verdict.cases == ("sample", "near thresholds", "missing values")


def test_a_bare_booster_answers_alike(tmp_path):
    booster = xgboost().get_booster()

    assert judged(booster, booster.inplace_predict, tmp_path).passed


def test_several_classes_and_several_targets_give_one_output_each(tmp_path):
    classes = xgboost(y=np.digitize(sums(), [-1, 1]))
    targets = xgboost("Regressor", y=np.stack([sums(), -sums()], axis=1))

    assert judged(classes, classes.predict_proba, tmp_path, ("a", "b", "c")).passed
    assert judged(targets, targets.predict, tmp_path, ("a", "b")).max_difference == 0.0


@pytest.mark.parametrize(
    "objective",
    [
        "reg:squarederror",
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:logistic",
        "count:poisson",
        "reg:gamma",
        "reg:tweedie",
    ],
)
def test_xgboost_regressions_answer_alike_through_their_link(tmp_path, objective):
    y = (
        np.exp(sums() / 3)
        if objective in EXPONENTIAL
        else 1 / (1 + np.exp(-sums()))
        if "logistic" in objective
        else sums()
    )
    model = xgboost("Regressor", y=y, objective=objective)

    verdict = judged(model, model.predict, tmp_path)

    assert verdict.passed, verdict.reason


def test_trees_after_the_best_iteration_do_not_answer(tmp_path):
    shuffled = np.random.default_rng(1).integers(0, 2, 600)
    import xgboost as xgb

    model = xgb.XGBClassifier(n_estimators=30, max_depth=3, n_jobs=1, early_stopping_rounds=3)
    model.fit(rows(), (sums() > 0.5).astype(int), eval_set=[(rows(), shuffled)], verbose=False)

    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    assert judged(model, model.predict_proba, tmp_path).passed


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"booster": "gblinear"}, "gblinear"),
        ({"missing": -1.0}, "-1.0"),
        ({"objective": "binary:hinge"}, "hinge"),
        ({"kind": "Regressor", "multi_strategy": "multi_output_tree", "y": "two"}, "several values"),
    ],
)
def test_xgboost_trees_that_onnx_cannot_say_are_refused_with_the_reason(params, why):
    if params.get("y") == "two":
        params = params | {"y": np.stack([sums(), -sums()], axis=1)}
    model = xgboost(**params)

    with pytest.raises(BundleError) as refused:
        to_onnx(model, infer_signature({f"x{i}": rows()[:, i] for i in range(3)}, {"p": np.zeros(1)}))

    assert why in refused.value.cause


def test_categories_inside_xgboost_are_refused_with_the_reason():
    import xgboost as xgb

    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=300), rng.integers(0, 5, 300)])
    data = xgb.DMatrix(x, label=(x[:, 1] == 2).astype(int), feature_types=["q", "c"])
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 2}, data, 3)

    with pytest.raises(BundleError) as refused:
        to_onnx(booster, infer_signature({"a": x[:, 0], "c": x[:, 1]}, {"p": np.zeros(1)}))

    assert "categories" in refused.value.cause


def test_a_pipeline_that_ends_in_xgboost_answers_alike(tmp_path):
    import xgboost as xgb
    from sklearn.pipeline import Pipeline

    from tests.packaging.test_convert_parity import native
    from tests.serving.worker_factory import arrays, before, flights, late, signature_of

    table = flights()
    trees = xgb.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1)
    model = Pipeline([("before", before()), ("model", trees)]).fit(table, late(table))
    signature = signature_of(table)
    onnx.FLAVOR.save(to_onnx(model, signature), signature, tmp_path)

    verdict = parity(
        native(model),
        onnx.FLAVOR.load(tmp_path, signature).predict,
        arrays(table),
        signature=signature,
        thresholds=raw_thresholds(model, signature),
    )

    assert verdict.passed, verdict.reason
    assert verdict.cases == ("sample", "near thresholds", "missing values", "unseen categories")


def histogram(kind, y, **params):
    import sklearn.ensemble

    return getattr(sklearn.ensemble, f"HistGradientBoosting{kind}")(max_iter=15, **params).fit(rows(), y)


def test_histogram_classifiers_answer_alike(tmp_path):
    two, three = histogram("Classifier", sums() > 0.5), histogram("Classifier", np.digitize(sums(), [-1, 1]))

    assert judged(two, two.predict_proba, tmp_path).passed
    assert judged(three, three.predict_proba, tmp_path, ("a", "b", "c")).passed


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson", "gamma", "quantile"])
def test_histogram_regressors_answer_alike_through_their_link(tmp_path, loss):
    model = histogram("Regressor", np.exp(sums() / 3), loss=loss, **({"quantile": 0.3} if loss == "quantile" else {}))

    assert judged(model, model.predict, tmp_path).passed


def test_categories_inside_histogram_trees_are_refused_with_the_reason():
    from sklearn.ensemble import HistGradientBoostingRegressor

    x = np.column_stack([rows()[:, 0], np.arange(600) % 4])
    model = HistGradientBoostingRegressor(max_iter=3, categorical_features=[1]).fit(x, sums())

    with pytest.raises(BundleError) as refused:
        to_onnx(model, infer_signature({"a": x[:, 0], "c": x[:, 1]}, {"p": np.zeros(1)}))

    assert "categories" in refused.value.cause


@pytest.mark.parametrize("kind", ["xgboost", "histogram"])
def test_the_same_trees_give_the_same_bytes(kind):
    signature = infer_signature({f"x{i}": rows()[:, i] for i in range(3)}, {"p": np.zeros(1)})
    model = xgboost() if kind == "xgboost" else histogram("Classifier", sums() > 0)

    assert to_onnx(model, signature) == to_onnx(model, signature)


@pytest.mark.parametrize(
    "name",
    ["DecisionTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier", "GradientBoostingClassifier"],
)
def test_scikit_learns_own_trees_are_tried_beside_their_thresholds_too(tmp_path, name):
    import sklearn.ensemble
    import sklearn.tree

    kind = getattr(sklearn.tree if name.startswith("Decision") else sklearn.ensemble, name)
    filled = np.nan_to_num(rows())
    model = kind(random_state=0, **({} if name.startswith("Decision") else {"n_estimators": 8}))
    model.fit(filled, (sums() > 0.5).astype(int))

    def answers(given):
        return model.predict_proba(np.nan_to_num(given))

    columns = {f"x{i}": filled[:, i] for i in range(3)}
    signature = infer_signature(columns, {"probability": np.zeros(1, np.float32)})
    onnx.FLAVOR.save(to_onnx(model, signature), signature, tmp_path)
    thresholds = raw_thresholds(model, signature)
    verdict = parity(
        lambda given: {"probability": answers(np.column_stack(list(given.values())))[:, 1]},
        onnx.FLAVOR.load(tmp_path, signature).predict,
        columns,
        signature=signature,
        thresholds=thresholds,
        tolerance=1e-6,
    )

    assert sum(map(len, thresholds.values())) > 10
    assert verdict.passed, verdict.reason
    assert verdict.label_flips == 0
    assert verdict.cases == ("sample", "near thresholds")
