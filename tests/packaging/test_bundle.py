"""Bundles: the same model has the same address, every byte is verified, and nothing that could run code is loaded."""

import json
import stat
import threading
import warnings
from hashlib import sha256

import msgspec
import numpy as np
import pytest

from noria.adapters.flavors import sklearn
from noria.app.worker import Flavors
from noria.domain.bundle import Bundle
from noria.errors import AdapterUnknown, BundleCorrupt, BundleRefused, NoriaError, NotFound, RequestInvalid
from noria.packaging.bundle import open_bundle, read_manifest
from noria.packaging.environment import capture, digest
from noria.packaging.signature import infer_signature
from noria.serving.predict import answer
from tests.serving.worker_factory import arrays, before, boosting, bundle, flights, late, open_blobs, signature_of

pytestmark = pytest.mark.filterwarnings("ignore")


def native_only():
    """A pipeline that stays native: the leaves of its trees are linear models."""
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LGBMClassifier(linear_tree=True, n_estimators=5, num_leaves=7, verbose=-1, n_jobs=1)
        return Pipeline([("before", before()), ("model", model)]).fit(flights(), late(flights()))


def test_a_converted_model_is_built_opened_and_answers_alike(tmp_path):
    blobs = open_blobs(tmp_path)

    built = bundle(boosting(), blobs)
    opened = open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert built.bundle.flavor == "onnx"
    assert built.bundle.code_free
    assert built.bundle.parity is not None
    assert built.bundle.parity.passed
    assert opened.manifest == built.bundle
    ours = opened.predictor.predict(arrays(flights()))["probability"]
    assert np.allclose(ours, boosting().predict_proba(flights())[:, 1], atol=1e-6)
    assert ours.dtype == np.float32


def test_the_same_model_has_the_same_address(tmp_path):
    first, second = (bundle(boosting(), open_blobs(tmp_path / name)).digest for name in ("a", "b"))

    assert first == second


def test_another_run_has_another_address(tmp_path):
    blobs = open_blobs(tmp_path)

    assert bundle(boosting(), blobs).digest != bundle(boosting(), blobs, run="run-2").digest


def test_what_cannot_be_converted_is_kept_natively_with_the_reason(tmp_path):
    blobs = open_blobs(tmp_path)
    model = native_only()

    built = bundle(model, blobs)
    opened = open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert built.bundle.flavor == "sklearn"
    assert built.bundle.parity is not None
    assert "linear models" in built.bundle.parity.reason
    assert built.bundle.parity.reason in built.note
    answers = opened.predictor.predict(arrays(flights()))["probability"]
    assert np.array_equal(answers, model.predict_proba(flights())[:, 1].astype(np.float32))


def test_a_bare_booster_that_cannot_be_converted_is_kept_as_text(tmp_path):
    from lightgbm import LGBMRegressor

    x = np.random.default_rng(0).normal(size=(300, 2))
    model = LGBMRegressor(objective="poisson", n_estimators=5, verbose=-1, n_jobs=1).fit(x, np.exp(x[:, 0]))
    columns = {"a": x[:, 0], "b": x[:, 1]}
    blobs = open_blobs(tmp_path)
    signature = infer_signature(columns, {"prediction": np.zeros(1)})

    from noria.domain.ids import RunId
    from noria.packaging.bundle import build
    from tests.serving.worker_factory import WHEN

    built = build(
        model,
        name="counts",
        run_id=RunId("r"),
        signature=signature,
        sample=columns,
        blobs=blobs,
        flavors=Flavors(),
        environment=capture(),
        created_at=WHEN,
    )
    opened = open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert built.bundle.flavor == "lightgbm"
    assert np.allclose(opened.predictor.predict(columns)["prediction"], model.predict(x))


def test_recorded_inputs_give_the_same_bits_again(tmp_path):
    blobs = open_blobs(tmp_path)
    opened = open_bundle(bundle(boosting(), blobs).digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())
    recorded = {
        n: [None if isinstance(v, float) and v != v else v for v in c.tolist()] for n, c in arrays(flights(40)).items()
    }

    once, again = answer(opened, recorded), answer(opened, recorded)

    assert once == again
    assert once["probability"] == opened.predictor.predict(arrays(flights(40)))["probability"].tolist()


@pytest.mark.parametrize("name", ["model.onnx", "example.json", "provenance.json"])
def test_a_changed_byte_in_the_store_is_refused_with_the_file_named(tmp_path, name):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    entry = next(f for f in built.bundle.files if f.path == name)
    _damage(next(p for p in (tmp_path / "blobs").rglob("*") if p.is_file() and p.name.endswith(entry.digest[-40:])))

    with pytest.raises(BundleCorrupt) as refused:
        open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert repr(name) in str(refused.value)


def test_a_damaged_cache_is_laid_out_again(tmp_path):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())
    cached = next((tmp_path / "cache").rglob("model.onnx"))
    cached.unlink()
    cached.write_bytes(b"not a model")

    opened = open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())

    assert len(opened.predictor.predict(arrays(flights(3)))["probability"]) == 3


def test_many_threads_open_one_bundle_at_once(tmp_path):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    faults: list[NoriaError] = []

    def open_it():
        try:
            open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors())
        except NoriaError as error:
            faults.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not faults
    assert {p.name for p in (tmp_path / "cache").iterdir()} == {built.digest.partition(":")[2], ".lock"}


def test_every_file_carries_both_digests_and_provenance_names_them(tmp_path):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    files = {f.path: f for f in built.bundle.files}

    statement = json.loads(blobs.get(files["provenance.json"].digest))

    assert all(
        sha256(blobs.get(f.digest)).hexdigest() == f.sha256 and blobs.size(f.digest) == f.size for f in files.values()
    )
    assert {s["name"]: s["digest"]["sha256"] for s in statement["subject"]} == {
        p: f.sha256 for p, f in files.items() if p != "provenance.json"
    }
    assert statement["_type"] == "https://in-toto.io/Statement/v1"


def test_a_manifest_that_names_a_file_outside_is_refused(tmp_path):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    evil = msgspec.structs.replace(
        built.bundle, files=(msgspec.structs.replace(built.bundle.files[0], path="../../evil"),)
    )
    address = blobs.put(msgspec.json.encode(evil))

    with pytest.raises(BundleRefused, match="outside itself"):
        read_manifest(address, blobs=blobs)


def test_an_unknown_bundle_or_flavor_is_said_to_be_so(tmp_path):
    from noria.domain.ids import digest_of

    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)

    with pytest.raises(NotFound):
        read_manifest(digest_of(b"nothing"), blobs=blobs)
    with pytest.raises(AdapterUnknown):
        open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors={})


class Homemade:
    """An estimator of somebody's own: it would need its code to load."""

    def get_params(self, deep=True):
        return {}

    def predict(self, x):
        return x


def test_types_that_are_not_on_the_list_are_not_kept(tmp_path):
    with pytest.raises(BundleRefused, match="Homemade"):
        bundle(Homemade(), open_blobs(tmp_path))


def test_a_file_with_a_foreign_type_is_not_loaded(tmp_path):
    import skops.io

    (tmp_path / sklearn.FILE).write_bytes(skops.io.dumps(Homemade()))

    with pytest.raises(BundleRefused, match="Homemade"):
        sklearn.FLAVOR.load(tmp_path, signature_of(flights()))


def test_a_file_that_is_no_model_is_corrupt(tmp_path):
    for flavor, name in (("sklearn", "model.skops"), ("lightgbm", "model.txt"), ("onnx", "model.onnx")):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(BundleCorrupt, match=name):
            Flavors()[flavor].load(tmp_path, signature_of(flights()))


def test_a_sample_that_contradicts_the_signature_is_refused(tmp_path):
    narrow = infer_signature({"hour": np.array([1])}, {"probability": np.zeros(1, np.float32)})

    with pytest.raises(RequestInvalid):
        bundle(boosting(), open_blobs(tmp_path), signature=narrow)


def test_the_example_is_a_request_of_the_protocol(tmp_path):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)

    example = json.loads(blobs.get(next(f.digest for f in built.bundle.files if f.path == built.bundle.example)))

    assert [t["name"] for t in example["inputs"]] == list(built.bundle.signature.input_names())


def test_environments_have_one_address_exactly_when_they_are_equal():
    environment = capture()
    other = msgspec.structs.replace(environment, packages={**environment.packages, "numpy": "0"})

    assert digest(environment) == digest(capture())
    assert digest(environment) != digest(other)
    assert "numpy" in environment.packages


def test_the_manifest_reads_back_as_itself(tmp_path):
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)

    assert msgspec.json.decode(blobs.get(built.digest), type=Bundle) == built.bundle


def _damage(path):
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
