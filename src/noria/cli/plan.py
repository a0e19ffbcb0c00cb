"""`noria plan`: what `noria apply` would change of what noria.toml declares. Exit 0: nothing, 3: something, so that a script can tell."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import msgspec

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.cli.show_plan import show
from noria.domain.declaration import Declaration
from noria.errors import NotFound, SettingInvalid

CHANGES = 3


def configure(command: argparse.ArgumentParser) -> None:
    """Of which deployments."""
    command.add_argument("names", nargs="*", metavar="NAME", help="only these deployments (default: all of noria.toml)")
    command.add_argument(
        "--again", action="store_true", help="let versions in once more that were rolled back, or beaten"
    )
    command.add_argument("--out", metavar="FILE", help="keep the plan, for noria apply --plan FILE")


def run(options: argparse.Namespace) -> int:
    """Compare, and say so."""
    from noria.app.deploying import plan

    with Workspace.open() as workspace:
        planned = plan(workspace, declared(workspace, options.names), again=options.again)
    if options.out:
        Path(options.out).write_bytes(msgspec.json.encode(planned) + b"\n")
    if options.json:
        as_json(planned)
    else:
        show(planned, done=False)
        if not planned.is_empty:
            kept = f" --plan {options.out}" if options.out else ""
            console().print(f"next: noria apply{kept}", markup=False)
    return 0 if planned.is_empty else CHANGES


def declared(workspace: Workspace, names: list[str]) -> Mapping[str, Declaration]:
    """What noria.toml declares, of these names only if some are given. Raises NotFound, SettingInvalid if it declares nothing."""
    declarations = workspace.settings.deployments
    if not declarations:
        raise SettingInvalid(
            "noria.toml declares no deployment",
            remedy="add [deployments.NAME] with model = '...', or: noria deploy MODEL --to NAME",
        )
    for name in names:
        if name not in declarations:
            raise NotFound.of("declared deployment", name, sorted(declarations), remedy="noria plan")
    return {name: declarations[name] for name in names or declarations}
