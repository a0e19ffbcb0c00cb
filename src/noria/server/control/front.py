"""One port for everything: what MLflow's clients ask goes to their protocol, the rest to the control plane, both behind the same Gatekeeper.

Bodies pass through in pieces, as they come. The protocol is server/mlflow, loaded by name because faces do not know each other. Called by run.py.
"""

from importlib import import_module

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from noria.app.webhooks import Deliverer
from noria.app.workspace import Workspace
from noria.errors import NoriaError, NotSignedIn
from noria.ports.blobs import BlobStore
from noria.ports.clock import Clock
from noria.ports.metadata import Metadata
from noria.server.control.access import Gatekeeper
from noria.server.control.measuring import measured, timed

PROTOCOL = "noria.server.mlflow.app:create_app"
PREFIXES = ("/api/2.0/mlflow", "/api/3.0/mlflow", "/api/2.0mlflow", "/ajax-api/")
"""The third is no slip of ours: one route of the protocol is called so."""
PATHS = frozenset({"/health", "/version", "/get-artifact", "/model-versions/get-artifact", "/graphql", "/v1/traces"})


def front(
    workspace: Workspace,
    control: ASGIApp,
    gatekeeper: Gatekeeper,
    *,
    default_root: str = "",
    hooks: Deliverer | None = None,
) -> ASGIApp:
    """The control plane with the protocol beside it, as one application.

    control: already guarded by a Gatekeeper of its own; the protocol is guarded here. default_root: a URI outside under which clients shall keep
    the files of new experiments; empty: in this server. hooks: who tells webhooks.
    """
    module, _, name = PROTOCOL.partition(":")
    protocol: ASGIApp = getattr(import_module(module), name)(_Stores(workspace, default_root, hooks))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not is_protocol(path := single(scope["path"])):
            await control(scope, receive, send)
            return
        scope["path"] = path
        try:
            gatekeeper.check(scope)
        except NoriaError as error:
            await _refuse(error, send)
            return
        await protocol(scope, receive, send)

    return timed(answer, workspace.telemetry)


class _Stores:
    """What the protocol works with: the workspace's stores of the moment, which a reset replaces."""

    actor = "mlflow"
    default_root = ""

    def __init__(self, workspace: Workspace, default_root: str, hooks: Deliverer | None) -> None:
        self._workspace = workspace
        self.default_root = default_root
        self.hooks = hooks
        self.schemes = ("https", "http") if workspace.settings.webhooks.allow_http else ("https",)

    @property
    def metadata(self) -> Metadata:
        return measured(self._workspace.metadata, self._workspace.telemetry)

    @property
    def blobs(self) -> BlobStore:
        return self._workspace.blobs

    @property
    def clock(self) -> Clock:
        return self._workspace.clock


def single(path: str) -> str:
    """A path that begins with one slash: those who join a server's address that ends in a slash to a path ask for two.

    >>> single("//get-artifact"), single("/runs//7")
    ('/get-artifact', '/runs//7')
    """
    return f"/{path.lstrip('/')}" if path.startswith("//") else path


def is_protocol(path: str) -> bool:
    """Whether a path belongs to MLflow's protocol.

    >>> is_protocol("/api/2.0/mlflow/runs/get"), is_protocol("/health"), is_protocol("/api/v1/runs"), is_protocol("/runs")
    (True, True, False, False)
    """
    return path.startswith(PREFIXES) or path in PATHS


async def _refuse(error: NoriaError, send: Send) -> None:
    """An error in the protocol's own form, whose clients show the message."""
    unknown = isinstance(error, NotSignedIn)
    message = f"{error.problem}: {error.cause}" if error.cause else error.problem
    body = msgspec.json.encode(
        {"error_code": "UNAUTHENTICATED" if unknown else "PERMISSION_DENIED", "message": message}
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if unknown:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": 401 if unknown else 403, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
