"""MLflow's model folders: what is data becomes a bundle that answers alike, what is a program is refused with the way out, nothing is run."""

import pickle
import shutil

import lightgbm
import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from noria.app.worker import Flavors
from noria.errors import BundleCorrupt, BundleRefused, PathRefused, SchemaMismatch, SourceUnreadable
from noria.packaging.bundle import open_bundle
from noria.packaging.environment import made_with
from noria.packaging.mlmodel_in import spread, take_in
from noria.packaging.mlmodel_out import write
from tests.packaging.mlmodel_factory import column, folder, tensor
from tests.serving.worker_factory import arrays, boosting, bundle, flights, open_blobs

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
SKOPS = {"pickled_model": "model.skops", "serialization_format": "skops", "skops_trusted_types": "null"}


@pytest.fixture
def taken(tmp_path):
    """Takes a folder in and gives what came of it and its predictor."""
    blobs = open_blobs(tmp_path / "store")

    def take(at):
        found = take_in(at, name="m", blobs=blobs, flavors=Flavors())
        opened = open_bundle(found.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())
        return found, opened.predictor

    return take


def test_an_estimator_on_a_matrix_is_converted_and_answers_probabilities(tmp_path, taken):
    model = LogisticRegression().fit(X, Y)
    at = folder(tmp_path / "m", "sklearn", inputs=[tensor(3)], rows=X[:5].tolist(), **SKOPS)
    skops.io.dump(model, at / "model.skops")

    found, predictor = taken(at)

    assert (found.form, found.bundle.flavor) == ("sklearn", "onnx")
    assert found.bundle.parity is not None
    assert found.bundle.parity.rows >= 500
    assert "answers the probability of class 1, not the class" in found.notes
    assert np.allclose(predictor.predict({"input": X})["probability"], model.predict_proba(X)[:, 1], atol=1e-6)
    assert made_with(found.bundle.environment) == {"mlflow": "3.17.2", "scikit-learn": "1.6.0"}


def test_a_pipeline_on_named_columns_keeps_their_names(tmp_path, taken):
    table = pl.DataFrame({"age": X[:, 0] * 10, "city": np.where(X[:, 1] > 0, "Rome", "Oslo"), "n": np.arange(200)})
    before = ColumnTransformer(
        [("n", StandardScaler(), ["age", "n"]), ("t", OneHotEncoder(handle_unknown="ignore"), ["city"])]
    )
    model = Pipeline([("before", before), ("model", LogisticRegression())]).fit(table, Y)
    inputs = [column("age"), column("city", "string"), column("n", "long")]
    rows = [[float(a), c, int(n)] for a, c, n in table[:5].rows()]
    at = folder(tmp_path / "m", "sklearn", inputs=inputs, columns=table.columns, rows=rows, **SKOPS)
    skops.io.dump(model, at / "model.skops")

    found, predictor = taken(at)

    assert found.bundle.flavor == "onnx"
    assert [f.datatype for f in found.bundle.signature.inputs] == ["FP64", "BYTES", "INT64"]
    assert np.allclose(predictor.predict(arrays(table))["probability"], model.predict_proba(table)[:, 1], atol=1e-5)


def test_several_classes_are_named_and_values_are_values(tmp_path, taken):
    kinds = np.array(["red", "green", "blue"])[np.arange(200) % 3]
    classifier, regressor = LogisticRegression().fit(X, kinds), LinearRegression().fit(X, X.sum(axis=1))
    for name, model in (("c", classifier), ("r", regressor)):
        at = folder(tmp_path / name, "sklearn", inputs=[tensor(3)], rows=X[:2].tolist(), **SKOPS)
        skops.io.dump(model, at / "model.skops")

    found, _ = taken(tmp_path / "c")
    assert [f.name for f in found.bundle.signature.outputs] == [
        "probability_blue",
        "probability_green",
        "probability_red",
    ]

    found, predictor = taken(tmp_path / "r")
    assert [(f.name, f.datatype) for f in found.bundle.signature.outputs] == [("prediction", "FP64")]
    assert np.allclose(predictor.predict({"input": X})["prediction"], X.sum(axis=1), atol=1e-5)


def test_without_an_example_the_model_stays_native_and_the_reason_is_said(tmp_path, taken):
    model = LogisticRegression().fit(X, Y)
    at = folder(tmp_path / "m", "sklearn", inputs=[tensor(3)], **SKOPS)
    skops.io.dump(model, at / "model.skops")

    found, predictor = taken(at)

    assert (found.bundle.flavor, found.bundle.parity) == ("sklearn", None)
    assert any("without an input_example" in note for note in found.notes)
    assert np.allclose(predictor.predict({"input": X})["probability"], model.predict_proba(X)[:, 1])


def test_with_neither_signature_nor_example_it_is_refused_with_the_way_out(tmp_path, taken):
    at = folder(tmp_path / "m", "sklearn", **SKOPS)
    skops.io.dump(LogisticRegression().fit(X, Y), at / "model.skops")

    with pytest.raises(BundleRefused, match="which columns") as refused:
        taken(at)

    assert "input_example=X[:5]" in refused.value.remedy


def test_gaps_are_allowed_where_the_model_takes_them(tmp_path, taken):
    model = HistGradientBoostingClassifier(max_iter=3).fit(X, Y)
    at = folder(tmp_path / "m", "sklearn", inputs=[tensor(3)], rows=X[:5].tolist(), **SKOPS)
    skops.io.dump(model, at / "model.skops")

    found, predictor = taken(at)

    gaps = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    assert found.bundle.signature.inputs[0].nullable
    assert np.allclose(predictor.predict({"input": gaps})["probability"], model.predict_proba(gaps)[:, 1], atol=1e-6)


def test_gaps_that_nobody_showed_do_not_keep_a_forest_from_being_converted(tmp_path, taken):
    model = RandomForestClassifier(5, max_depth=3, random_state=0).fit(X, Y)
    shown = X[:5].tolist()
    shown[0][0] = None
    for name, rows in (("whole", X[:5].tolist()), ("gaps", shown)):
        at = folder(tmp_path / name, "sklearn", inputs=[tensor(3)], rows=rows, **SKOPS)
        skops.io.dump(model, at / "model.skops")

    found, _ = taken(tmp_path / "whole")
    assert (found.bundle.flavor, found.bundle.signature.inputs[0].nullable) == ("onnx", False)
    assert any("refuses missing values" in note for note in found.notes)

    found, predictor = taken(tmp_path / "gaps")
    gaps = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    assert (found.bundle.flavor, found.bundle.signature.inputs[0].nullable) == ("sklearn", True)
    assert np.allclose(predictor.predict({"input": gaps})["probability"], model.predict_proba(gaps)[:, 1])


def test_a_lightgbm_booster_is_read_from_its_text(tmp_path, taken):
    booster = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1).fit(X, Y, feature_name=["a", "b", "c"]).booster_
    inputs, rows = [column(name) for name in "abc"], X[:5].tolist()
    words = {"data": "model.lgb", "model_class": "lightgbm.basic.Booster", "lgb_version": "4.6.0"}
    at = folder(tmp_path / "m", "lightgbm", inputs=inputs, columns=list("abc"), rows=rows, **words)
    booster.save_model(str(at / "model.lgb"))

    found, predictor = taken(at)

    assert (found.form, found.bundle.flavor) == ("lightgbm", "onnx")
    columns = {name: X[:, i] for i, name in enumerate("abc")}
    assert np.allclose(predictor.predict(columns)["probability"], booster.predict(X), atol=1e-6)


def test_a_model_that_was_fitted_on_names_gets_them_back_from_a_matrix(tmp_path, taken):
    model = LogisticRegression().fit(pl.DataFrame(X, schema=["a", "b", "c"]), Y)
    at = folder(tmp_path / "m", "sklearn", inputs=[tensor(3)], rows=X[:5].tolist(), **SKOPS)
    skops.io.dump(model, at / "model.skops")

    found, _ = taken(at)

    assert found.bundle.signature.input_names() == ("a", "b", "c")


def _graph(*, zipmap: bool) -> bytes:
    from skl2onnx import to_onnx

    model = LogisticRegression().fit(X, Y)
    options = {id(model): {"zipmap": zipmap}}
    graph = to_onnx(model, X[:1].astype(np.float32), options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    return bytes(graph.SerializeToString())


def test_a_graph_needs_no_signature_and_leaves_out_what_is_no_tensor(tmp_path, taken):
    at = folder(tmp_path / "m", "onnx", data="model.onnx")
    (at / "model.onnx").write_bytes(_graph(zipmap=True))

    found, predictor = taken(at)

    assert [(f.name, f.width) for f in found.bundle.signature.inputs] == [("X", 3)]
    assert [(f.name, f.datatype) for f in found.bundle.signature.outputs] == [("output_label", "INT64")]
    assert any("left out" in note and "output_probability" in note for note in found.notes)
    assert (predictor.predict({"X": X.astype(np.float32)})["output_label"] == Y).mean() > 0.9


def test_a_graph_over_one_matrix_gets_the_columns_of_its_signature(tmp_path, taken):
    at = folder(
        tmp_path / "m",
        "onnx",
        inputs=[column(n) for n in "abc"],
        columns=list("abc"),
        rows=X[:3].tolist(),
        data="g.onnx",
    )
    (at / "g.onnx").write_bytes(_graph(zipmap=False))

    found, predictor = taken(at)

    assert found.bundle.signature.input_names() == ("a", "b", "c")
    answers = predictor.predict({name: X[:, i] for i, name in enumerate("abc")})
    assert answers["probabilities"].shape == (200, 2)
    assert np.allclose(answers["probabilities"][:, 1], LogisticRegression().fit(X, Y).predict_proba(X)[:, 1], atol=1e-5)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise AssertionError('a pickle was run')",))


@pytest.mark.parametrize(
    ("flavor", "words", "way_out"),
    [
        (
            "sklearn",
            {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"},
            "serialization_format='skops'",
        ),
        ("sklearn", {"pickled_model": "model.pkl"}, "serialization_format='skops'"),
        (
            "lightgbm",
            {"data": "model.pkl", "model_class": "lightgbm.sklearn.LGBMClassifier"},
            "serialization_format='skops'",
        ),
        ("xgboost", {"data": "model.pkl", "model_class": "xgboost.sklearn.XGBClassifier"}, "model_format='ubj'"),
        ("xgboost", {"data": "model.json", "model_class": "os.system"}, "model_format='ubj'"),
        ("pytorch", {"model_data": "data"}, "mlflow.onnx"),
    ],
)
def test_a_program_is_refused_and_never_run(tmp_path, taken, flavor, words, way_out):
    at = folder(tmp_path / "m", flavor, inputs=[tensor(3)], rows=X[:2].tolist(), **words)
    (at / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    (at / "model.json").write_text("{}")

    with pytest.raises(BundleRefused) as refused:
        taken(at)

    assert way_out in refused.value.remedy


def test_types_that_the_folder_trusts_are_not_trusted_for_that(tmp_path, taken):
    words = {**SKOPS, "skops_trusted_types": "[tests.packaging.test_mlmodel_in.Own]"}
    at = folder(tmp_path / "m", "sklearn", inputs=[tensor(3)], rows=X[:2].tolist(), **words)
    skops.io.dump(Pipeline([("own", Own()), ("m", LogisticRegression())]), at / "model.skops")

    with pytest.raises(BundleRefused, match="Own"):
        taken(at)


class Own:
    def fit(self, x, y=None):
        return self

    def transform(self, x):
        return x


def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path, taken):
    (tmp_path / "secret.onnx").write_bytes(_graph(zipmap=False))
    at = folder(tmp_path / "m", "onnx", data="../secret.onnx")
    with pytest.raises(PathRefused):
        taken(at)

    at = folder(tmp_path / "linked", "onnx", data="model.onnx")
    (at / "model.onnx").symlink_to(tmp_path / "secret.onnx")
    with pytest.raises(BundleCorrupt, match="missing"):
        taken(at)


def test_what_is_no_folder_of_mlflows_is_said_to_be_none(tmp_path, taken):
    with pytest.raises(SourceUnreadable, match="no MLflow model"):
        taken(tmp_path)
    (tmp_path / "MLmodel").write_text("flavors: [")
    with pytest.raises(SourceUnreadable, match="cannot be read"):
        taken(tmp_path)


def test_a_column_that_no_request_can_carry_is_named(tmp_path, taken):
    at = folder(tmp_path / "m", "sklearn", inputs=[column("when", "datetime")], **SKOPS)
    skops.io.dump(LogisticRegression().fit(X, Y), at / "model.skops")

    with pytest.raises(SchemaMismatch, match="'when'"):
        taken(at)


def test_a_damaged_model_is_refused_with_its_file_named(tmp_path, taken):
    at = folder(tmp_path / "m", "lightgbm", inputs=[tensor(3)], data="model.lgb", model_class="lightgbm.basic.Booster")
    (at / "model.lgb").write_text("tree\nversion=v4\nnum_class=nonsense")

    with pytest.raises(BundleCorrupt, match=r"model\.lgb"):
        taken(at)


def test_a_bundle_that_was_exported_comes_back_under_its_own_address(tmp_path, taken):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    write(built.digest, built.bundle, blobs=blobs, folder=tmp_path / "out")

    found, predictor = taken(tmp_path / "out")

    assert (found.digest, found.bundle, found.form) == (built.digest, built.bundle, "noria")
    assert np.allclose(
        predictor.predict(arrays(flights()))["probability"], boosting().predict_proba(flights())[:, 1], atol=1e-6
    )


def test_a_changed_byte_of_an_exported_bundle_is_refused_with_the_file_named(tmp_path, taken):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    write(built.digest, built.bundle, blobs=blobs, folder=tmp_path / "out")
    content = bytearray((tmp_path / "out" / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "out" / "model.onnx").write_bytes(content)

    with pytest.raises(BundleCorrupt, match=r"model\.onnx"):
        taken(tmp_path / "out")

    shutil.rmtree(tmp_path / "out")


def test_a_few_rows_are_spread_the_same_way_each_time_and_stand_first(tmp_path, taken):
    table = arrays(flights(5))
    signature = bundle(boosting(), open_blobs(tmp_path)).bundle.signature

    once, again = spread(table, signature), spread(table, signature)

    for name, values in once.items():
        assert len(values) == 500
        assert values.tolist()[5:] == again[name].tolist()[5:] or np.isnan(values[5:].astype(float)).any()
        assert values[:5].tolist() == table[name].tolist() or np.isnan(values[:5].astype(float)).any()
    assert set(once["carrier"]) <= set(table["carrier"])
    assert len(set(once["distance"].tolist())) > 400
