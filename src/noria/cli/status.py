"""`noria status`: the loop on one screen."""

import argparse

from noria.app.status import status
from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table

MARKS = {"ok": "✓", "warn": "!", "bad": "✗", "busy": "…", "empty": "·"}


def configure(command: argparse.ArgumentParser) -> None:
    """How much history to show."""
    command.add_argument("--changes", type=int, default=12, help="how many of the latest events to show (default 12)")


def run(options: argparse.Namespace) -> int:
    """Print the six stations, what changed and what needs a person."""
    with Workspace.open() as workspace:
        now = status(workspace, changes=options.changes)
    if options.json:
        as_json(now)
        return 0
    turns = f"the loop closed {now.turns} time{'' if now.turns == 1 else 's'}"
    table(
        ["", "station", "", "since", "detail"],
        [
            [MARKS[s.state], s.name, s.headline, f"{s.at:%Y-%m-%d %H:%M}" if s.at else "", s.detail]
            for s in now.stations
        ],
        title=f"{now.project}: {turns}",
    )
    if now.needs_you:
        table(["needs you", "since", "next"], [[n.summary, f"{n.since:%Y-%m-%d}", n.command] for n in now.needs_you])
    if now.what_changed:
        table(["when", "what changed"], [[f"{c.at:%Y-%m-%d %H:%M}", c.sentence] for c in now.what_changed])
    else:
        console().print("Nothing has happened yet.\nnext: noria demo")
    return 0
