"""Where the files of a version from outside are, and how they are fetched: only what is in this store, whatever else a source may name.

Sources are MLflow's URIs, as its clients give them. Called by app/packaging.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from noria.app.workspace import Workspace
from noria.domain.ids import RunId, TrainedModelId
from noria.domain.model import ModelVersion
from noria.errors import NotFound
from noria.wire.paths import checked_path

PLACE_TAG = "noria.mlflow.storage_location"
"""Where a source led when it was registered; written by server/mlflow."""
ANCHOR = "/mlflow-artifacts/artifacts"
_OUTSIDE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/")


def place_of(workspace: Workspace, version: ModelVersion) -> str:
    """The folder in the artifacts that holds a version's files. Raises NotFound for what is not in this store, PathRefused."""
    if version.trained is not None:
        return _inside(workspace.trained.get(version.trained).artifact_root, version)
    source = version.tags.get(PLACE_TAG) or version.source
    if source.startswith("runs:/"):
        return _of_run(workspace, source, version)
    if source.startswith("models:/"):
        return _of_model(workspace, source, version)
    return _inside(source, version)


def fetch(workspace: Workspace, place: str, folder: Path) -> None:
    """Lay the files below a place out in a folder that does not exist yet, each verified. Raises NotFound if there are none, StoreCorrupt."""
    found = workspace.artifacts.under(place)
    if not found:
        raise NotFound(
            f"there are no files at '{place}'", cause="nothing was logged there", remedy="log the model again"
        )
    for artifact in found:
        target = folder / checked_path(artifact.path.removeprefix(f"{place}/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        workspace.blobs.export(artifact.digest, target)


def _of_run(workspace: Workspace, source: str, version: ModelVersion) -> str:
    """`runs:/<run>/<path>`: the run's own files, or the model of that name that the run brought forth."""
    run_id, _, path = source.removeprefix("runs:/").partition("/")
    run = workspace.runs.get(RunId(run_id))
    own = _below(_inside(run.artifact_root, version), path)
    if workspace.artifacts.under(own, limit=1):
        return own
    for link in run.models_out:
        model = workspace.trained.get(link.model_id)
        if model.name == path:
            return _inside(model.artifact_root, version)
    return own


def _of_model(workspace: Workspace, source: str, version: ModelVersion) -> str:
    """`models:/<id>` is a trained model, `models:/<name>/<number>` another version."""
    name, _, number = source.removeprefix("models:/").strip("/").partition("/")
    if not number:
        return _inside(workspace.trained.get(TrainedModelId(name)).artifact_root, version)
    origin = workspace.models.get(name, int(number)) if number.isdecimal() else version
    if origin.ref == version.ref:
        raise _elsewhere(source, version)
    return place_of(workspace, origin)


def _inside(root: str, version: ModelVersion) -> str:
    """The path in this store that a root or a URI names."""
    parts = urlsplit(root)
    if parts.scheme == "mlflow-artifacts":
        path = unquote(parts.path)
    elif parts.scheme in ("http", "https") and ANCHOR in parts.path:
        path = unquote(parts.path.partition(ANCHOR)[2])
    elif root and _OUTSIDE.match(root) is None:
        path = root
    else:
        raise _elsewhere(root, version)
    return checked_path(path.strip("/"))


def _below(root: str, path: str) -> str:
    return checked_path(f"{root}/{path.strip('/')}") if path.strip("/") else root


def _elsewhere(place: str, version: ModelVersion) -> NotFound:
    said = f"they are at {place!r}" if place else "no source was named when it was registered"
    return NotFound(
        f"the files of version {version.ref} are not in this store",
        cause=f"{said}; fetch the folder from there yourself",
        remedy=f"noria package add {version.model} FOLDER",
    )
