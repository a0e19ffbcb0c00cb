"""`noria doctor`: what could stop Noria here, and the fix for each. `--errors`: what the project's processes logged, grouped."""

import argparse

from noria.app.doctor import examine
from noria.app.error_groups import ErrorGroup, forget, read
from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table

MARKS = {"ok": "✓", "warn": "!", "bad": "✗"}


def configure(command: argparse.ArgumentParser) -> None:
    """What to show."""
    command.add_argument("--errors", action="store_true", help="show the errors that were logged, grouped and counted")
    command.add_argument("--forget", action="store_true", help="with --errors: begin to count anew")


def run(options: argparse.Namespace) -> int:
    """Exit 3 if something is bad."""
    with Workspace.open() as workspace:
        if options.errors:
            return _errors(options, workspace)
        findings = examine(workspace)
    if options.json:
        as_json({"findings": findings})
    else:
        table(["", "what", "found", "remedy"], [[MARKS[f.level], f.what, f.found, f.remedy] for f in findings])
    return 3 if any(f.level == "bad" for f in findings) else 0


def _errors(options: argparse.Namespace, workspace: Workspace) -> int:
    groups = read(workspace.home)
    forgotten = forget(workspace.home) if options.forget else 0
    if options.json:
        as_json({"errors": groups, "forgotten": forgotten})
    elif groups:
        for each in groups:
            console().print(_told(each), markup=False, highlight=False)
        if groups[0].trace:
            console().print(f"the newest, {groups[0].group}:\n{groups[0].trace}", markup=False, highlight=False)
    else:
        console().print("No process of this project has logged an error.")
    return 0


def _told(each: ErrorGroup) -> str:
    times = "once" if each.count == 1 else f"{each.count:,} times"
    when = f"last {each.last:%Y-%m-%d %H:%M:%S} UTC" + (
        f", first {each.first:%Y-%m-%d %H:%M:%S}" if each.count > 1 else ""
    )
    what = each.message.splitlines()[0][:300] if each.message else each.kind
    return f"{each.group}  {times}, {when}, in {', '.join(each.services)}\n  {what}\n  at {each.where}\n"
