"""XGBoost in its own form: what an estimator knows beyond its trees stays with it, and columns come in the order that it was trained on."""

import numpy as np
import pytest

from noria.adapters.flavors.xgboost import FLAVOR
from noria.app.flavors import Flavors
from noria.domain.ids import RunId
from noria.errors import BundleRefused
from noria.packaging.bundle import build
from noria.packaging.environment import capture
from noria.packaging.signature import infer_signature
from tests.serving.worker_factory import WHEN, arrays, before, flights, late, open_blobs, signature_of

xgb = pytest.importorskip("xgboost")
pytestmark = pytest.mark.filterwarnings("ignore")
X = np.random.default_rng(8).normal(size=(300, 3)).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(int)


def columns(x=X):
    return {f"x{i}": x[:, i] for i in range(x.shape[1])}


def kept(model, folder, outputs=("p",), given=None):
    signature = infer_signature(columns() if given is None else given, {o: np.zeros(1, np.float32) for o in outputs})
    FLAVOR.save(model, signature, folder)
    return FLAVOR.load(folder, signature)


def test_what_an_estimator_reads_as_missing_stays_missing(tmp_path):
    x = np.where(np.random.default_rng(1).random(X.shape) < 0.2, -1.0, X).astype(np.float32)
    model = xgb.XGBClassifier(n_estimators=5, missing=-1.0, n_jobs=1).fit(x, Y)

    answers = kept(model, tmp_path).predict(columns(x))["p"]

    assert np.array_equal(answers, model.predict_proba(x)[:, 1])
    assert not np.array_equal(answers, model.get_booster().inplace_predict(x))


def test_trees_after_the_best_iteration_are_left_out(tmp_path):
    model = xgb.XGBClassifier(n_estimators=40, early_stopping_rounds=2, n_jobs=1)
    model.fit(X, Y, eval_set=[(X, np.random.default_rng(0).integers(0, 2, 300))], verbose=False)

    predictor = kept(model, tmp_path)

    assert predictor.model.num_boosted_rounds() == model.best_iteration + 1
    assert np.array_equal(predictor.predict(columns())["p"], model.predict_proba(X)[:, 1])


def test_packaging_leaves_the_model_as_it_was(tmp_path):
    model = xgb.XGBClassifier(n_estimators=5, missing=-1.0, n_jobs=1).fit(X, Y)

    kept(model, tmp_path)

    assert model.get_booster().attributes() == {}


def test_columns_come_in_the_order_that_the_booster_names(tmp_path):
    booster = xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(X, label=Y, feature_names=["x2", "x0", "x1"]), 5)

    answers = kept(booster, tmp_path).predict({"x0": X[:, 1], "x1": X[:, 2], "x2": X[:, 0]})["p"]

    assert np.array_equal(answers, booster.inplace_predict(X, validate_features=False))


def test_both_classes_can_be_asked_for(tmp_path):
    model = xgb.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, Y)

    answers = kept(model, tmp_path, ("no", "yes")).predict(columns())

    assert np.array_equal(np.column_stack([answers["no"], answers["yes"]]), model.predict_proba(X))


def test_infinity_is_answered_as_the_largest_number(tmp_path):
    predictor = kept(xgb.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, Y), tmp_path)

    endless, large = (predictor.predict(columns(np.where(X > 1, most, X)))["p"] for most in (np.inf, 1e30))

    assert np.array_equal(endless, large)


def test_a_signature_of_another_width_is_refused(tmp_path):
    model = xgb.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, Y)

    with pytest.raises(BundleRefused, match="takes 3 numbers a row, the signature has 2"):
        kept(model, tmp_path, given=columns(X[:, :2]))


def test_text_without_categories_is_refused(tmp_path):
    model = xgb.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, Y)

    with pytest.raises(BundleRefused, match="'x1' is text"):
        kept(model, tmp_path, given={**columns(), "x1": np.array(["a"] * 300, object)})


def test_numbered_categories_are_answered_natively(tmp_path):
    codes = np.random.default_rng(2).integers(0, 5, 300)
    x = np.column_stack([X[:, 0], codes]).astype(np.float32)
    data = xgb.DMatrix(x, label=(codes == 2).astype(int), feature_types=["float", "c"])
    booster = xgb.train({"objective": "binary:logistic", "max_cat_to_onehot": 1}, data, 5)
    given = {"x0": x[:, 0], "x1": codes}

    built = build(
        booster,
        name="m",
        run_id=RunId("r"),
        signature=infer_signature(given, {"p": np.zeros(1, np.float32)}),
        sample=given,
        blobs=open_blobs(tmp_path),
        flavors=Flavors(),
        environment=capture(),
        created_at=WHEN,
    )
    (tmp_path / "model").mkdir()
    answers = kept(booster, tmp_path / "model", given=given).predict(given)["p"]

    assert (built.bundle.flavor, built.bundle.code_free) == ("xgboost", True)
    assert "categories" in built.note
    assert np.array_equal(answers, booster.predict(data))


def of_cities(cities):
    """A model over a number and a city; its frame; its signature."""
    pd = pytest.importorskip("pandas", reason="XGBoost takes categories of text from a pandas frame alone")
    frame = pd.DataFrame({"x0": X[:, 0], "city": pd.Categorical(cities)})
    model = xgb.XGBClassifier(n_estimators=5, enable_categorical=True, max_cat_to_onehot=1, n_jobs=1)
    model.fit(frame, (cities == cities[0]).astype(int))
    return model, frame, infer_signature({"x0": X[:, 0], "city": cities.astype(object)}, {"p": np.zeros(1, np.float32)})


def test_categories_of_text_are_looked_up_and_unknown_ones_are_missing(tmp_path):
    cities = np.random.default_rng(2).choice(["Oslo", "Rome", "Turin"], 300)
    model, frame, signature = of_cities(cities)
    FLAVOR.save(model, signature, tmp_path)
    predictor = FLAVOR.load(tmp_path, signature)

    known = predictor.predict({"x0": X[:, 0], "city": cities.astype(object)})["p"]
    unknown = predictor.predict({"x0": X[:, 0], "city": np.array(["Atlantis"] * 300, object)})["p"]

    missing = frame.assign(city=frame["city"].where(frame["city"] == "nowhere"))
    assert np.array_equal(known, model.predict_proba(frame)[:, 1])
    assert np.array_equal(unknown, model.predict_proba(missing)[:, 1])


def test_categories_that_xgboost_cuts_short_are_refused(tmp_path):
    model, _, signature = of_cities(np.random.default_rng(2).choice(["Oslo", "Rome", "Zürich"], 300))

    with pytest.raises(BundleRefused, match="Zürich"):
        FLAVOR.save(model, signature, tmp_path)


def test_a_pipeline_that_ends_in_xgboost_and_cannot_be_converted_stays_native(tmp_path):
    from sklearn.pipeline import Pipeline

    table = flights()
    hinge = xgb.XGBClassifier(n_estimators=5, objective="binary:hinge", n_jobs=1)
    model = Pipeline([("before", before()), ("model", hinge)]).fit(table, late(table))

    built = build(
        model,
        name="late",
        run_id=RunId("r"),
        signature=signature_of(table),
        sample=arrays(table),
        blobs=open_blobs(tmp_path),
        flavors=Flavors(),
        environment=capture(),
        created_at=WHEN,
    )

    assert (built.bundle.flavor, built.bundle.code_free) == ("sklearn", True)
    assert "hinge" in built.note
