"""`noria doctor`: what could stop Noria here, and the fix for each."""

import argparse

from noria.app.doctor import examine
from noria.app.workspace import Workspace
from noria.cli.show import as_json, table

MARKS = {"ok": "✓", "warn": "!", "bad": "✗"}


def configure(command: argparse.ArgumentParser) -> None:
    """Nothing to set."""


def run(options: argparse.Namespace) -> int:
    """Exit 3 if something is bad."""
    with Workspace.open() as workspace:
        findings = examine(workspace)
    if options.json:
        as_json({"findings": findings})
    else:
        table(["", "what", "found", "remedy"], [[MARKS[f.level], f.what, f.found, f.remedy] for f in findings])
    return 3 if any(f.level == "bad" for f in findings) else 0
