"""Conversion: exact where it claims to be, refused with the reason where it is not, and judged beside every threshold."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from noria.adapters.flavors import onnx
from noria.errors import BundleError, EmptySample, RequestInvalid
from noria.packaging.convert import raw_thresholds, to_onnx
from noria.packaging.parity import parity
from tests.serving.worker_factory import arrays, before, boosting, flights, late, signature_of

warnings.filterwarnings("ignore", category=UserWarning)
pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[2]


def native(model):
    def predict(columns):
        frame = pl.DataFrame(
            {n: pl.Series(n, v.tolist(), dtype=pl.String) if v.dtype == object else v for n, v in columns.items()}
        )
        return {"probability": model.predict_proba(frame)[:, 1]}

    return predict


def converted(model, tmp_path, signature):
    onnx.FLAVOR.save(to_onnx(model, signature), signature, tmp_path)
    return onnx.FLAVOR.load(tmp_path, signature).predict


def test_lightgbm_pipelines_answer_alike_beside_every_threshold(tmp_path):
    table, model = flights(), boosting()
    signature = signature_of(table)
    thresholds = raw_thresholds(model, signature)

    verdict = parity(
        native(model), converted(model, tmp_path, signature), arrays(table), signature=signature, thresholds=thresholds
    )

    assert verdict.passed, verdict.reason
    assert verdict.max_difference < 1e-6
    assert verdict.label_flips == 0
    assert verdict.cases == ("sample", "near thresholds", "missing values", "unseen categories")
    assert set(thresholds) <= {"distance", "delay", "hour"}


CONVERT = """
from hashlib import blake2b

from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from noria.packaging.convert import to_onnx
from tests.serving.worker_factory import before, boosting, flights, late, signature_of

table = flights()
plain = Pipeline([("before", before()), ("model", RandomForestClassifier(4, random_state=0))]).fit(table, late(table))
print([blake2b(to_onnx(model, signature_of(table))).hexdigest() for model in (plain, boosting())])
"""


def test_every_process_converts_a_model_to_the_same_bytes():
    """Whatever order its sets of texts are in: this is what makes a bundle made again after a kill the bundle of before."""
    said = set()
    for seed in ("1", "2", "3"):
        program = [sys.executable, "-W", "ignore", "-c", CONVERT]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        said.add(subprocess.run(program, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout)

    assert len(said) == 1


def test_thresholds_in_float32_would_not_have_passed(tmp_path):
    """The reason for writing the trees ourselves: with float32 rounding the near rows take another branch."""
    table, model = flights(), boosting()
    signature = signature_of(table)
    exact = converted(model, tmp_path, signature)

    def rounded(columns):
        return exact(
            {n: v.astype(np.float32).astype(np.float64) if v.dtype == np.float64 else v for n, v in columns.items()}
        )

    verdict = parity(
        native(model), rounded, arrays(table), signature=signature, thresholds=raw_thresholds(model, signature)
    )

    assert not verdict.passed
    assert verdict.reason.startswith("near thresholds")


def test_a_linear_pipeline_is_converted(tmp_path):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = flights()
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    model = Pipeline([("before", before(numbers)), ("model", LogisticRegression())]).fit(table, late(table))
    signature = signature_of(table)

    verdict = parity(native(model), converted(model, tmp_path, signature), arrays(table), signature=signature)

    assert verdict.passed, verdict.reason


def test_the_same_model_gives_the_same_bytes():
    signature = signature_of(flights())

    assert to_onnx(boosting(), signature) == to_onnx(boosting(), signature)


def test_only_the_answer_is_an_output(tmp_path):
    import onnxruntime

    session = onnxruntime.InferenceSession(to_onnx(boosting(), signature_of(flights())))

    assert [o.name for o in session.get_outputs()] == ["probabilities"]
    assert {i.name for i in session.get_inputs()} == set(flights().columns)


def bare(rows=300, **params):
    from lightgbm import LGBMClassifier

    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 3))
    x[rng.random(x.shape) < params.pop("gaps", 0.0)] = np.nan
    y = params.pop("y", None)
    model = LGBMClassifier(n_estimators=10, num_leaves=7, verbose=-1, n_jobs=1, **params)
    return model.fit(x, (np.nansum(x, axis=1) > 0).astype(int) if y is None else y), {
        f"x{i}": x[:, i] for i in range(3)
    }


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_missing_values_go_the_way_that_training_sent_them(tmp_path, gaps):
    from noria.packaging.signature import infer_signature

    model, columns = bare(gaps=gaps)
    columns = {n: np.where(np.arange(len(v)) % 5 == 0, np.nan, v) for n, v in columns.items()}
    signature = infer_signature(columns, {"probability": np.zeros(1, np.float32)})
    predict = converted(model, tmp_path, signature)

    def origin(given):
        return {"probability": model.predict_proba(np.column_stack(list(given.values())))[:, 1]}

    verdict = parity(origin, predict, columns, signature=signature, thresholds=raw_thresholds(model, signature))

    assert verdict.passed, verdict.reason
    assert "missing values" in verdict.cases


def test_several_classes_give_one_output_each(tmp_path):
    from noria.packaging.signature import infer_signature

    model, columns = bare(y=np.random.default_rng(1).integers(0, 3, 300))
    outputs = {f"probability.{c}": np.zeros(1, np.float32) for c in range(3)}
    predict = converted(model, tmp_path, infer_signature(columns, outputs))

    answers = np.column_stack(list(predict(columns).values()))

    assert np.allclose(answers, model.predict_proba(np.column_stack(list(columns.values()))), atol=1e-6)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"linear_tree": True}, "linear"),
        ({"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}, "averages"),
        ({"zero_as_missing": True}, "zero"),
    ],
)
def test_trees_that_onnx_cannot_say_are_refused_with_the_reason(params, why):
    from noria.packaging.signature import infer_signature

    model, columns = bare(**params)

    with pytest.raises(BundleError) as refused:
        to_onnx(model, infer_signature(columns, {"probability": np.zeros(1, np.float32)}))

    assert why in refused.value.cause


def test_what_is_no_estimator_is_refused():
    with pytest.raises(BundleError):
        to_onnx(object(), signature_of(flights()))


def test_parity_counts_differences_flips_and_one_sided_refusals():
    table = flights(50)
    signature, sample = signature_of(table), arrays(table)
    rows = {"probability": np.full(50, 0.4)}

    def constant(value):
        return lambda columns: {"probability": np.full(len(columns["hour"]), value)}

    def refuses(columns):
        raise RequestInvalid("no")

    apart = parity(constant(0.4), constant(0.6), sample, signature=signature)
    alone = parity(constant(0.4), refuses, sample, signature=signature)
    agreed = parity(refuses, refuses, sample, signature=signature)

    assert not apart.passed
    assert apart.max_difference == pytest.approx(0.2)
    assert apart.label_flips == apart.rows
    assert not alone.passed
    assert "refuses" in alone.reason
    assert agreed.passed
    assert rows["probability"].shape == (50,)


def test_parity_of_nothing_is_an_error():
    with pytest.raises(EmptySample):
        parity(lambda c: c, lambda c: c, {}, signature=signature_of(flights()))
