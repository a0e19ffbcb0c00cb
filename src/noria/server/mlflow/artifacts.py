"""Files through this server: list, get (whole, in ranges, by ETag), put, delete, in constant memory; and the pages' ways to them by run or model.

Where files are is places, how they are answered is sending, large files in parts are multipart. Putting one that exists replaces it.
"""

import msgspec

from noria.domain.ids import RunId, TrainedModelId
from noria.domain.run import Run
from noria.domain.trained import TrainedModel
from noria.errors import InputInvalid, NotFound
from noria.server.mlflow import wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.locations import HIDDEN, checked, stored_path, uri_of
from noria.server.mlflow.places import Place, Stored, place_at, place_of
from noria.server.mlflow.registry_views import download_uri
from noria.server.mlflow.routing import Context, Request, Response, Route
from noria.server.mlflow.sending import send

UPLOAD_LIMIT = 10 * 1024 * 1024
"""Bytes that a page may upload with a run's id; clients have no such limit."""
DRAIN = 16 * 1024 * 1024
"""How much of a refused body is read before the answer, so that its sender sees the answer and no broken connection."""


class FileInfo(msgspec.Struct, omit_defaults=True):
    """A file or folder as clients see it."""

    path: str
    is_dir: bool
    file_size: int | msgspec.UnsetType = msgspec.UNSET


class Listing(msgspec.Struct, omit_defaults=True):
    """What stands in a folder; root_uri where the folder belongs to something."""

    files: list[FileInfo] = []
    root_uri: str = ""


def list_files(request: Request, context: Context) -> Listing:
    """What stands directly below ?path=, by bare name."""
    path = request.query.get("path", [""])[0].rstrip("/")
    place = Stored(context, "")
    return Listing(files=[each for each in _infos(place, checked(path) if path else "") if each.path != HIDDEN])


def get_file(request: Request, context: Context) -> Response:
    """A file's content."""
    return send(request, Stored(context, ""), checked(request.args["path"]))


def put_file(request: Request, context: Context) -> None:
    """Keep a file under its path, replacing what stood there."""
    try:
        path = checked(request.args["path"])
        Stored(context, "").put(path, request.chunks())
    except (Refused, InputInvalid):
        _drain(request)
        raise
    except ConnectionError:
        raise Refused("The upload was broken off; nothing of it is kept.", "BAD_REQUEST") from None


def delete_file(request: Request, context: Context) -> None:
    """Forget a file, or a folder with all that is below it; nothing there is no error."""
    context.metadata.artifacts.delete(checked(request.args["path"]))


class ListArtifacts(msgspec.Struct):
    """What artifacts/list takes."""

    run_id: str | None = None
    run_uuid: str | None = None
    path: str | None = None
    page_token: str | None = None


LIST = wire.Form(ListArtifacts, run_id=(wire.string, wire.required), path=(wire.string,), page_token=(wire.string,))


def list_run_files(request: Request, context: Context) -> Listing:
    """What a run has in a folder of its own, by path below the run."""
    given = LIST.read(request)
    path = checked(given.path) if given.path else ""
    run = _run(given.run_id or given.run_uuid, context)
    return Listing(files=_infos(place_of(run, context), path, prefix=path), root_uri=uri_of(run.artifact_root))


class ListModelArtifacts(msgspec.Struct):
    """What logged-models/{id}/artifacts/directories takes."""

    artifact_directory_path: str | None = None
    page_token: str | None = None


LIST_MODEL = wire.Form(ListModelArtifacts, artifact_directory_path=(wire.string,))


def list_model_files(request: Request, context: Context) -> Listing:
    """What a trained model has in a folder of its own."""
    given = LIST_MODEL.read(request)
    path = checked(given.artifact_directory_path) if given.artifact_directory_path else ""
    model = _model(request.args["model_id"], context)
    return Listing(files=_infos(place_of(model, context), path, prefix=path), root_uri=uri_of(model.artifact_root))


def get_run_file(request: Request, context: Context) -> Response:
    """A run's file, for pages."""
    given = request.query
    path = checked(_asked(request, "path"))
    run = _run((given.get("run_id") or given.get("run_uuid") or [""])[0], context)
    return send(request, place_of(run, context), path)


def get_model_file(request: Request, context: Context) -> Response:
    """A trained model's file, for pages."""
    if not (path := request.query.get("artifact_file_path", [""])[0]):
        raise Refused('Request must include the "artifact_file_path" query parameter.', "BAD_REQUEST")
    return send(request, place_of(_model(request.args["model_id"], context), context), checked(path))


def get_version_file(request: Request, context: Context) -> Response:
    """A file of a registered version, for pages."""
    path = checked(_asked(request, "path"))
    uri = download_uri(context, _asked(request, "name"), _asked(request, "version"))
    root = stored_path(uri)
    place = place_at(uri, context) if root is None else Stored(context, checked(root) if root else "")
    return send(request, place, path)


def upload_run_file(request: Request, context: Context) -> Response:
    """A small file from a page into a run."""
    run_id, path = (request.query.get(name, [""])[0] for name in ("run_uuid", "path"))
    if not run_id:
        raise Refused("Request must specify run_uuid.")
    if not path:
        raise Refused("Request must specify path.")
    path = checked(path)
    if len(request.body) > UPLOAD_LIMIT:
        raise Refused("Artifact size is too large. Max size is 10MB.")
    if not request.body:
        raise Refused("Request must specify data.")
    run = _run(run_id, context)
    place_of(run, context).put(path, iter((request.body,)))
    return Response(b"")


def presigned(request: Request, context: Context) -> Response:
    """This server is the store; there is no other that could be asked directly."""
    word = "download" if "download" in request.path or request.method == "GET" else "upload"
    raise Refused(
        f"Presigned {word} is not supported for proxied artifact storage (artifact URI scheme: mlflow-artifacts). "
        "This endpoint requires a direct cloud storage artifact URI."
    )


def presigned_proxied(request: Request, context: Context) -> Response:
    """As `presigned`, for clients that ask whether they may download in parts; this answer makes them download as ever."""
    raise Refused("Multipart download is not supported for the current artifact repository", "NOT_IMPLEMENTED")


def _run(given: str | None, context: Context) -> Run:
    if not given:
        raise Refused("Missing value for required parameter 'run_id'.")
    try:
        return context.metadata.runs.get(RunId(given))
    except NotFound:
        raise missing(f"Run with id={given} not found") from None


def _model(model_id: str, context: Context) -> TrainedModel:
    try:
        return context.metadata.trained.get(TrainedModelId(model_id))
    except NotFound:
        raise missing(f"Logged model with ID '{model_id}' not found.") from None


def _asked(request: Request, name: str) -> str:
    if name not in request.query:
        raise Refused(f"Request must specify {name}.", "BAD_REQUEST")
    return request.query[name][0]


def _infos(place: Place, folder: str, *, prefix: str = "") -> list[FileInfo]:
    """A folder's entries; prefix: what stands before each name in the answer."""
    return [
        FileInfo(
            path=f"{prefix}/{name}" if prefix else name,
            is_dir=size is None,
            file_size=msgspec.UNSET if size is None else size,
        )
        for name, size in place.children(folder)
    ]


def _drain(request: Request) -> None:
    """Read what is left of a body, within reason."""
    left = DRAIN
    try:
        for chunk in request.chunks():
            left -= len(chunk)
            if left < 0:
                return
    except ConnectionError:
        return


FILES = "/mlflow-artifacts/artifacts"
ROUTES = [
    Route("GET", FILES, list_files),
    Route("GET", FILES + "/{path:path}", get_file),
    Route("PUT", FILES + "/{path:path}", put_file, streams=True),
    Route("DELETE", FILES + "/{path:path}", delete_file),
    Route("GET", "/mlflow-artifacts/presigned/{path:path}", presigned_proxied),
    Route("GET", "/mlflow/artifacts/list", list_run_files),
    Route("POST", "/mlflow/artifacts/presigned-upload-url", presigned),
    Route("POST", "/mlflow/artifacts/presigned-download-url", presigned),
    Route("GET", "/mlflow/logged-models/{model_id}/artifacts/directories", list_model_files),
    Route("GET", "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", get_model_file, versions=()),
    Route("POST", "/ajax-api/2.0/mlflow/upload-artifact", upload_run_file, versions=()),
    Route("GET", "/get-artifact", get_run_file, versions=()),
    Route("GET", "/model-versions/get-artifact", get_version_file, versions=()),
]
