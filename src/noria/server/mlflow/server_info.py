"""What the server says of itself: alive, which version of the protocol it speaks, what it can do."""

import msgspec

from noria.server.mlflow.routing import TEXT, Context, Request, Response, Route

PROTOCOL = "3.17.2"
"""The newest MLflow whose clients the protocol was tried with; clients compare it with their own."""


class ServerInfo(msgspec.Struct):
    """What clients ask once to choose their way of moving files. store_type: their word for a store with a database."""

    store_type: str = "SqlStore"
    workspaces_enabled: bool = False
    trace_archival_enabled: bool = False
    multipart_uploads_enabled: bool = True
    multipart_downloads_enabled: bool = False
    presigned_upload_run_id_supported: bool = False
    presigned_upload_model_id_supported: bool = False
    features_enabled: dict[str, bool] = msgspec.field(default_factory=lambda: {"gateway": False})


def health(_: Request, __: Context) -> Response:
    """The server lives."""
    return Response(b"OK", 200, list(TEXT))


def version(_: Request, __: Context) -> Response:
    """The version, bare."""
    return Response(PROTOCOL.encode(), 200, list(TEXT))


def server_info(_: Request, __: Context) -> ServerInfo:
    """What the server can do."""
    return ServerInfo()


ROUTES = [
    Route("GET", "/health", health, versions=()),
    Route("GET", "/version", version, versions=()),
    Route("GET", "/mlflow/server-info", server_info, versions=("3.0",)),
]
