"""Company is for models whose calls cost much beside their rows, and whose answers do not depend on who else asks."""

from time import perf_counter

import numpy as np
import pytest

from noria.app.worker import Flavors
from noria.packaging.bundle import EXAMPLE, open_bundle
from noria.serving.companions import batcher_for, example_columns, judge
from tests.serving.worker_factory import arrays, boosting, bundle, flights, open_blobs, signature_of

pytestmark = pytest.mark.filterwarnings("ignore")
EXAMPLE_ROWS = {"x": np.array([0.1, 0.7, 3.0]), "t": np.array(["a", "b", None], object)}


def busy(seconds):
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


def costs(*, call, row):
    """A model that takes so many seconds a call and a row."""

    def predict(columns):
        busy(call + row * len(columns["x"]))
        return {"y": np.sin(columns["x"])}

    return predict


def test_a_dear_call_with_cheap_rows_is_answered_in_company():
    judged = judge(costs(call=1e-3, row=1e-6), EXAMPLE_ROWS)

    assert judged.in_company, judged.reason
    assert 500 < judged.fixed_us < 5000
    assert batcher_for(costs(call=0, row=0), judged) is not None


@pytest.mark.parametrize(("call", "row"), [(2e-5, 1e-6), (4e-4, 3e-4)])
def test_a_cheap_call_or_dear_rows_are_answered_alone(call, row):
    judged = judge(costs(call=call, row=row), EXAMPLE_ROWS)

    assert not judged.in_company
    assert batcher_for(costs(call=call, row=row), judged) is None


def test_a_model_whose_bits_depend_on_the_company_is_answered_alone():
    def centred(columns):
        busy(1e-3)
        return {"y": columns["x"] - columns["x"].mean() * 1e-17}

    judged = judge(centred, EXAMPLE_ROWS)

    assert not judged.in_company
    assert "other bits" in judged.reason


def test_a_model_that_rounds_otherwise_in_large_batches_is_answered_alone():
    def large_are_single(columns):
        busy(1e-3)
        kind = np.float32 if len(columns["x"]) > 40 else np.float64
        return {"y": (columns["x"].astype(kind) / 3).astype(np.float64)}

    assert "among 48" in judge(large_are_single, EXAMPLE_ROWS).reason


def test_comparing_has_a_budget():
    judged = judge(costs(call=3e-3, row=0), EXAMPLE_ROWS, budget_s=0.05)

    assert not judged.in_company
    assert "longer than" in judged.reason


def test_without_an_example_nobody_is_joined():
    assert not judge(costs(call=1e-3, row=0), None).in_company


def test_a_real_bundle_has_rows_to_try_it_on_and_its_converted_form_answers_alone(tmp_path):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    content = blobs.get(next(f.digest for f in built.bundle.files if f.path == EXAMPLE))
    opened = open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    columns = example_columns(content, built.bundle.signature)

    assert columns is not None
    assert {name: values.tolist() for name, values in columns.items() if name != "delay"} == {
        name: values[:3].tolist() for name, values in arrays(flights()).items() if name != "delay"
    }
    assert built.bundle.flavor == "onnx"
    assert not judge(opened.predictor.predict, columns).in_company


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"inputs": []}', b'{"inputs": [{"name": "distance", "data": ["x"]}]}']
)
def test_an_example_that_does_not_follow_the_signature_is_none(content):
    assert example_columns(content, signature_of(flights())) is None
