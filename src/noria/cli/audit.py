"""`noria audit`: verify the ledger, export it for somebody else to verify, or show that retrainings stayed inside their policies."""

import argparse
from pathlib import Path

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.governance.audit import export, verify


def configure(command: argparse.ArgumentParser) -> None:
    """What to do with the ledger."""
    command.add_argument("action", choices=["verify", "export", "policy"], nargs="?", default="verify")
    command.add_argument(
        "--to", type=Path, default=Path("ledger.jsonl"), help="file to export to (default ledger.jsonl)"
    )


def run(options: argparse.Namespace) -> int:
    """Exit 3 if a row was changed, removed or reordered; with `policy`, if the loop retrained outside a policy."""
    if options.action == "policy":
        return _policies(options)
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


def _policies(options: argparse.Namespace) -> int:
    """Every retraining, and which limits of its policy were not kept, counted again from the ledger itself."""
    from noria.retraining.bounds import audit

    with Workspace.open() as workspace:
        found = audit(workspace.ledger.read(limit=10_000_000, kinds=("RetrainRequested",)))
    outside = [each for each in found if not each.is_inside]
    if options.json:
        as_json({"retrainings": found, "outside": len(outside)})
        return 3 if outside else 0
    shown = [each for each in found if each.exceeded]
    if shown:
        table(
            ["when", "deployment", "asked by", "limits that were not kept"],
            [
                [
                    f"{each.at:%Y-%m-%d %H:%M}",
                    each.deployment,
                    "a person, who may" if each.by_person else each.trigger,
                    "; ".join(each.exceeded),
                ]
                for each in shown
            ],
            title="retrainings outside their policies" if outside else "retrainings that a person asked for",
        )
    people = sum(each.by_person for each in found)
    said = f"{len(outside)} of them outside their policies" if outside else "each inside its policy"
    console().print(
        f"{'✗' if outside else '✓'} {len(found)} retrainings, {people} asked for by people, {said}", markup=False
    )
    return 3 if outside else 0
