"""Start a worker's HTTP server: `python -m noria.server.inference.run --home DIR`. One process, one event loop, the server embedded in it.

Prints one JSON line {"url": ...} when it answers; SIGTERM finishes what is under way, writes the records and ends. Composition is app/worker.
"""

import argparse
import asyncio
import contextlib
import gc
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from noria.app.stores import open_blobs
from noria.app.worker import Worker
from noria.errors import ExtraMissing, NoriaError, SettingInvalid
from noria.ports.blobs import BlobStore
from noria.server.inference.access import Keys
from noria.server.inference.answering import Answering
from noria.server.inference.app import InferenceApp
from noria.server.inference.body import LIMIT_BYTES
from noria.server.inference.metrics import Metrics
from noria.serving.record import CAPACITY_ROWS, WhenFull

SWITCH_S = 0.0005
"""How long the flusher or the loader may hold the interpreter while a request waits (Python's own setting is 5 ms)."""
START_S = 30.0
GC_ALLOCATIONS = 50_000
"""Containers made before the collector looks for cycles; with Python's own 700 it ran every twenty requests over every waiting record."""


def serve(
    home: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8322,
    deployments: Sequence[str] | None = None,
    replay_clock: bool = False,
    durable: bool = False,
    when_full: WhenFull = "drop",
    capacity_rows: int = CAPACITY_ROWS,
    body_limit: int = LIMIT_BYTES,
    api_key: str = "",
    blobs: BlobStore | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. port 0 takes a free one. blobs: where bundles are, by default in the home.

    replay_clock: believe the header Noria-Time. durable: a prediction is on the disk before it is answered; requests that come together share one
    fsync, and when_full is 'refuse' then.
    Raises SettingInvalid for an address beyond this machine without an API key, or one that is taken.
    """
    _check_address(host, port, api_key)
    sys.setswitchinterval(SWITCH_S)
    metrics = Metrics()
    worker = Worker(
        home,
        deployments=deployments,
        durable=durable,
        when_full=when_full,
        capacity_rows=capacity_rows,
        blobs=blobs,
        telemetry=metrics,
    )
    answering = Answering(worker.board, worker.recorder, metrics, replay_clock=replay_clock, durable=durable)

    async def flush() -> bool:
        return await asyncio.to_thread(worker.recorder.flush)

    app = InferenceApp(
        answering,
        status=worker.status,
        flush=flush,
        shelf=worker.loader,
        keys=Keys({"NORIA_API_KEY": api_key}),
        body_limit=body_limit,
    )
    metrics.follow(worker.recorder.status, worker.board.all, app.gate)
    worker.start()
    # What is loaded now stays: the collector need not look at it again, and records waiting to be written are no garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 20)
    try:
        asyncio.run(_serve(app, host, port))
    finally:
        worker.close()
        metrics.close()


async def _serve(app: InferenceApp, host: str, port: int) -> None:
    """Run the server inside this loop until a signal ends it."""
    try:
        from granian.constants import HTTPModes, Interfaces
        from granian.server.embed import Server
    except ModuleNotFoundError as exc:
        raise ExtraMissing("serving needs the package 'granian'", remedy="pip install 'noria[serve]'") from exc
    logging.getLogger("_granian").setLevel(logging.ERROR)
    held, port = _hold_port(host, port)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    serving = asyncio.create_task(server.serve())
    try:
        answered = asyncio.create_task(_wait_until_answers(host, port))
        await asyncio.wait({serving, answered}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            answered.cancel()
            await serving
            return
        await answered
        print(json.dumps({"url": f"http://{_printable(host)}:{port}", "pid": os.getpid()}), flush=True)  # noqa: T201
        await serving
    finally:
        held.close()


def _check_address(host: str, port: int, api_key: str) -> None:
    if not _is_loopback(host) and not api_key:
        raise SettingInvalid(
            f"address {host!r} is reachable from other machines and no API key is set",
            cause="anybody could ask for predictions and write into the log",
            remedy="set NORIA_API_KEY, or serve on 127.0.0.1",
        )
    if not 0 <= port <= 65535:
        raise SettingInvalid(f"port {port} is no port", remedy="use 0 (any free one) to 65535")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hold_port(host: str, port: int) -> tuple[socket.socket, int]:
    """Take the port before the server does, so that 0 becomes a number and a taken one is an error.

    The server listens with SO_REUSEPORT: without this check two workers would quietly share a port and split its requests.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        if port:
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


async def _wait_until_answers(host: str, port: int) -> None:
    """Ask for health until it is 200. Raises SettingInvalid after half a minute."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    request = f"GET /v2/health/live HTTP/1.1\r\nHost: {_printable(host)}\r\nConnection: close\r\n\r\n".encode()
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(reachable, port)
                writer.write(request)
                line = await reader.readline()
                writer.close()
                if b" 200 " in line:
                    return
            await asyncio.sleep(0.005)


def _printable(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of a worker. Gives the exit code."""
    options: Any = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        serve(
            Path(options.home),
            host=options.host,
            port=options.port,
            deployments=options.deployment or None,
            replay_clock=options.replay_clock,
            durable=options.durable,
            when_full=options.when_full,
            capacity_rows=options.ring_rows,
            body_limit=options.body_limit,
            api_key=os.environ.get("NORIA_API_KEY", ""),
            blobs=open_blobs(options.blobs, options.blobs_location, home=Path(options.home), project=options.project),
        )
    except NoriaError as error:
        print(f"{error.headline()}\n{error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End the process without taking the interpreter down piece by piece.

    Everything is written and closed by now, and the server's native threads may still end: one that touches the interpreter while it is finalised
    aborts the process (seen in 3 of 15 exits of a bare embedded server).
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="noria worker", description="Answer predictions for the deployments of one project."
    )
    parser.add_argument("--home", required=True, help="the project's folder (.noria)")
    parser.add_argument("--blobs", default="local", help="where bundles are: local, object_store")
    parser.add_argument(
        "--blobs-location", default="", help="such as s3://bucket/prefix; default: in the project's folder"
    )
    parser.add_argument(
        "--project", default="default", help="the project, whose name an object store's keys begin with"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8322, help="0 takes a free one")
    parser.add_argument(
        "--deployment", action="append", help="serve only this one (may be repeated); default: all that are published"
    )
    parser.add_argument("--durable", action="store_true", help="a prediction is on the disk before it is answered")
    parser.add_argument("--replay-clock", action="store_true", help="believe the header Noria-Time")
    parser.add_argument(
        "--when-full", choices=("drop", "refuse"), default="drop", help="what to do when the prediction log is behind"
    )
    parser.add_argument("--ring-rows", type=int, default=CAPACITY_ROWS, help="rows that may wait to be written")
    parser.add_argument("--body-limit", type=int, default=LIMIT_BYTES, help="largest request in bytes")
    return parser


if __name__ == "__main__":
    leave(main())
