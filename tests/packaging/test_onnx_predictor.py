"""The ONNX predictor: one row, many rows and rows from several threads give the same bits, whatever the columns are made of."""

import threading

import numpy as np
import pytest

from noria.adapters.flavors import onnx
from noria.errors import BundleError, RequestInvalid
from noria.packaging.convert import to_onnx
from noria.packaging.signature import infer_signature
from tests.serving.worker_factory import arrays, boosting, flights, signature_of

pytestmark = pytest.mark.filterwarnings("ignore")
OUT = {"probability": np.zeros(1, np.float32)}


def numeric(tmp_path, outputs=OUT, classes=2):
    """A bare booster over numbers, whole numbers and gaps: single rows go through bound buffers."""
    from lightgbm import LGBMClassifier

    rng = np.random.default_rng(5)
    columns = {
        "x": rng.normal(size=300),
        "n": rng.integers(0, 9, 300),
        "gap": np.where(rng.random(300) < 0.2, np.nan, rng.normal(size=300)),
    }
    table = np.column_stack(list(columns.values()))
    target = (np.nansum(table, axis=1) > 3).astype(int) if classes == 2 else rng.integers(0, classes, 300)
    model = LGBMClassifier(n_estimators=10, num_leaves=7, verbose=-1, n_jobs=1).fit(table, target)
    signature = infer_signature(columns, outputs)
    onnx.FLAVOR.save(to_onnx(model, signature), signature, tmp_path)
    return onnx.FLAVOR.load(tmp_path, signature), columns, model


def text(tmp_path):
    signature = signature_of(flights())
    onnx.FLAVOR.save(to_onnx(boosting(), signature), signature, tmp_path)
    return onnx.FLAVOR.load(tmp_path, signature), arrays(flights()), boosting()


@pytest.mark.parametrize("kind", [numeric, text])
def test_one_row_at_a_time_gives_the_bits_of_the_batch(tmp_path, kind):
    predictor, columns, _ = kind(tmp_path)

    together = predictor.predict(columns)["probability"]
    alone = [
        predictor.predict({n: v[i : i + 1] for n, v in columns.items()})["probability"] for i in range(len(together))
    ]

    assert np.concatenate(alone).tobytes() == together.tobytes()
    assert alone[0].dtype == np.float32


def test_answers_of_single_rows_do_not_change_afterwards(tmp_path):
    predictor, columns, _ = numeric(tmp_path)
    rows = [{n: v[i : i + 1] for n, v in columns.items()} for i in range(50)]

    answers = [predictor.predict(row)["probability"] for row in rows]

    assert [a.tolist() for a in answers] == [predictor.predict(row)["probability"].tolist() for row in rows]


def test_threads_do_not_get_each_others_answers(tmp_path):
    predictor, columns, _ = numeric(tmp_path)
    expected = predictor.predict(columns)["probability"].tolist()
    wrong = []

    def ask(start):
        for i in range(start, 300, 4):
            found = predictor.predict({n: v[i : i + 1] for n, v in columns.items()})["probability"][0]
            if found != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong


def test_narrower_columns_are_widened_for_one_row_as_for_many(tmp_path):
    predictor, columns, _ = numeric(tmp_path)
    narrow = {
        "x": columns["x"].astype(np.float32),
        "n": columns["n"].astype(np.int16),
        "gap": columns["gap"].astype(np.float32),
    }

    together = predictor.predict(narrow)["probability"]

    assert predictor.predict({n: v[:1] for n, v in narrow.items()})["probability"][0] == together[0]


def test_several_classes_come_out_of_one_row_too(tmp_path):
    outputs = {f"p{i}": np.zeros(1, np.float32) for i in range(3)}
    predictor, columns, model = numeric(tmp_path, outputs, classes=3)

    row = predictor.predict({n: v[:1] for n, v in columns.items()})

    expected = model.predict_proba(np.column_stack(list(columns.values()))[:1])[0]
    assert [row[f"p{i}"][0] for i in range(3)] == pytest.approx(expected.tolist(), abs=1e-6)


def test_columns_that_do_not_fit_are_refused_and_the_predictor_goes_on(tmp_path):
    predictor, columns, _ = numeric(tmp_path)
    row = {n: v[:1] for n, v in columns.items()}

    with pytest.raises(RequestInvalid):
        predictor.predict({**row, "n": np.array(["a"], object)})
    with pytest.raises(RequestInvalid):
        predictor.predict({**row, "n": np.array([1, 2])})

    assert len(predictor.predict(row)["probability"]) == 1


def test_a_graph_with_other_inputs_than_the_signature_is_refused(tmp_path):
    numeric(tmp_path)

    with pytest.raises(BundleError, match="inputs"):
        onnx.FLAVOR.load(tmp_path, signature_of(flights()))
