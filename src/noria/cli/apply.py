"""`noria apply`: make stand what noria.toml declares, after showing it. `--yes` for scripts, `--plan` for a plan that somebody looked at."""

import argparse
import getpass
import sys
from pathlib import Path

import msgspec

from noria.app.workspace import Workspace
from noria.cli.plan import declared
from noria.cli.show import as_json, console
from noria.cli.show_plan import show
from noria.domain.declaration import DeploymentPlan
from noria.errors import SettingInvalid, SourceUnreadable


def configure(command: argparse.ArgumentParser) -> None:
    """Of which deployments, and whether to ask."""
    command.add_argument("names", nargs="*", metavar="NAME", help="only these deployments (default: all of noria.toml)")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--plan", metavar="FILE", help="only what this plan says; refused if anything moved since")
    command.add_argument(
        "--again", action="store_true", help="let versions in once more that were rolled back, or beaten"
    )
    command.add_argument("--because", default="", metavar="TEXT", help="why, such as the commit")


def run(options: argparse.Namespace) -> int:
    """Show, ask, apply."""
    from noria.app.deploying import apply, plan

    expected = kept(Path(options.plan)) if options.plan else None
    with Workspace.open() as workspace:
        declarations = declared(workspace, options.names)
        if not options.yes:
            planned = plan(workspace, declarations, again=options.again)
            if not planned.is_empty and not _agreed(planned, as_object=options.json):
                return 1
            expected = expected or planned
        planned = apply(
            workspace,
            declarations,
            actor=getpass.getuser(),
            reason=options.because,
            expected=expected,
            again=options.again,
        )
    if options.json:
        as_json(planned)
    else:
        show(planned, done=True)
    return 0


def kept(path: Path) -> DeploymentPlan:
    """A plan that `noria plan --out` wrote. Raises SourceUnreadable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=DeploymentPlan)
    except (OSError, msgspec.DecodeError) as exc:
        raise SourceUnreadable(
            f"{path.name} is no plan", cause=str(exc), remedy=f"noria plan --out {path.name}"
        ) from exc


def _agreed(planned: DeploymentPlan, *, as_object: bool) -> bool:
    if as_object or not sys.stdin.isatty():
        raise SettingInvalid(
            f"{len(planned.differences)} things would change, and nobody is there to be asked",
            remedy="noria plan, look at it, then noria apply --yes",
        )
    show(planned, done=False)
    answer = input("Apply this? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        console().print("Nothing was changed.")
        return False
    return True
