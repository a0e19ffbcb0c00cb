"""`noria rollback`: an earlier version answers alone, at once; what is being tried is taken out."""

import argparse
import getpass

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.cli.show_acts import answers


def configure(command: argparse.ArgumentParser) -> None:
    """Of what, to what, and why."""
    command.add_argument("name", help="the deployment")
    command.add_argument(
        "--to", default="", metavar="VERSION", help="7, 1.2.0, @alias, stable (default: the one before)"
    )
    command.add_argument("--because", default="", metavar="TEXT", help="why; needed")


def run(options: argparse.Namespace) -> int:
    """Roll back; what answers alone already is left."""
    from noria.app.deploying_acts import roll_back

    with Workspace.open() as workspace:
        stands = roll_back(workspace, options.name, reason=options.because, actor=getpass.getuser(), to=options.to)
    if options.json:
        as_json(stands)
    else:
        console().print(f"✓ {answers(stands)}\nnext: noria why {options.name}", markup=False)
    return 0
