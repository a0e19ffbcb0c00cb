"""`noria retrain`: ask for a challenger by hand. Gates, canary and verdict decide what becomes of it, as always."""

import argparse
import getpass

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console


def configure(command: argparse.ArgumentParser) -> None:
    """Of what, and why."""
    command.add_argument("name", help="the deployment")
    command.add_argument("--because", default="", metavar="TEXT", help="why; needed, and kept in the ledger")


def run(options: argparse.Namespace) -> int:
    """Ask; the loop trains on its next stroke."""
    from noria.app.asking import retrain

    with Workspace.open() as workspace:
        entry = retrain(workspace, options.name, reason=options.because, actor=getpass.getuser())
    if options.json:
        as_json({"id": entry.id, "event": entry.event})
    else:
        console().print(
            f"✓ asked for a training of {options.name}: the loop (noria up) makes it on its next stroke\nnext: noria why {entry.id}",
            markup=False,
        )
    return 0
