"""The gRPC port of a worker, in its process and on its event loop. What is answered there is service; run opens it.

grpcio is imported here only, so that a worker without this port does not load it.
"""

from pathlib import Path
from typing import Any

from noria.errors import ExtraMissing, SettingInvalid
from noria.server.inference.access import Keys
from noria.server.inference.answering import Answering
from noria.server.inference.body import LIMIT_BYTES
from noria.server.inference.codec import Desk
from noria.server.inference.limits import Gate, Limits
from noria.server.inference.tls import Certificates
from noria.server.inference.tracing import Tracer

GRACE_S = 10.0
"""How long calls under way may take to finish when the server stops."""


class GrpcServer:
    """A port that answers calls between `start` and `stop`."""

    def __init__(self, server: Any, host: str, port: int) -> None:
        self._server = server
        self.host = host
        self.port = port
        """The number that was taken, also where 0 was asked for."""

    async def start(self) -> None:
        """Answer from now on."""
        await self._server.start()

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Take no new calls, let those under way finish within this time, then end."""
        await self._server.stop(grace_s)


async def open_server(
    answering: Answering,
    desk: Desk,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    keys: Keys | None = None,
    gate: Gate | None = None,
    body_limit: int = LIMIT_BYTES,
    certificates: Certificates | None = None,
    shared: bool = False,
    tracer: Tracer | None = None,
) -> GrpcServer:
    """Take a port, on the running event loop; it answers after `start`. port 0 takes a free one.

    gate: how much is taken on at once, the HTTP port's own where the two share a limit. shared: other processes of this worker listen there too.
    tracer: makes the spans of predictions.
    Raises ExtraMissing, SettingInvalid for a port that is taken or a certificate that cannot be used.
    """
    try:
        import grpc

        from noria.server.inference.grpc.service import Service
    except ModuleNotFoundError as exc:
        raise ExtraMissing("a gRPC port needs the package 'grpcio'", remedy="pip install 'noria[grpc]'") from exc
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", body_limit),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 1 if shared else 0),
        ]
    )
    service = Service(answering, desk, gate=gate or Gate(Limits()), keys=keys, tracer=tracer)
    server.add_generic_rpc_handlers(service.handlers())
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if certificates:
            taken = server.add_secure_port(address, _credentials(grpc, certificates))
        else:
            taken = server.add_insecure_port(address)
    except (RuntimeError, OSError) as exc:
        raise SettingInvalid(
            f"{address} cannot be served over gRPC",
            cause=str(exc),
            remedy="stop what listens there, or take another port",
        ) from exc
    return GrpcServer(server, host, taken)


def _credentials(grpc: Any, certificates: Certificates) -> Any:
    authority = Path(certificates.client_ca).read_bytes() if certificates.client_ca else None
    pair = (Path(certificates.key).read_bytes(), Path(certificates.cert).read_bytes())
    return grpc.ssl_server_credentials([pair], root_certificates=authority, require_client_auth=authority is not None)
