"""`noria stop`: the stop switch of a deployment. Its fallback answers alone, the loop leaves it alone, until `noria resume`."""

import argparse
import getpass

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.cli.show_acts import answers


def configure(command: argparse.ArgumentParser) -> None:
    """Of what, and why."""
    command.add_argument("name", help="the deployment")
    command.add_argument(
        "--because", default="", metavar="TEXT", help="why; needed, and shown to callers if nobody answers"
    )
    command.add_argument(
        "--fallback",
        default="",
        metavar="VERSION",
        help="what answers: stable, champion, none, 7 (default: as declared)",
    )


def run(options: argparse.Namespace) -> int:
    """Stop; what is stopped already stays as it is."""
    from noria.app.deploying_acts import stop

    with Workspace.open() as workspace:
        stands = stop(
            workspace, options.name, reason=options.because, actor=getpass.getuser(), fallback=options.fallback
        )
    if options.json:
        as_json(stands)
    else:
        console().print(f"✓ {answers(stands)}\nnext: noria resume {options.name}", markup=False)
    return 0
