"""What MLflow's own client logged becomes bundles that a worker serves; what Noria exports is loaded by a plain mlflow, without Noria."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noria.app.processes import start_worker
from noria.domain.deployment import Deployment, Variant
from noria.domain.model import ModelVersion
from noria.registry.packaged import bundle_of
from noria.serving import desired
from tests.peers.noria_server import Server, noria_server
from tests.protocol.test_mlflow_client_flows import run

pytestmark = pytest.mark.slow


def noria(home: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """A command of Noria over the home, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "noria.cli.main", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=home.parent,
        env={**os.environ, "NORIA_HOME": str(home)},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any], Server]]:
    """A home with what MLflow's client logged to its server, and what the models answer."""
    folder = tmp_path_factory.mktemp("team")
    home = folder / ".noria"
    with noria_server(home=home) as server:
        run("models_to_package", server, str(folder))
        yield home, json.loads((folder / "right.json").read_text()), server


def deploy(home: Path, version: ModelVersion) -> Deployment:
    from noria.app.workspace import Workspace

    with Workspace.open(home.parent) as workspace:
        assert workspace.home == home
        variant = Variant(
            name="champion",
            model=version.model,
            number=version.number,
            version=str(version.version),
            bundle=bundle_of(version),
            weight=1.0,
        )
        deployment = Deployment(
            name=version.model,
            model=version.model,
            generation=1,
            variants=(variant,),
            updated_at=workspace.clock.now(),
        )
        desired.publish(workspace.blobs, workspace.deployments.put(deployment))
        return deployment


@pytest.mark.parametrize("model", ["pipeline", "booster", "lightgbm", "xgboost", "forest"])
def test_a_logged_model_becomes_a_bundle_that_answers_alike(logged: Any, model: str) -> None:
    import msgspec

    from noria.app.workspace import Workspace
    from noria.packaging.bundle import open_bundle

    home, right, server = logged

    made = noria(home, "package", "build", f"models:/{model}/1")

    version = msgspec.convert(made["version"], ModelVersion)
    shown = server.ask("GET", f"/api/v1/models/{model}/versions/1").json
    assert shown["bundle_digest"] == made["digest"] == version.bundle
    assert version.flavor == "onnx", made["notes"]
    rows, expected = right[model]["rows"], right[model]["probability"]
    with Workspace.open(home.parent) as workspace:
        opened = open_bundle(bundle_of(version), blobs=workspace.blobs, cache=home / "cache", flavors=workspace.flavors)
        assert [entry.event.bundle for entry in workspace.ledger.latest(kinds=("ModelVersionPackaged",), limit=1)]
    kinds = {"FP64": np.float64, "INT64": np.int64, "BYTES": object}
    fields = opened.manifest.signature.inputs
    if len(fields) == 1:  # logged with an array
        columns = {fields[0].name: np.column_stack([rows[name] for name in rows])}
    else:
        columns = {f.name: np.array(rows[f.name], dtype=kinds[f.datatype]) for f in fields}
    assert np.allclose(opened.predictor.predict(columns)["probability"], expected, atol=1e-5)


def test_a_pickled_model_is_refused_with_the_way_out(logged: Any) -> None:
    home, _, _ = logged

    said = noria(home, "package", "build", "models:/pickled/1", code=1)["error"]

    assert said["code"] == "noria-5002"
    assert "serialization_format='skops'" in said["remedy"]


def test_it_is_served_and_exported_and_a_plain_mlflow_gives_the_same_answers(logged: Any, tmp_path: Path) -> None:
    import msgspec

    home, right, server = logged
    version = msgspec.convert(noria(home, "package", "build", "models:/pipeline@champion")["version"], ModelVersion)
    deploy(home, version)
    rows = right["pipeline"]["rows"]
    worker = start_worker(home, host="127.0.0.1", port=0)
    try:
        answer = Server(worker.url, worker.handle).ask(
            "POST",
            "/invocations",
            {"dataframe_split": {"columns": list(rows), "data": list(zip(*rows.values(), strict=True))}},
        )
    finally:
        worker.stop()
        assert worker.handle.stdout is not None
        worker.handle.stdout.close()
    assert answer.status == 200, answer.body
    answered = answer.json["predictions"]
    assert np.allclose(answered, right["pipeline"]["probability"], atol=1e-5)

    noria(home, "package", "export", "models:/pipeline@champion", str(tmp_path / "out"))

    (tmp_path / "right.json").write_text(json.dumps({"rows": rows, "probability": answered}))
    run("load_of_a_bundle", server, str(tmp_path / "out"), str(tmp_path / "right.json"))
