"""A bundle written for MLflow: the bundle's own files to the byte, and around them what MLflow reads. The real MLflow loads one in tests/protocol."""

import json
from hashlib import sha256

import msgspec
import pytest

from noria.domain.bundle import Bundle
from noria.domain.ids import digest_of
from noria.domain.model import Field
from noria.errors import AlreadyExists, BundleCorrupt, BundleRefused
from noria.packaging.environment import needed_by
from noria.packaging.mlmodel_out import write, yaml
from noria.packaging.mlmodel_signature import as_fields, as_schema
from noria.packaging.pyfunc import _load_pyfunc
from tests.serving.worker_factory import boosting, bundle, open_blobs

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def out(tmp_path):
    """A store, a bundle in it whose environment is locked, and the folder it was written to."""
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    manifest = msgspec.structs.replace(built.bundle, environment=needed_by(boosting()))
    digest = blobs.put(msgspec.json.encode(manifest))
    write(digest, manifest, blobs=blobs, folder=tmp_path / "out")
    return blobs, digest, manifest, tmp_path / "out"


def test_the_manifest_and_every_file_are_there_to_the_byte(out):
    _, digest, manifest, folder = out

    content = (folder / "bundle.json").read_bytes()

    assert digest_of(content) == digest
    assert msgspec.json.decode(content, type=Bundle) == manifest
    for entry in manifest.files:
        assert sha256((folder / entry.path).read_bytes()).hexdigest() == entry.sha256


def test_mlmodel_names_a_loader_that_lies_beside_it(out):
    _, digest, _, folder = out

    said = msgspec.yaml.decode((folder / "MLmodel").read_bytes())

    function = said["flavors"]["python_function"]
    assert (folder / function["code"] / f"{function['loader_module']}.py").is_file()
    assert all((folder / path).is_file() for path in function["env"].values())
    assert said["flavors"]["noria"]["bundle"] == digest
    assert said["flavors"]["onnx"]["data"] == "model.onnx"
    assert [c["name"] for c in json.loads(said["signature"]["inputs"])][:2] == ["distance", "delay"]
    assert (folder / said["saved_input_example_info"]["artifact_path"]).is_file()


def test_requirements_pin_what_serving_needs_and_say_apart_what_training_had(out):
    _, _, manifest, folder = out

    serving = (folder / "requirements.txt").read_text().split()
    trained = (folder / "requirements-trained.txt").read_text()

    assert f"onnxruntime=={manifest.environment.packages['onnxruntime']}" in serving
    assert not any(line.startswith(("lightgbm", "scikit-learn", "noria", "pytest")) for line in serving)
    assert f"lightgbm=={manifest.environment.packages['lightgbm']}" in trained
    assert msgspec.yaml.decode((folder / "python_env.yaml").read_bytes())["python"] == manifest.environment.python
    assert msgspec.yaml.decode((folder / "conda.yaml").read_bytes())["dependencies"][-1] == {"pip": serving}


def test_a_native_bundle_asks_for_noria(tmp_path):
    from tests.packaging.test_bundle import native_only

    blobs = open_blobs(tmp_path)
    from noria.app.worker import Flavors
    from noria.packaging.bundle import build
    from tests.serving.worker_factory import WHEN, arrays, flights, signature_of

    model = native_only()
    built = build(
        model,
        name="late",
        run_id="r",
        signature=signature_of(flights()),
        sample=arrays(flights()),
        blobs=blobs,
        flavors={"sklearn": Flavors()["sklearn"]},
        environment=needed_by(model),
        created_at=WHEN,
    )
    write(built.digest, built.bundle, blobs=blobs, folder=tmp_path / "out")

    assert {line.partition("==")[0] for line in (tmp_path / "out" / "requirements.txt").read_text().split()} >= {
        "noria",
        "scikit-learn",
        "skops",
        "polars",
    }


def test_the_same_bundle_is_written_alike_and_shares_no_file_with_the_store(out, tmp_path):
    blobs, digest, manifest, folder = out

    write(digest, manifest, blobs=blobs, folder=tmp_path / "again")

    both = [
        {p.relative_to(at): p.read_bytes() for p in at.rglob("*") if p.is_file()} for at in (folder, tmp_path / "again")
    ]
    assert both[0] == both[1]
    assert all(path.stat().st_nlink == 1 for path in folder.rglob("*") if path.is_file())


def test_a_bundle_that_carries_code_is_neither_written_nor_loaded(out, tmp_path):
    blobs, digest, manifest, folder = out
    with_code = msgspec.structs.replace(manifest, code_free=False, flavor="pickle")

    with pytest.raises(BundleRefused, match="carries code"):
        write(digest, with_code, blobs=blobs, folder=tmp_path / "again")
    assert not (tmp_path / "again").exists()

    (folder / "bundle.json").write_bytes(msgspec.json.encode(with_code))
    with pytest.raises(ValueError, match="carries code"):
        _load_pyfunc(str(folder))


def test_a_folder_that_holds_something_is_left_alone(out):
    blobs, digest, manifest, folder = out

    with pytest.raises(AlreadyExists, match="not empty"):
        write(digest, manifest, blobs=blobs, folder=folder)


def test_a_file_that_the_store_lost_is_named(out, tmp_path):
    blobs, digest, manifest, _ = out
    blobs.delete(next(entry.digest for entry in manifest.files if entry.path == "model.onnx"))

    with pytest.raises(BundleCorrupt, match=r"model\.onnx"):
        write(digest, manifest, blobs=blobs, folder=tmp_path / "again")


@pytest.mark.parametrize(
    "value",
    [
        {"a": [{"b": 1, "c": [2, {"d": []}]}, "x: y # z"], "no": None, "e": {}, "f": True, "1": 1.5},
        {"text": 'quote " and \\ and \n and tab\t and ü and 漢 and 😀 and \x7f and \u2028', "- x": "null"},
    ],
)
def test_what_is_written_as_yaml_is_read_as_it_was(value):
    assert msgspec.yaml.decode(yaml(value).encode()) == value


@pytest.mark.parametrize(
    "fields",
    [
        [Field(name="a", datatype=kind, nullable=gap) for gap in (False, True)]
        for kind in ("BOOL", "INT64", "FP32", "FP64", "BYTES")
    ],
)
def test_columns_come_back_from_mlflows_words_as_they_were(fields):
    assert list(as_fields(as_schema(fields))) == fields


def test_lists_and_tensors_come_back_from_mlflows_words_as_they_were():
    fields = [
        Field(name="pixels", datatype="FP32", width=12, dims=(3, 2, 2)),
        Field(name="words", datatype="BYTES", width=4),
        Field(name="n", datatype="INT64"),
    ]

    assert list(as_fields(as_schema(fields))) == fields
