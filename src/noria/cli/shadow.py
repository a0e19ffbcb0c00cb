"""`noria shadow`: what a model in the shadow would have answered, beside what callers got."""

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.errors import SettingInvalid

if TYPE_CHECKING:
    from noria.app.shadow import ShadowReport, Side


def configure(command: argparse.ArgumentParser) -> None:
    """Which deployment, which shadow, and since when."""
    command.add_argument("deployment", help="the name under which the champion answers")
    command.add_argument("--variant", default="", help="which shadow, where there are several")
    command.add_argument("--days", type=float, default=7.0, help="how many of the newest days (default 7)")
    command.add_argument("--since", metavar="DAY", help="from this day on, e.g. 2026-03-01")
    command.add_argument("--until", metavar="DAY", help="before this day (default: now)")


def run(options: argparse.Namespace) -> int:
    """Print the verdict, then the figures."""
    from noria.app.shadow import shadow_of

    with Workspace.open() as workspace:
        report = shadow_of(
            workspace,
            options.deployment,
            variant=options.variant,
            since=_day(options.since, "--since"),
            until=_day(options.until, "--until"),
            days=options.days,
        )
    if options.json:
        as_json(report)
    else:
        _print(report)
    return 0


def _print(report: "ShadowReport") -> None:
    out = console()
    out.print(report.verdict, markup=False)
    table(
        ["", "version", "requests", "failed", "p50 ms", "p95 ms", "p99 ms"],
        [_row(report.champion), _row(report.shadow)],
        title=f"{report.deployment}: {report.copied:.1%} of {report.answered:,} requests were copied",
        right=(1, 2, 3, 4, 5, 6),
    )
    for error in report.shadow.errors:
        out.print(f"failed: {error}", markup=False)
    for each in report.outputs:
        if each.difference is None or each.shift is None:
            out.print(f"{each.name}: the same in {each.agreement.value:.2%} of {each.rows:,} rows", markup=False)
            continue
        rows = [[f"{b.low:.4g} to {b.high:.4g}", f"{b.answers:,}", f"{b.shadow:,}"] for b in each.bins]
        gaps = ", ".join(f"{q:.4g}" for q in each.quantiles)
        table([each.name, "champion", report.shadow.variant], rows, right=(1, 2))
        same = "the same side of 0.5" if each.kind == "probability" else "the same"
        out.print(f"{same} in {each.agreement.value:.2%}; differs by {each.difference} on average", markup=False)
        out.print(f"shift {each.shift}; differences at 50, 95, 99, 100 %: {gaps}", markup=False)
    if report.quality is not None:
        out.print(
            f"{report.loss} minus the champion's, on {report.labels:,} labelled rows: {report.quality}", markup=False
        )
    for found in report.slices.slices if report.slices else ():
        if found.sure:
            out.print(f"differ more where {found}: {found.mean:.4g}, elsewhere {found.outside:.4g}", markup=False)
    if report.note:
        out.print(f"no groups: {report.note}", markup=False)


def _row(side: "Side") -> list[str]:
    latency = [f"{each:.2f}" for each in side.latency_ms] or ["", "", ""]
    return [side.variant, str(side.number), f"{side.requests:,}", f"{side.failed:,}", *latency]


def _day(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingInvalid(f"{name} {text!r} is no day", remedy=f"write it as {name} 2026-03-01") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
