"""`noria package` as people use it: a folder in, shown, written out, told apart from what cannot be packaged."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

import noria
from noria.registry.register import register_external
from tests.cli.test_commands import Shell
from tests.packaging.mlmodel_factory import column, folder

pytestmark = pytest.mark.filterwarnings("ignore")

X = np.random.default_rng(1).normal(size=(60, 2))


@pytest.fixture
def noria_(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.delenv("NORIA_HOME", raising=False)
    monkeypatch.delenv("NORIA_PROJECT", raising=False)
    words = {"pickled_model": "model.skops", "serialization_format": "skops"}
    inputs = [column("length"), column("width")]
    at = folder(tmp_path / "saved", "sklearn", inputs=inputs, columns=["length", "width"], rows=X[:3].tolist(), **words)
    skops.io.dump(LogisticRegression().fit(X, X[:, 0] > 0), at / "model.skops")
    with contextlib.chdir(tmp_path):
        shell = Shell(tmp_path, capsys)
        shell("init", "--project", "shop")
        yield shell


def test_a_folder_is_added_shown_and_written_out(noria_: Shell, tmp_path: Path) -> None:
    code, said, _ = dataclasses.astuple(noria_("package", "add", "iris", "saved"))
    assert code == 0
    assert "iris/1 is packaged as onnx" in said
    assert "answers the probability of class True, not the class" in said

    code, said, _ = dataclasses.astuple(noria_("package", "show", "models:/iris/1"))
    assert code == 0
    for part in (
        "blake3:",
        "largest difference",
        "length",
        "FP64",
        "probability",
        "model.onnx",
        "onnxruntime",
        "mlflow",
    ):
        assert part in said, part

    code, said, _ = dataclasses.astuple(noria_("package", "show", "iris/latest", "--requirements", "serving"))
    assert code == 0
    assert {line.partition("==")[0] for line in said.splitlines()} >= {"numpy", "onnxruntime"}
    assert "scikit-learn" not in said

    code, said, _ = dataclasses.astuple(noria_("package", "export", "iris/1", "out", "--json"))
    assert code == 0
    assert (tmp_path / "out" / "MLmodel").is_file()
    exported = json.loads(said)["digest"]
    code, said, _ = dataclasses.astuple(noria_("package", "show", exported, "--json"))
    assert json.loads(said)["bundle"]["model"] == "iris"


def test_a_version_whose_files_are_elsewhere_says_what_to_do(noria_: Shell) -> None:
    with noria.Workspace.open() as workspace:
        now = workspace.clock.now()
        source = "s3://bucket/model"
        register_external(workspace.models, model="iris", run=None, trained=None, source=source, at=now, user="ada")

    code, _, error = dataclasses.astuple(noria_("package", "build", "iris/1"))
    assert code == 1
    assert "s3://bucket/model" in error
    assert "remedy: noria package add iris FOLDER" in error

    code, _, error = dataclasses.astuple(noria_("package", "show", "iris/1"))
    assert code == 1
    assert "remedy: noria package build iris/1" in error


def test_a_folder_that_is_not_named_is_asked_for(noria_: Shell) -> None:
    for action in ("export", "add"):
        code, _, error = dataclasses.astuple(noria_("package", action, "iris"))
        assert code == 1
        assert f"noria package {action} iris FOLDER" in error
