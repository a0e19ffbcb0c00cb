"""`noria inputs`: what a deployment's inputs were, day by day, what is wrong with them, and whether they are computed as in training."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.errors import SettingInvalid

if TYPE_CHECKING:
    from noria.app.inputs import InputsReport, InputStory, SkewReport
    from noria.domain.finding import Finding


def configure(command: argparse.ArgumentParser) -> None:
    """Which deployment, which inputs, and what to compare with."""
    command.add_argument("deployment", help="the name under which the model answers")
    command.add_argument("input", nargs="*", help="only these inputs, day by day")
    command.add_argument("--days", type=int, default=14, help="how many of the newest days (default 14)")
    command.add_argument(
        "--against",
        type=Path,
        metavar="TABLE",
        help="instead: compare served rows with the same rows computed anew (CSV or Parquet)",
    )
    command.add_argument(
        "--on", choices=("prediction_id", "key"), default="prediction_id", help="with --against: what rows are found by"
    )
    command.add_argument("--since", metavar="DAY", help="with --against: served from this day on")
    command.add_argument("--until", metavar="DAY", help="with --against: served before this day")
    command.add_argument(
        "--tolerance", type=float, default=1e-6, help="with --against: numbers this close are equal (default 1e-6)"
    )
    command.add_argument(
        "--allowed", type=float, default=0.001, help="with --against: share of rows that may differ (default 0.001)"
    )


def run(options: argparse.Namespace) -> int:
    """Print what is wrong, then the numbers. Exit 3 when something is wrong that somebody should hear of."""
    from noria.app.inputs import inputs_of, skew_of

    with Workspace.open() as workspace:
        if options.against is not None:
            skew = skew_of(
                workspace,
                options.deployment,
                options.against,
                on=options.on,
                since=_day(options.since, "--since"),
                until=_day(options.until, "--until"),
                tolerance=options.tolerance,
                allowed=options.allowed,
            )
            if options.json:
                as_json(skew)
            else:
                _print_skew(skew)
            return _exit(skew.findings)
        report = inputs_of(workspace, options.deployment, names=options.input, days=options.days)
    if options.json:
        as_json(report)
    else:
        _print_inputs(report, in_days=bool(options.input))
    return _exit(report.findings)


def _exit(findings: "tuple[Finding, ...]") -> int:
    return 3 if any(each.severity != "info" for each in findings) else 0


def _day(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingInvalid(f"{name} {text!r} is no day", remedy=f"write it as {name} 2026-03-01") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print_findings(findings: "tuple[Finding, ...]", *, sound: str) -> None:
    if not findings:
        console().print(sound)
    for each in findings:
        console().print(f"{each.severity}: {each.summary}", markup=False)
        if each.remedy:
            console().print(f"      {each.remedy}", markup=False)


def _print_inputs(report: "InputsReport", *, in_days: bool) -> None:
    _print_findings(
        report.findings, sound=f"{report.deployment}, version {report.number}: nothing is wrong with the newest day"
    )
    if not any(story.days for story in report.inputs):
        console().print("No day was counted yet.\nnext: noria status")
        return
    for story in report.inputs if in_days else ():
        _print_days(story)
    if in_days:
        return
    rows = []
    for story in report.inputs:
        if not story.days:
            continue
        day = story.days[-1]
        learnt = f"{story.low:.4g} to {story.high:.4g}" if story.low is not None and story.high is not None else ""
        now = f"{day.mean:.4g}" if day.mean is not None else ""
        was = f"{story.mean:.4g}" if story.mean is not None else ""
        strange = day.out_of_range if day.out_of_range is not None else day.unseen
        rows.append(
            [story.name, learnt, was, now, f"{story.missing:.1%}", f"{day.missing:.1%}", _share(strange), str(day.rows)]
        )
    table(
        ["input", "learnt from", "mean then", "mean now", "missing then", "now", "strange now", "rows"],
        rows,
        title=f"{report.deployment}, version {report.number}: the newest day",
        right=(2, 3, 4, 5, 6, 7),
    )
    console().print(f"next: noria inputs {report.deployment} INPUT")


def _print_days(story: "InputStory") -> None:
    rows = [
        [
            f"{day.since:%Y-%m-%d}",
            str(day.rows),
            *([f"{q:.4g}" for q in day.quantiles] if day.quantiles else ["", "", ""]),
            f"{day.missing:.1%}",
            _share(day.out_of_range if day.out_of_range is not None else day.unseen),
        ]
        for day in story.days
    ]
    table(
        ["day", "rows", "5 %", "median", "95 %", "missing", "strange"],
        rows,
        title=story.name,
        right=(1, 2, 3, 4, 5, 6),
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _print_skew(skew: "SkewReport") -> None:
    _print_findings(
        skew.findings, sound=f"{skew.deployment}: {skew.matched} served rows are what they are computed as now"
    )
    table(
        ["input", "rows", "differ", "were missing", "how"],
        [
            [each.feature, str(each.rows), f"{each.differing / each.rows:.2%}", str(each.lost), each.typical]
            for each in skew.columns
        ],
        title=f"{skew.matched} of {skew.given} rows found by {skew.on}",
        right=(1, 2, 3),
    )
