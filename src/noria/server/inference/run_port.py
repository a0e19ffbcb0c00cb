"""The port a worker listens on, and how many connections it may have: for a process and for the parent of several.

Called by run_server and processes. Nothing heavy is imported here.
"""

import contextlib
import resource
import socket

from noria.errors import SettingInvalid

START_S = 30.0
"""Within this a server answers once it has been started."""


def hold_port(host: str, port: int, *, shared: bool) -> tuple[socket.socket, int]:
    """Take the port before the server does, so that 0 becomes a number and a taken one is an error. shared: other processes of the group have it.

    The server listens with SO_REUSEPORT: without this check two workers would quietly share a port and split its requests.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        if port and not shared:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        if hasattr(socket, "SO_REUSEPORT"):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
    except OSError as exc:
        held.close()
        raise SettingInvalid(
            f"{host}:{port} cannot be served", cause=str(exc), remedy="stop what listens there, or take another port"
        ) from exc
    taken = int(held.getsockname()[1])
    if not hasattr(socket, "SO_REUSEPORT"):
        held.close()
    return held, taken


def raise_open_files() -> int:
    """Allow this process as many open files, and with them connections, as the machine lets it; gives the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def printable(host: str) -> str:
    """An address as it stands in a URL.

    >>> printable("::1")
    '[::1]'
    """
    return f"[{host}]" if ":" in host else host
