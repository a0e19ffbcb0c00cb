"""The environment lock: what a model needs, exactly, and neither the whole machine nor less than it takes to load it."""

import subprocess
import sys
import types

import msgspec
import pytest

from noria.app.worker import Flavors
from noria.packaging.bundle import open_bundle
from noria.packaging.environment import capture, made_with, needed_by, pinned, requirements, served_with
from tests.serving.worker_factory import boosting, bundle, open_blobs

pytestmark = pytest.mark.filterwarnings("ignore")


def test_only_what_the_model_needs_is_named_with_its_exact_version():
    needed, all_here = needed_by(boosting()), capture()

    assert {"lightgbm", "scikit-learn", "onnxruntime", "numpy", "noria"} <= needed.packages.keys()
    assert not {"pytest", "mypy", "sqlalchemy", "litestar"} & needed.packages.keys()
    assert needed.packages.items() <= all_here.packages.items()
    assert set(needed.roots) == {"lightgbm", "numpy", "scikit-learn"}


def test_serving_needs_less_than_training_where_the_model_was_converted():
    needed = needed_by(boosting())

    assert served_with(needed, "onnx").keys() >= {"numpy", "onnxruntime"}
    assert not {"lightgbm", "scikit-learn", "polars"} & served_with(needed, "onnx").keys()
    assert {"lightgbm", "scikit-learn", "skops", "scipy"} <= served_with(needed, "sklearn").keys()
    assert {"lightgbm", "scikit-learn", "scipy"} <= made_with(needed).keys()
    assert "onnxruntime" not in made_with(needed)


def test_a_form_that_is_not_known_may_need_everything():
    needed = needed_by(boosting())

    assert served_with(needed, "somebody's own") == needed.packages


def test_files_of_the_user_count_with_what_they_import(tmp_path, monkeypatch):
    (tmp_path / "pricing_for_test.py").write_text("import polars\n\ndef predict(columns):\n    return columns\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import pricing_for_test

    needed = needed_by(pricing_for_test.predict)
    assert needed.roots == ("polars",)
    assert served_with(needed, "python").keys() >= {"cloudpickle", "polars"}


def test_a_model_without_code_needs_the_runtime_alone():
    needed = needed_by(b"\x08")

    assert needed.roots == ()
    assert needed.packages.keys() - {"noria"} == served_with(needed, "onnx").keys()


def test_what_stands_in_the_lock_is_enough_to_load_the_bundle(tmp_path):
    """The modules that opening and asking an ONNX bundle imports all belong to distributions of its lock (and to what Noria itself needs)."""
    blobs = open_blobs(tmp_path)
    built = bundle(boosting(), blobs)
    assert open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=Flavors()).manifest == built.bundle
    files = next(p for p in (tmp_path / "cache").iterdir() if p.is_dir())
    code = (
        "import sys; from pathlib import Path; import msgspec;"
        "from noria.adapters.flavors.onnx import FLAVOR; from noria.domain.model import Signature;"
        f"s = msgspec.json.decode({msgspec.json.encode(built.bundle.signature)!r}, type=Signature);"
        f"FLAVOR.load(Path({str(files)!r}), s); print(*{{m.partition('.')[0] for m in sys.modules}})"
    )

    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    from noria.packaging.origins import owners_of

    own = {"noria", "msgspec", "blake3", "typing-extensions", "setuptools"}  # what Noria is and asks for
    locked = served_with(needed_by(boosting()), "onnx").keys()
    assert {name.lower().replace("_", "-") for name in owners_of(loaded)} - own <= set(locked)


def test_what_a_maker_pinned_stands_for_what_a_model_was_trained_with():
    needed = needed_by(boosting(), trained={"scikit-learn": "1.5.0"})

    assert made_with(needed) == {"scikit-learn": "1.5.0"}
    assert needed.packages["scikit-learn"] != "1.5.0"


def test_hashes_are_demanded_only_if_all_are_known():
    packages, one = {"a": "1", "b": "2"}, {"a": ("sha256:00",)}

    assert requirements(packages, one) == "a==1 # sha256:00\nb==2\n"
    assert requirements(packages, {**one, "b": ("sha256:11", "sha256:22")}) == (
        "a==1 --hash=sha256:00\nb==2 --hash=sha256:11 --hash=sha256:22\n"
    )
    assert requirements({}) == ""


def test_an_archive_whose_hash_the_installer_noted_is_named_with_it(tmp_path, monkeypatch):
    info = tmp_path / "weights_for_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weights-for-test\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("weights_for_test\n")
    (info / "RECORD").write_text("weights_for_test.py,,\n")
    (info / "direct_url.json").write_text('{"url": "file:///w.whl", "archive_info": {"hashes": {"sha256": "ab12"}}}')
    (tmp_path / "weights_for_test.py").write_text("class Weights: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import weights_for_test

    needed = needed_by(weights_for_test.Weights())

    assert needed.packages["weights-for-test"] == "1.0"
    assert needed.hashes == {"weights-for-test": ("sha256:ab12",)}


def test_a_pin_is_read_and_what_pins_nothing_is_passed_over():
    text = "numpy==2.1.0\nmlflow<4,>=3\n-r other.txt\n# x==1\nxgboost[gpu]==3.0 \\\n  --hash=sha256:0\n"

    assert pinned(text) == {"numpy": "2.1.0", "xgboost": "3.0"}


def test_modules_made_at_run_time_break_nothing():
    made = types.ModuleType("made_for_test")
    made.itself = made  # type: ignore[attr-defined]

    assert needed_by({"of": made, "again": [made]}).roots == ()
