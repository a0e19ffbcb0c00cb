"""`noria sync`: send what runs recorded while their store was away, or before their process was killed. As often as one likes."""

import argparse
from collections.abc import Sequence

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.tracking.sync import Synced, sync, waiting


def configure(command: argparse.ArgumentParser) -> None:
    """Only look, if wished."""
    command.add_argument("--dry-run", action="store_true", help="only say which runs wait")


def run(options: argparse.Namespace) -> int:
    """Send every journal whose process is gone. Exit code 3 if the store refused something or a journal is damaged."""
    with Workspace.open() as workspace:
        folder = workspace.home / "journal"
        if options.dry_run:
            runs = waiting(folder)
            _say_waiting(runs, json=options.json)
            return 0
        done = sync(folder, workspace.runs, blobs=workspace.blobs) if waiting(folder) else []
        left = waiting(folder)
    if options.json:
        as_json({"runs": done, "waiting": left})
    else:
        _say(done, left)
    return 3 if any(each.refused or each.damaged for each in done) else 0


def _say_waiting(runs: Sequence[str], *, json: bool) -> None:
    if json:
        as_json({"runs": [], "waiting": runs})
    elif runs:
        console().print("\n".join(f"· {run_id} waits" for run_id in runs) + "\nnext: noria sync")
    else:
        console().print("✓ nothing waits")


def _say(done: list[Synced], left: Sequence[str]) -> None:
    lines = []
    for each in done:
        if each.put_aside:
            lines.append(f"✗ {each.run_id} was refused as a whole; its journal is kept beside its place, as .refused")
        else:
            end = "" if each.has_ended else "; its end is not known: its process was killed"
            lines.append(f"✓ {each.run_id}: {each.records:,} records, {each.points:,} points{end}")
        if each.damaged:
            lines.append(
                f"  {each.damaged} damaged files are kept in its journal, as .damaged; what stood before the damage was sent"
            )
        lines += [f"  refused: {line}" for refusal in each.refused for line in refusal.splitlines()[:1]]
    lines += [f"· {run_id} is recorded by a living process, which sends it itself" for run_id in left]
    console().print("\n".join(lines) if lines else "✓ nothing waits")
