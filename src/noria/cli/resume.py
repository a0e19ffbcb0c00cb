"""`noria resume`: let a stopped deployment go on as it stood, or with another version."""

import argparse
import getpass

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.cli.show_acts import answers


def configure(command: argparse.ArgumentParser) -> None:
    """What goes on."""
    command.add_argument("name", help="the deployment")
    command.add_argument(
        "--to", default="", metavar="VERSION", help="go on with this version alone: 7, 1.2.0, @alias, stable"
    )
    command.add_argument("--because", default="", metavar="TEXT", help="why")


def run(options: argparse.Namespace) -> int:
    """Resume; what is not stopped is left."""
    from noria.app.deploying_acts import resume

    with Workspace.open() as workspace:
        stands = resume(workspace, options.name, actor=getpass.getuser(), reason=options.because, to=options.to)
    if options.json:
        as_json(stands)
    else:
        console().print(f"✓ {answers(stands)}\nnext: noria status", markup=False)
    return 0
