"""Run the control plane: one process, one worker, pages included. `python -m noria.server.control.run`. Called by `noria up` and the demo."""

import argparse
import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from noria.app.log_lines import set_up
from noria.app.processes import leave
from noria.app.settings import resolve
from noria.app.workspace import Workspace
from noria.errors import NoriaError, SettingInvalid

PAGES = "noria.ui.pages:router"
KEY = "NORIA_API_KEY"
ALL = frozenset({"0.0.0.0", "::"})  # recognised, not bound by default


def _say(url: str) -> None:
    print(f"pages:       {url}", flush=True)  # noqa: T201


def serve(
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: int = 8321,
    key: str | None = None,
    artifact_root: str = "",
    announce: Callable[[str], None] = _say,
) -> None:
    """Serve one workspace with its pages until SIGTERM or SIGINT. Blocks; call it from the main thread. Does not close the workspace.

    key: what callers must show; by default the environment's NORIA_API_KEY, if it is set. announce: told the URL once it answers; prints it by
    default. artifact_root: a URI outside, under which MLflow's clients themselves keep the files of new experiments; empty: this server keeps
    them. port 0 takes a free one. Raises SettingInvalid when the address is not loopback and there is no key, or when the port is taken.
    """
    key = key or os.environ.get(KEY) or None
    from noria.server.control.listener import new_loop

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(workspace, host=host, port=port, key=key, artifact_root=artifact_root, announce=announce))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(host: str, key: str | None) -> None:
    """Refuse an address beyond this machine that anybody could use."""
    if not is_loopback(host) and not key:
        raise SettingInvalid(
            f"{host!r} can be reached from other machines, and there is no key",
            cause="only loopback is served without one",
            remedy=f"export {KEY}=$(python -c 'import secrets; print(secrets.token_urlsafe(24))')",
        )


async def _serve(
    workspace: Workspace,
    *,
    host: str,
    port: int,
    key: str | None,
    artifact_root: str,
    announce: Callable[[str], None],
) -> None:
    from noria.app.alerting_run import Alerting
    from noria.server.control.access import Gatekeeper, Keyring
    from noria.server.control.app import create_app
    from noria.server.control.changes import Streams
    from noria.server.control.front import front
    from noria.server.control.listener import Listener
    from noria.server.control.measuring import Measurements
    from noria.server.control.webhooks import deliverer_of
    from noria.server.otlp_metrics import open_pusher

    _check(host, key)
    port = claim(host, port)
    hooks, streams, alerting = deliverer_of(workspace), Streams(), Alerting(workspace)
    measurements = Measurements(workspace)
    pusher = open_pusher(measurements.families, service="noria")  # refuses what the environment says wrongly
    control = create_app(
        workspace,
        key=key,
        loopback=is_loopback(host),
        pages=PAGES,
        streams=streams,
        hooks=hooks,
        courier=alerting.courier,
        measurements=measurements,
    )
    gatekeeper = Gatekeeper(Keyring(key), loopback=is_loopback(host))
    app = front(workspace, control, gatekeeper, default_root=artifact_root, hooks=hooks)
    server = Listener(app, host=host, port=port)
    loop = asyncio.get_running_loop()

    stop: Callable[[], None] = server.stop

    def leave_all() -> None:
        streams.closing = True
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave_all)
    running = asyncio.create_task(server.serve())
    await _answering(host, port, running)
    announce(f"http://{_shown(host)}:{port}")
    hooks.start()
    alerting.start()
    try:
        await running
    finally:
        alerting.stop()
        hooks.stop()
        if pusher is not None:
            pusher.close()


def claim(host: str, port: int) -> int:
    """The port to listen on; a free one for 0. Raises SettingInvalid when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise SettingInvalid(
                f"cannot listen on {host}:{port}", cause=str(exc), remedy=f"noria up --port {port + 1}"
            ) from exc
        bound: int = probe.getsockname()[1]
        return bound


async def _answering(host: str, port: int, running: "asyncio.Task[None]") -> None:
    """Wait until the port accepts, or the server has given up."""
    while not running.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(_shown(host).strip("[]"), port)
            writer.close()
            return
        await asyncio.sleep(0.01)


def _shown(host: str) -> str:
    if host in ALL:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve; prints `{"url": ...}` on one line once it answers.

    The key is read from NORIA_API_KEY, never from the command line, which others can see.
    """
    parser = argparse.ArgumentParser(
        prog="python -m noria.server.control.run", description="Noria's control plane and its pages"
    )
    parser.add_argument(
        "--home", type=Path, default=None, help="the project's home (default: as noria.toml says, else .noria)"
    )
    parser.add_argument(
        "--ephemeral", action="store_true", help="keep everything in memory; POST /api/v1/reset empties it"
    )
    parser.add_argument("--project", default=None, help="name of the project (default: as noria.toml says)")
    parser.add_argument("--host", help="address to listen on (default: as noria.toml says, else 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port (default: as noria.toml says, else 8321; 0: a free one)")
    parser.add_argument(
        "--artifact-root",
        default="",
        help="URI outside, for MLflow clients' files of new experiments (default: this server)",
    )
    options = parser.parse_args(arguments)
    try:
        settings, home = resolve(options.home.parent if options.home else None)
        settings = msgspec.structs.replace(settings, project=options.project or settings.project)
        with (
            Workspace.ephemeral(settings.project, settings=settings)
            if options.ephemeral
            else Workspace(settings, (options.home or home).absolute())
        ) as workspace:
            set_up("noria", logs=settings.logs, home=None if workspace.is_ephemeral else workspace.home)
            serve(
                workspace,
                host=options.host or settings.serving.host,
                port=settings.serving.port if options.port is None else options.port,
                artifact_root=options.artifact_root,
                announce=lambda url: print(msgspec.json.encode({"url": url}).decode(), flush=True),  # noqa: T201
            )
    except NoriaError as error:
        sys.stderr.write(
            f"{error.headline()}\n"
            + (f"  cause:  {error.cause}\n" if error.cause else "")
            + f"  remedy: {error.remedy}\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    leave(main())
