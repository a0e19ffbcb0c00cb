"""`noria errors`: where a deployment's answers are wrong, how sure that is, and examples to look at."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from noria.app.workspace import Workspace
from noria.cli.show import as_json
from noria.errors import SettingInvalid

Noun = TypeVar("Noun")


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
        help="what groups are compared by: loss, excess (above what the scores expected), error (wrong side), over, under; with --causes also answer",
    )
    command.add_argument("--task", choices=("binary", "multiclass", "regression"), help="default: told by the values")
    command.add_argument(
        "--threshold", type=float, default=0.5, help="scores from here on are positive answers (default 0.5)"
    )
    command.add_argument(
        "--ways", type=int, choices=(1, 2), default=2, help="columns a group is formed by, at most (default 2)"
    )
    command.add_argument(
        "--groups",
        metavar="COLUMN",
        help="instead: how the groups of this input are treated; COLUMN+COLUMN crosses them",
    )
    command.add_argument(
        "--causes",
        action="store_true",
        help="instead: why the errors changed since the stretch before (default now: the newest 14 days)",
    )
    command.add_argument(
        "--texts",
        nargs="?",
        const="",
        metavar="INPUT",
        help="instead: whether texts and embeddings changed, and in which words (default: of the newest 7 days)",
    )
    command.add_argument(
        "--odd", action="store_true", help="instead: predictions with odd inputs (default: of the newest 7 days)"
    )
    command.add_argument(
        "--rate", type=float, default=0.001, help="with --odd: share of ordinary ones flagged by chance (default 0.001)"
    )
    command.add_argument(
        "--against",
        metavar="DAY",
        help="with --causes, --odd and --texts: what is compared with begins here (default: 4, 8 or 5 times as long before)",
    )
    command.add_argument(
        "--allowed", type=float, default=0.1, help="with --groups: gap of a rate that is no matter (default 0.1)"
    )
    command.add_argument("--limit", type=int, default=8, help="how many groups are judged (default 8)")


def run(options: argparse.Namespace) -> int:
    """Print what there is to say about the errors, the verdict first."""
    from noria.app import analysis
    from noria.cli import errors_show as show

    look = {
        "since": day(options.since, "--since"),
        "until": day(options.until, "--until"),
        "number": options.version,
    }
    scored = {**look, "task": options.task, "threshold": options.threshold}
    with Workspace.open() as workspace:
        if options.groups:
            groups = analysis.analyse_groups(
                workspace, options.deployment, by=options.groups, allowed=options.allowed, **scored
            )
            return _told(groups, show.print_groups, as_object=options.json)
        if options.causes:
            from noria.app.causes import analyse_causes

            against = day(options.against, "--against")
            causes = analyse_causes(workspace, options.deployment, by=options.by, against=against, **scored)
            return _told(causes, show.print_causes, as_object=options.json)
        if options.texts is not None:
            from noria.app.texts import analyse_texts

            against = day(options.against, "--against")
            texts = analyse_texts(workspace, options.deployment, column=options.texts, against=against, **look)
            return _told(texts, show.print_texts, as_object=options.json)
        if options.odd:
            from noria.app.anomalies import analyse_odd

            against = day(options.against, "--against")
            odd = analyse_odd(workspace, options.deployment, against=against, rate=options.rate, **look)
            return _told(odd, show.print_odd, as_object=options.json)
        errors = analysis.analyse_errors(
            workspace, options.deployment, by=options.by, ways=options.ways, limit=options.limit, **scored
        )
        return _told(errors, show.print_errors, as_object=options.json)


def _told(found: Noun, show: Callable[[Noun], None], *, as_object: bool) -> int:
    if as_object:
        as_json(found)
    else:
        show(found)
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
