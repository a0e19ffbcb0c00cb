"""`noria gc`: empty the trash of what has lain there long enough, and give back the space of content that nothing needs."""

import argparse
from datetime import timedelta

from noria.app.collecting import collect
from noria.app.workspace import Workspace
from noria.cli.show import as_json, console


def configure(command: argparse.ArgumentParser) -> None:
    """How long things are kept."""
    command.add_argument(
        "--trash-days", type=float, default=30.0, help="days that things stay in the trash (default 30)"
    )
    command.add_argument(
        "--idle-hours",
        type=float,
        default=24.0,
        help="leave content that was put in the last hours (default 24, at least 1)",
    )
    command.add_argument("--dry-run", action="store_true", help="only say what would go")


def run(options: argparse.Namespace) -> int:
    """Collect once. Safe while servers and trainings run."""
    with Workspace.open() as workspace:
        done = collect(
            workspace,
            trash_days=options.trash_days,
            idle=timedelta(hours=options.idle_hours),
            pretend=options.dry_run,
        )
    if options.json:
        as_json(done)
        return 0
    emptied, swept = done.emptied, done.swept
    would = "would " if done.pretended else ""
    console().print(
        f"✓ trash: {emptied.runs} runs, {emptied.experiments} experiments, {emptied.trained_models} trained models {would}go\n"
        f"✓ content: {swept.dropped} files, {size_text(swept.bytes)} {would}go; {swept.kept} stay"
    )
    if done.pretended:
        console().print("next: noria gc")
    return 0


def size_text(size: int) -> str:
    """Bytes as people say them.

    >>> size_text(999), size_text(2_500_000)
    ('999 B', '2.5 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
