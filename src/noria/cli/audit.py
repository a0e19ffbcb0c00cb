"""`noria audit`: verify the ledger, or export it for somebody else to verify."""

import argparse
from pathlib import Path

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.governance.audit import export, verify


def configure(command: argparse.ArgumentParser) -> None:
    """What to do with the ledger."""
    command.add_argument("action", choices=["verify", "export"], nargs="?", default="verify")
    command.add_argument(
        "--to", type=Path, default=Path("ledger.jsonl"), help="file to export to (default ledger.jsonl)"
    )


def run(options: argparse.Namespace) -> int:
    """Exit 3 if a row was changed, removed or reordered."""
    with Workspace.open() as workspace:
        report = verify(workspace.ledger, project=workspace.project)
        if options.action == "export":
            export(workspace.ledger, options.to)
    if options.json:
        as_json(report)
    elif report.breaks:
        table(
            ["row", "what is wrong"],
            [[str(b.seq), b.problem] for b in report.breaks],
            title="the ledger was tampered with",
        )
    else:
        where = f", written to {options.to}" if options.action == "export" else ""
        console().print(f"✓ {report.rows} rows, every one in its place{where}; head {report.head.hash}")
    return 3 if report.breaks else 0
