"""Versions from outside get bundles, once, told in the ledger; bundles go out into folders and come back the same."""

import dataclasses
import pickle
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from noria.app.packaging import add_folder, bundle_named, export, package_version, version_named
from noria.app.settings import Packaging, Settings
from noria.app.version_files import PLACE_TAG
from noria.app.workspace import Workspace
from noria.domain.events import ModelVersionPackaged
from noria.domain.ids import RunId, TrainedModelId
from noria.domain.model import AliasMove
from noria.domain.run import Artifact, Run
from noria.domain.trained import TrainedModel
from noria.errors import BundleRefused, Conflict, NotFound, SettingInvalid, SourceUnreadable
from noria.packaging.bundle import open_bundle
from noria.registry.packaged import bundle_of
from noria.registry.register import register_external
from noria.server.mlflow import registry_checks
from noria.testing.clock import FakeClock
from tests.packaging.mlmodel_factory import folder, tensor

pytestmark = pytest.mark.filterwarnings("ignore")

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
X = np.random.default_rng(1).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)
SKOPS = {"pickled_model": "model.skops", "serialization_format": "skops"}


def a_workspace(*, allow_code: bool = False) -> Workspace:
    settings = Settings(packaging=Packaging(allow_code=allow_code))
    return Workspace.ephemeral("outside", clock=FakeClock(NOON), settings=settings)


@pytest.fixture
def workspace():
    with a_workspace() as held:
        yield held


@pytest.fixture
def logged(tmp_path):
    """A folder with a scikit-learn model as MLflow keeps it."""
    at = folder(tmp_path / "logged", "sklearn", inputs=[tensor(3)], rows=X[:4].tolist(), **SKOPS)
    skops.io.dump(LogisticRegression().fit(X, Y), at / "model.skops")
    return at


def keep(workspace, at, place):
    """The files of a folder among the artifacts, as a client's upload leaves them."""
    found = [
        Artifact(
            path=f"{place}/{path.relative_to(at).as_posix()}",
            digest=workspace.blobs.put_file(path),
            size=path.stat().st_size,
        )
        for path in at.rglob("*")
        if path.is_file()
    ]
    workspace.artifacts.put(found)


def register(workspace, source, *, trained=None, tags=None, model="iris"):
    return register_external(
        workspace.models, model=model, run=None, trained=trained, source=source, at=NOON, user="ada", tags=tags
    )


def told(workspace):
    return [
        (entry.actor, entry.event)
        for entry in workspace.ledger.latest()
        if isinstance(entry.event, ModelVersionPackaged)
    ]


def test_a_version_gets_its_bundle_from_its_files_and_the_ledger_says_so(workspace, logged):
    keep(workspace, logged, "1/r/artifacts/model")
    version = register(workspace, "mlflow-artifacts:/1/r/artifacts/model")
    with pytest.raises(Conflict, match="not packaged") as refused:
        bundle_of(version)
    assert refused.value.remedy == "noria package build iris/1"

    done = package_version(workspace, version, actor="ada")

    assert done.version == workspace.models.get("iris", 1)
    assert (done.version.bundle, done.version.flavor) == (done.digest, "onnx")
    assert done.version.signature == done.manifest.signature
    assert done.manifest.model == "iris"
    assert [(actor, e.model, e.number, e.bundle, e.flavor, e.source) for actor, e in told(workspace)] == [
        ("ada", "iris", 1, done.digest, "onnx", "mlflow-artifacts:/1/r/artifacts/model")
    ]
    opened = open_bundle(done.digest, blobs=workspace.blobs, cache=workspace.home / "c", flavors=workspace.flavors)
    expected = LogisticRegression().fit(X, Y).predict_proba(X)[:, 1]
    assert np.allclose(opened.predictor.predict({"input": X})["probability"], expected, atol=1e-6)


def test_packaging_again_changes_nothing_and_makes_good_what_a_crash_left_out(workspace, logged):
    keep(workspace, logged, "1/r/artifacts/model")
    version = register(workspace, "mlflow-artifacts:/1/r/artifacts/model")
    first = package_version(workspace, version, actor="ada")

    again = package_version(workspace, workspace.models.get("iris", 1), actor="bob")

    assert (again.digest, again.notes) == (first.digest, ("it was packaged before",))
    assert len(told(workspace)) == 1

    with a_workspace() as crashed:  # the version has its bundle, and the process died before the ledger
        keep(crashed, logged, "1/r/artifacts/model")
        done = package_version(crashed, register(crashed, "mlflow-artifacts:/1/r/artifacts/model"), actor="ada")
        bare = a_workspace()
        keep(bare, logged, "1/r/artifacts/model")
        for entry in done.manifest.files:
            bare.blobs.put(crashed.blobs.get(entry.digest))
        bare.blobs.put(crashed.blobs.get(done.digest))
        bare.models.register(msgspec.structs.replace(done.version, updated_at=None))
        package_version(bare, bare.models.get("iris", 1), actor="ada")
        assert [event.bundle for _, event in told(bare)] == [done.digest]
        bare.close()


def test_files_are_found_by_every_kind_of_source(workspace, logged):
    run = workspace.runs.create(Run(id=RunId("r1"), experiment="e", name="n", status="running", started_at=NOON))
    keep(workspace, logged, f"{run.artifact_root}/model")
    trained = workspace.trained.create(
        TrainedModel(
            id=TrainedModelId("m-1"), experiment_id=run.experiment_id, name="model", created_at=NOON, updated_at=NOON
        )
    )
    keep(workspace, logged, trained.artifact_root)
    sources = [
        "runs:/r1/model",
        f"mlflow-artifacts:/{run.artifact_root}/model",
        f"http://h:5000/api/2.0/mlflow-artifacts/artifacts/{run.artifact_root}/model",
        "models:/m-1",
        "models:/iris/1",
    ]

    digests = {package_version(workspace, register(workspace, s), actor="ada").digest for s in sources}
    by_link = package_version(workspace, register(workspace, "models:/m-1", trained=trained), actor="ada")
    by_tag = register(workspace, "models:/iris@old", tags={PLACE_TAG: "runs:/r1/model"})

    assert len(digests) == 1
    assert {by_link.digest, package_version(workspace, by_tag, actor="ada").digest} == digests
    assert PLACE_TAG == registry_checks.PLACE_TAG


@pytest.mark.parametrize("source", ["s3://bucket/model", "/tmp/model", "file:///tmp/model", "", "models:/iris/1"])
def test_files_that_are_not_here_are_said_to_be_elsewhere(workspace, source):
    version = register(workspace, source)

    with pytest.raises(NotFound, match="not in this store") as refused:
        package_version(workspace, version, actor="ada")

    assert refused.value.remedy == "noria package add iris FOLDER"
    assert workspace.models.get("iris", 1).bundle is None


def test_what_is_no_model_leaves_the_version_as_it_was(workspace, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.txt").write_text("hello")
    keep(workspace, tmp_path / "x", "1/r/artifacts")
    version = register(workspace, "mlflow-artifacts:/1/r/artifacts")

    with pytest.raises(SourceUnreadable):
        package_version(workspace, version, actor="ada")

    assert workspace.models.get("iris", 1) == version
    assert told(workspace) == []


def test_a_folder_becomes_the_next_version_or_nothing(workspace, logged, tmp_path):
    done = add_folder(workspace, "iris", logged, actor="ada")

    assert (done.version.ref, done.version.user, done.version.bundle) == ("iris/1", "ada", done.digest)
    assert done.version.source == logged.resolve().as_uri()
    with pytest.raises(SourceUnreadable):
        add_folder(workspace, "iris", tmp_path, actor="ada")
    assert len(workspace.models.versions("iris")) == 1


def test_a_bundle_goes_out_and_comes_into_another_store_under_its_address(workspace, logged, tmp_path):
    done = add_folder(workspace, "iris", logged, actor="ada")

    digest, _ = export(workspace, "models:/iris/1", tmp_path / "out")

    with a_workspace() as other:
        assert add_folder(other, "iris", tmp_path / "out", actor="bob").digest == digest == done.digest


def test_names_of_versions_are_understood_as_mlflow_writes_them(workspace, logged):
    done = add_folder(workspace, "iris", logged, actor="ada")
    move = AliasMove(model="iris", alias="champion", number=1, previous=None, at=NOON, actor="ada", reason="x")
    workspace.models.move_alias(move)

    for text in ("models:/iris/1", "iris/1", "models:/iris@champion", "iris@champion", "iris/latest"):
        assert version_named(workspace, text) == done.version
        assert bundle_named(workspace, text)[0] == done.digest
    assert bundle_named(workspace, done.digest)[1] == done.manifest
    for text in ("iris@chmpion", "iris/9", "nothing/latest", "nothing@champion"):
        with pytest.raises(NotFound):
            version_named(workspace, text)
    for text in ("iris", "iris/x", "", "models:/"):
        with pytest.raises(SettingInvalid):
            version_named(workspace, text)


@dataclasses.dataclass
class Trap:
    """What tells that a pickle was opened."""

    opened = []  # noqa: RUF012

    def __setstate__(self, state):
        Trap.opened.append(state)


@pytest.mark.parametrize("kept", ["pickle", "cloudpickle"])
def test_a_pickle_is_opened_only_if_it_was_logged_here_and_the_project_allows_it(tmp_path, kept):
    words = {"pickled_model": "model.pkl", "serialization_format": kept}
    at = folder(tmp_path / "m", "sklearn", inputs=[tensor(3)], rows=X[:4].tolist(), **words)
    model = LogisticRegression().fit(X, Y)
    model.trap_ = Trap()
    model.trap_.state = 1
    (at / "model.pkl").write_bytes(pickle.dumps(model))
    Trap.opened.clear()

    with a_workspace() as strict:
        keep(strict, at, "1/r/artifacts/model")
        version = register(strict, "mlflow-artifacts:/1/r/artifacts/model")
        with pytest.raises(BundleRefused, match="is a program") as refused:
            package_version(strict, version, actor="ada")
        assert "skops" in refused.value.remedy
        assert "allow_code" in refused.value.remedy
    with a_workspace(allow_code=True) as open_minded:
        with pytest.raises(BundleRefused, match="is a program"):
            add_folder(open_minded, "iris", at, actor="ada")
        assert Trap.opened == []

        keep(open_minded, at, "1/r/artifacts/model")
        version = register(open_minded, "mlflow-artifacts:/1/r/artifacts/model")
        done = package_version(open_minded, version, actor="ada")
        assert len(Trap.opened) >= 1
        assert (done.version.flavor, done.manifest.code_free) == ("onnx", True)
