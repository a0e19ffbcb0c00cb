"""Files through this server: list, get (whole, in ranges, by ETag), put, delete, in constant memory; and the pages' ways to them by run or model.

A file is content in `blobs` and a path over it in `artifacts`; putting one that exists replaces it. Large files in parts are multipart.
"""

import re
from collections.abc import Iterator
from mimetypes import guess_type
from posixpath import basename
from urllib.parse import quote

import msgspec

from noria.domain.ids import RunId, TrainedModelId
from noria.domain.run import Artifact, Run
from noria.errors import InputInvalid, NotFound
from noria.server.mlflow import wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.locations import HIDDEN, checked, root_of, stored_path, uri_of, within
from noria.server.mlflow.registry_views import download_uri
from noria.server.mlflow.routing import Context, Headers, Request, Response, Route

UPLOAD_LIMIT = 10 * 1024 * 1024
"""Bytes that a page may upload with a run's id; clients have no such limit."""
DRAIN = 16 * 1024 * 1024
"""How much of a refused body is read before the answer, so that its sender sees the answer and no broken connection."""
TEXTUAL = frozenset(
    [
        "txt",
        "log",
        "err",
        "cfg",
        "conf",
        "cnf",
        "cf",
        "ini",
        "properties",
        "prop",
        "hocon",
        "toml",
        "yaml",
        "yml",
        "xml",
        "json",
        "js",
        "py",
        "py3",
        "csv",
        "tsv",
        "md",
        "rst",
        "MLmodel",
        "mlproject",
        "MLproject",
    ]
)
"""Extensions, and two names, that are shown as text."""
TOKEN = re.compile(r"[A-Za-z0-9!#$&+.^_`|~-]+")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


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
    return Listing(files=_infos(context, checked(path) if path else "", prefix=""))


def get_file(request: Request, context: Context) -> Response:
    """A file's content."""
    return _file(request, context, checked(request.args["path"]))


def put_file(request: Request, context: Context) -> None:
    """Keep a file under its path, replacing what stood there."""
    try:
        path = checked(request.args["path"])
        _keep(request.chunks(), context, path)
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
    return Listing(files=_infos(context, within(root_of(run), path), prefix=path), root_uri=uri_of(run.artifact_root))


class ListModelArtifacts(msgspec.Struct):
    """What logged-models/{id}/artifacts/directories takes."""

    artifact_directory_path: str | None = None
    page_token: str | None = None


LIST_MODEL = wire.Form(ListModelArtifacts, artifact_directory_path=(wire.string,))


def list_model_files(request: Request, context: Context) -> Listing:
    """What a trained model has in a folder of its own."""
    given = LIST_MODEL.read(request)
    path = checked(given.artifact_directory_path) if given.artifact_directory_path else ""
    root, uri = _model_root(request.args["model_id"], context)
    return Listing(files=_infos(context, within(root, path), prefix=path), root_uri=uri)


def get_run_file(request: Request, context: Context) -> Response:
    """A run's file, for pages."""
    given = request.query
    path = checked(_asked(request, "path"))
    run = _run((given.get("run_id") or given.get("run_uuid") or [""])[0], context)
    return _file(request, context, within(root_of(run), path))


def get_model_file(request: Request, context: Context) -> Response:
    """A trained model's file, for pages."""
    if not (path := request.query.get("artifact_file_path", [""])[0]):
        raise Refused('Request must include the "artifact_file_path" query parameter.', "BAD_REQUEST")
    root, _ = _model_root(request.args["model_id"], context)
    return _file(request, context, within(root, checked(path)))


def get_version_file(request: Request, context: Context) -> Response:
    """A file of a registered version, for pages."""
    path = checked(_asked(request, "path"))
    uri = download_uri(context, _asked(request, "name"), _asked(request, "version"))
    root = stored_path(uri)
    if root is None:
        raise Refused(
            f"The version's files are at {uri!r}, outside of this server, which opens no foreign location.",
            "NOT_IMPLEMENTED",
        )
    return _file(request, context, within(checked(root), path) if root else path)


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
    _keep(iter((request.body,)), context, within(root_of(run), path))
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


def _model_root(model_id: str, context: Context) -> tuple[str, str]:
    try:
        model = context.metadata.trained.get(TrainedModelId(model_id))
    except NotFound:
        raise missing(f"Logged model with ID '{model_id}' not found.") from None
    return root_of(model), uri_of(model.artifact_root)


def _asked(request: Request, name: str) -> str:
    if name not in request.query:
        raise Refused(f"Request must specify {name}.", "BAD_REQUEST")
    return request.query[name][0]


def _infos(context: Context, folder: str, *, prefix: str) -> list[FileInfo]:
    """A folder's entries; prefix: what stands before each name in the answer."""
    found = context.metadata.artifacts.children(folder)
    return [
        FileInfo(
            path=f"{prefix}/{name}" if prefix else name,
            is_dir=file is None,
            file_size=msgspec.UNSET if file is None else file.size,
        )
        for name, file in ((basename(path), file) for path, file in found)
        if folder or name != HIDDEN
    ]


def _keep(chunks: Iterator[bytes], context: Context, path: str) -> None:
    digest, size = context.blobs.put_chunks(chunks)
    context.metadata.artifacts.put([Artifact(path=path, digest=digest, size=size)])


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


def _file(request: Request, context: Context, path: str) -> Response:
    """A file as an answer, or the part of it that was asked for, or that it has not changed."""
    try:
        file = context.metadata.artifacts.get(path)
    except NotFound:
        raise missing(f"No such file or directory: '{path}'") from None
    tag = f'"{file.digest.partition(":")[2]}"'
    headers: Headers = [
        (b"content-type", media_type(path).encode()),
        (b"content-disposition", disposition(basename(path)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"accept-ranges", b"bytes"),
        (b"etag", tag.encode()),
        (b"cache-control", b"no-cache"),
    ]
    if tag in (request.header("if-none-match") or ""):
        return Response(b"", 304, headers)
    start, end = 0, file.size
    status = 200
    if asked := request.header("range"):
        condition = request.header("if-range")
        if condition is None or condition == tag:
            stretch = stretch_of(asked, file.size)
            if stretch is not None:
                start, end = stretch
                status = 206 if start < end else 416
                shown = f"{start}-{end - 1}" if start < end else "*"
                headers.append((b"content-range", f"bytes {shown}/{file.size}".encode()))
    headers.append((b"content-length", str(end - start).encode()))
    if start >= end:
        return Response(b"", status, headers)
    whole = status == 200
    pieces = context.blobs.chunks(file.digest) if whole else context.blobs.chunks(file.digest, start=start, end=end)
    return Response(pieces, status, headers)


def stretch_of(header: str, size: int) -> tuple[int, int] | None:
    """The bytes from (inclusive) to (exclusive) that a Range header asks for; None to send everything; an empty stretch if there are none such.

    >>> stretch_of("bytes=0-9", 100), stretch_of("bytes=90-", 100), stretch_of("bytes=-5", 100), stretch_of("bytes=0-1,5-6", 100)
    ((0, 10), (90, 100), (95, 100), None)
    >>> stretch_of("bytes=100-", 100)
    (0, 0)
    """
    match = RANGE.fullmatch(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size) if int(last) and size else (0, 0)
    start = int(first)
    if last and int(last) < start:
        return None
    end = min(int(last) + 1, size) if last else size
    return (start, end) if start < size else (0, 0)


def media_type(path: str) -> str:
    """The content type that a name stands for; what a client asks for plays no part.

    >>> media_type("a/MLmodel"), media_type("x.png"), media_type("model.pkl")
    ('text/plain', 'image/png', 'application/octet-stream')
    """
    name = basename(path)
    stem, dot, extension = name.rpartition(".")
    if (extension if dot and stem else name) in TEXTUAL:
        return "text/plain"
    return guess_type(name)[0] or "application/octet-stream"


def disposition(name: str) -> str:
    """The header that makes a browser save a file and never show it on this server's address.

    >>> disposition("a.txt")
    'attachment; filename=a.txt'
    >>> disposition('my "é".txt')
    "attachment; filename*=UTF-8''my%20%22%C3%A9%22.txt"
    """
    if TOKEN.fullmatch(name):
        return f"attachment; filename={name}"
    if name.isascii() and '"' not in name and "\\" not in name and name.isprintable():
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


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
