"""One process's HTTP server inside its event loop: the port, the first answer, and the way out. Called by run.

The way out of SIGTERM: not ready any more, `grace_s` of answering, then the port is closed and what is under way may finish for `drain_s`; a second
signal ends the waiting.
"""

import asyncio
import json
import logging
import os
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable

from noria.errors import ExtraMissing, SettingInvalid
from noria.server.inference.app import InferenceApp
from noria.server.inference.grpc.server import GrpcServer
from noria.server.inference.run_options import Options
from noria.server.inference.run_port import START_S, hold_port, printable
from noria.server.inference.tls import of_probe, of_server
from noria.serving.live import Board

CONNECTIONS = 1 << 16
"""Granian takes connections up to this number and lets the others wait unaccepted. Requests are bounded by limits, so this is out of the way."""
BACKLOG = 4096

log = logging.getLogger(__name__)


class Exit:
    """What signals ask for. `asked` is set by the first, `at_once` by the second."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def signalled(self) -> None:
        """A signal came, or the parent is gone."""
        (self.at_once if self.asked.is_set() else self.asked).set()


async def serve_http(
    app: InferenceApp, board: Board, options: Options, *, open_grpc: Callable[[], Awaitable[GrpcServer | None]]
) -> None:
    """Serve until a signal ends it; prints {"url": ...} when it answers, with "grpc": host:port if that is open too.

    Raises SettingInvalid, ExtraMissing.
    """
    try:
        from granian.constants import HTTPModes, Interfaces
        from granian.http import HTTP1Settings
        from granian.server.embed import Server
    except ModuleNotFoundError as exc:
        raise ExtraMissing("serving needs the package 'granian'", remedy="pip install 'noria[serve]'") from exc
    logging.getLogger("_granian").setLevel(logging.ERROR)
    held, port = hold_port(options.host, options.port, shared=bool(options.group))
    certificates = options.certificates()
    server = Server(
        app,
        address=options.host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(options.idle_s * 1000)),
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        log_enabled=False,
        **of_server(certificates),
    )
    leaving = Exit()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.signalled)
    grpc = await open_grpc()
    watching = asyncio.create_task(app.watch())
    serving = asyncio.create_task(server.serve())
    try:
        if grpc is not None:
            await grpc.start()
        await _until_it_answers(serving, options, port, probe=of_probe(certificates))
        scheme = "https" if certificates else "http"
        told = {"url": f"{scheme}://{printable(options.host)}:{port}", "pid": os.getpid()}
        if grpc is not None:
            told["grpc"] = f"{printable(options.host)}:{grpc.port}"
        print(json.dumps(told), flush=True)  # noqa: T201
        if options.group:
            _follow_parent(leaving)
        await _first(serving, leaving.asked.wait())
        if not serving.done():
            await _drain(serving, server.stop, board, leaving, options, grpc)
    finally:
        if grpc is not None:
            await grpc.stop(0.0)
        watching.cancel()
        held.close()


async def _drain(
    serving: "asyncio.Task[None]",
    stop: Callable[[], None],
    board: Board,
    leaving: Exit,
    options: Options,
    grpc: GrpcServer | None,
) -> None:
    """Not ready, grace, port closed, requests finished; or a second signal."""
    board.drain()
    if options.grace_s:
        log.warning("not ready any more; answering for another %g s", options.grace_s)
        await _first(serving, leaving.at_once.wait(), seconds=options.grace_s)
    stop()
    calls = asyncio.create_task(grpc.stop(options.drain_s)) if grpc is not None else None
    await _first(serving, leaving.at_once.wait(), seconds=options.drain_s)
    if calls is not None and not leaving.at_once.is_set():
        await _first(calls, leaving.at_once.wait(), seconds=options.drain_s)
    if not serving.done():
        log.warning("ended with requests under way, which are not answered")
        serving.cancel()
        await asyncio.wait({serving}, timeout=0.5)
    elif not serving.cancelled() and (error := serving.exception()) is not None:
        raise error


async def _first(serving: "asyncio.Task[None]", event: Awaitable[object], *, seconds: float | None = None) -> None:
    """Wait until the server has ended or something else has happened."""
    other = asyncio.ensure_future(event)
    await asyncio.wait({serving, other}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    other.cancel()


def _follow_parent(leaving: Exit) -> None:
    """The parent holds the other end of standard input: when it is gone, so shall this process be."""

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            leaving.signalled()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), readable)


async def _until_it_answers(
    serving: "asyncio.Task[None]", options: Options, port: int, *, probe: ssl.SSLContext | None
) -> None:
    answered = asyncio.create_task(_ask(options, port, probe))
    await asyncio.wait({serving, answered}, return_when=asyncio.FIRST_COMPLETED)
    if not answered.done():
        answered.cancel()
        await serving
        raise SettingInvalid("the server ended before it answered", remedy="see the worker's log")
    await answered


async def _ask(options: Options, port: int, probe: ssl.SSLContext | None) -> None:
    """Ask for health until it is 200. Raises SettingInvalid after half a minute.

    Where the port is shared any of the processes may answer; that this one listens is known by then, because the server listens before it runs.
    """
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    request = f"GET /v2/health/live HTTP/1.1\r\nHost: {printable(reachable)}\r\nConnection: close\r\n\r\n".encode()
    try:
        async with asyncio.timeout(START_S):
            while True:
                try:
                    reader, writer = await asyncio.open_connection(reachable, port, ssl=probe)
                    writer.write(request)
                    line = await reader.readline()
                    writer.close()
                    # A server that wants a certificate of its clients tells this one, too, to go away, and thereby that it is there.
                    if b" 200 " in line or options.tls_client_ca:
                        return
                except ssl.SSLError:
                    if options.tls_client_ca:
                        return
                except OSError:
                    pass
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise SettingInvalid(
            f"{printable(options.host)}:{port} does not answer",
            cause=f"it was asked for {START_S:g} s",
            remedy="noria doctor",
        ) from None
