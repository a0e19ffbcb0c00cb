"""`noria demo`: the whole loop on a year of real flights."""

import argparse
import os
import shutil
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from noria.app.processes import leave
from noria.app.workspace import Workspace
from noria.cli.show import as_json
from noria.demo.prepare import BEGIN, END
from noria.demo.replay import ReplayClock
from noria.demo.show import Voice
from noria.demo.story import tell
from noria.errors import Conflict


def configure(command: argparse.ArgumentParser) -> None:
    """How it ends, and whether it begins anew."""
    command.add_argument("--exit", action="store_true", help="stop after the result instead of serving the pages")
    command.add_argument("--days", type=int, default=None, help="stop the year after this many days, for a short look")
    command.add_argument(
        "--fresh", action="store_true", help="forget what an earlier demo stored in this folder and begin anew"
    )
    command.add_argument("--port", type=int, default=None, help="port of the pages (default from noria.toml, 8321)")


def run(options: argparse.Namespace) -> int:
    """Tell the story; then serve the pages until interrupted, unless --exit."""
    voice = Voice()
    clock = ReplayClock(BEGIN)
    with Workspace.open(clock=clock) as workspace:
        if options.fresh and workspace.home.exists():
            _forget(workspace.home)
        end = END if options.days is None else min(END, BEGIN + timedelta(days=options.days))
        result = tell(workspace, clock, voice, end=end)
        if options.json:
            as_json(result)
        voice.result(result)
        voice.console.print(f"\nask why: noria why {result.example_prediction}")
        if options.exit:
            return 0
    with Workspace.open() as workspace:
        serving = workspace.settings.serving
        voice.console.print("the pages (ctrl-c ends):")
        import_module("noria.server.control.run").serve(workspace, host=serving.host, port=options.port or serving.port)
    leave(0)


def _forget(home: Path) -> None:
    """Remove a home, if it is one: a folder that holds a store of Noria's and nothing else of anybody's. Raises Conflict if it is not."""
    known = {
        "meta.db",
        "meta.db-wal",
        "meta.db-shm",
        "blobs",
        "tables",
        "predictions",
        "cache",
        "journal",
        "alerts.jsonl",
    }
    others = sorted(set(os.listdir(home)) - known)
    if others:
        raise Conflict(
            f"'{home}' holds what is not Noria's, so it is not removed",
            cause=f"found {', '.join(repr(name) for name in others[:5])}",
            remedy="set NORIA_HOME to a new folder",
        )
    shutil.rmtree(home)
