"""`noria override`: end a running rollout by a person's word, before its verdict or against what it seems to become."""

import argparse
import getpass

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.cli.show_acts import answers


def configure(command: argparse.ArgumentParser) -> None:
    """Of what, how, and why."""
    command.add_argument("name", help="the deployment")
    command.add_argument("outcome", choices=("promote", "roll_back"), help="what becomes of the challenger")
    command.add_argument("--because", default="", metavar="TEXT", help="why; needed")


def run(options: argparse.Namespace) -> int:
    """End the rollout."""
    from noria.app.deploying_acts import overrule

    with Workspace.open() as workspace:
        stands = overrule(workspace, options.name, options.outcome, reason=options.because, actor=getpass.getuser())
    if options.json:
        as_json(stands)
    else:
        console().print(f"✓ {answers(stands)}\nnext: noria why {options.name}", markup=False)
    return 0
