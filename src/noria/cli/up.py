"""`noria up`: the server with its pages, a worker for the deployments, and the loop for the recipes that are declared."""

import argparse
import signal
import sys
import threading
from importlib import import_module

from noria.app.deploying import plan
from noria.app.leading import Leadership, strokes
from noria.app.log_lines import set_up
from noria.app.processes import leave, start_worker
from noria.app.settings import resolve
from noria.app.source import named
from noria.app.turn import Loop
from noria.app.workspace import Workspace
from noria.errors import NoriaError
from noria.loop.context import Recipe


def configure(command: argparse.ArgumentParser) -> None:
    """Addresses."""
    command.add_argument("--host", default=None, help="address to listen on (default from noria.toml, 127.0.0.1)")
    command.add_argument("--port", type=int, default=None, help="port of the pages (default from noria.toml, 8321)")
    command.add_argument("--no-worker", action="store_true", help="serve the pages only")
    command.add_argument(
        "--artifact-root",
        default="",
        metavar="URI",
        help="where MLflow clients themselves keep the files of new experiments (default: this server keeps them)",
    )
    command.add_argument(
        "--ephemeral",
        action="store_true",
        help="keep everything in memory, for tests: no worker, no loop, and POST /api/v1/reset empties it",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if options.ephemeral:
        _serve_from_memory(options)
        leave(0)
    with Workspace.open() as workspace:
        set_up("noria", logs=workspace.settings.logs, home=workspace.home, hand_on=True)
        serving = workspace.settings.serving
        host, port = options.host or serving.host, serving.port if options.port is None else options.port
        stop = threading.Event()
        worker = leadership = None
        # Until the server answers it has no handler of its own; without one the worker would be left behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            if not options.no_worker:
                worker = start_worker(
                    workspace.home,
                    host=host,
                    port=serving.worker_port,
                    durable=serving.durable,
                    recording=serving.recording,
                    blobs=workspace.settings.stores.blobs,
                    blobs_location=workspace.settings.stores.blobs_location,
                    project=workspace.project,
                    allow_code=workspace.settings.packaging.allow_code,
                    workers=serving.workers,
                )
                print(f"predictions: {worker.url}", flush=True)
            if said := unapplied(workspace):
                print(said, flush=True)
            leadership = _turn_in_background(workspace, stop)
            import_module("noria.server.control.run").serve(
                workspace, host=host, port=port, artifact_root=options.artifact_root
            )
        finally:
            stop.set()
            if leadership is not None:
                leadership.stop()
            if worker is not None:
                worker.stop()
    leave(0)


def unapplied(workspace: Workspace) -> str:
    """What noria.toml declares and does not stand yet, in one line; '' if there is nothing to say."""
    if not workspace.settings.deployments:
        return ""
    try:
        planned = plan(workspace, workspace.settings.deployments)
    except NoriaError as error:
        return f"declared, but cannot be applied: {error.problem}; see noria plan"
    if planned.is_empty:
        return ""
    return f"declared and not applied: {len(planned.differences)} things; see noria plan"


def _serve_from_memory(options: argparse.Namespace) -> None:
    settings, _ = resolve()
    host = options.host or settings.serving.host
    port = settings.serving.port if options.port is None else options.port
    set_up("noria", logs=settings.logs)
    with Workspace.ephemeral(settings.project, settings=settings) as workspace:
        import_module("noria.server.control.run").serve(
            workspace, host=host, port=port, artifact_root=options.artifact_root
        )


def _turn_in_background(workspace: Workspace, stop: threading.Event) -> Leadership:
    """Turn the loop for the recipes that are declared, as long as this control plane leads; others of the same project wait for their turn."""
    settings = workspace.settings
    given = [named(settings.recipe, Recipe, root=workspace.home.parent)] if settings.recipe else []
    loop = Loop(workspace, given, tell=False)
    leadership = Leadership(workspace.leases, workspace.ledger, clock=workspace.clock, seconds=settings.lease_s)

    def turn() -> None:
        while not loop.is_needed():
            if stop.wait(settings.tick_s):
                return
        leadership.start()
        strokes(loop.stroke, leadership, every_s=settings.tick_s, stop=stop)

    threading.Thread(target=turn, name="loop", daemon=True).start()
    return leadership
