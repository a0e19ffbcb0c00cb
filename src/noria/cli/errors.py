"""`noria errors`: where a deployment's answers are wrong, how sure that is, and examples to look at."""

import argparse
from datetime import UTC, datetime

from noria.app.workspace import Workspace
from noria.cli.show import as_json
from noria.errors import SettingInvalid


def configure(command: argparse.ArgumentParser) -> None:
    """Which deployment, which answers, and what groups are compared by."""
    command.add_argument("deployment", help="the name under which the model answers")
    command.add_argument(
        "--since", metavar="DAY", help="from this day on, e.g. 2026-03-01 (default: the newest 90 days)"
    )
    command.add_argument("--until", metavar="DAY", help="before this day (default: now)")
    command.add_argument("--version", type=int, metavar="NUMBER", help="of this version (default: the champion)")
    command.add_argument(
        "--by",
        default="loss",
        help="what groups are compared by: loss, excess (above what the scores expected), error (wrong side), over, under",
    )
    command.add_argument("--task", choices=("binary", "multiclass", "regression"), help="default: told by the values")
    command.add_argument(
        "--threshold", type=float, default=0.5, help="scores from here on are positive answers (default 0.5)"
    )
    command.add_argument(
        "--ways", type=int, choices=(1, 2), default=2, help="columns a group is formed by, at most (default 2)"
    )
    command.add_argument("--limit", type=int, default=8, help="how many groups are judged (default 8)")


def run(options: argparse.Namespace) -> int:
    """Print what there is to say about the errors, the groups first."""
    from noria.app.analysis import analyse_errors

    with Workspace.open() as workspace:
        found = analyse_errors(
            workspace,
            options.deployment,
            since=day(options.since, "--since"),
            until=day(options.until, "--until"),
            number=options.version,
            by=options.by,
            task=options.task,
            threshold=options.threshold,
            ways=options.ways,
            limit=options.limit,
        )
    if options.json:
        as_json(found)
        return 0
    from noria.cli.errors_show import print_errors

    print_errors(found)
    return 0


def day(text: str | None, name: str) -> datetime | None:
    """A day, or a moment with its zone, as a user writes it. Raises SettingInvalid."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingInvalid(f"{name} {text!r} is no day", remedy=f"write it as {name} 2026-03-01") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
