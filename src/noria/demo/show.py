"""How the demo speaks to a terminal: steps as they happen, the table, the chart. Called by demo/story."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from noria.app.sentences import sentence
from noria.demo.result import ALL, Result
from noria.domain.ledger import Entry
from noria.domain.pipeline import StepResult

NAMES = {
    "frozen": "frozen winter model",
    "blind_recent": "monthly, last 2 months",
    "blind_all": "monthly, all so far",
    "noria": "Noria's loop",
}
MARKS = {"cached": "=", "done": "✓", "failed": "✗"}
BARS = "▁▂▃▄▅▆▇█"
QUIET = ("DatasetVersionCreated", "AliasMoved", "ModelVersionApproved", "ProjectCreated", "DeploymentDeclared")


class Voice:
    """Prints progress to stderr, so that `--json` leaves stdout to the result."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.timings: dict[str, float] = {}
        self._live = sys.stderr.isatty()

    @contextmanager
    def part(self, name: str, title: str) -> Iterator[None]:
        """Announce a part and take its time."""
        self.console.print(f"[bold]{title}[/bold]")
        begun = time.perf_counter()
        yield
        self.timings[name] = round(time.perf_counter() - begun, 2)

    def step(self, step: StepResult) -> None:
        """One pipeline step."""
        self.console.print(
            f"  {MARKS[step.state]} {step.step:<28} {step.state:<7} {step.seconds:7.2f} s  [dim]{step.why}[/dim]"
        )

    def event(self, entry: Entry) -> None:
        """One event of the ledger, unless it only follows from the one before."""
        if type(entry.event).__name__ not in QUIET:
            self.console.print(f"  [cyan]{entry.at:%d %b %Y %H:%M}[/cyan]  {sentence(entry.event)}")

    def day(self, day: datetime, asked: int, total: int, of: int) -> None:
        """Where the replay stands: every day on a terminal, every month in a log."""
        if self._live:
            self.console.print(f"  {day:%d %b} · {asked:,} flights asked · {total / of:4.0%}", end="\r")
        elif day.day == 1:
            self.console.print(f"  {day:%d %b %Y}: {total:,} of {of:,} flights")

    def result(self, result: Result) -> None:
        """The table and the chart."""
        self.console.print(_table(result))
        self.console.print(_chart(result))


def _table(result: Result) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        title="log loss by month (lower is better)",
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    for name in ("month", "flights", *(NAMES[arm] for arm in ALL)):
        table.add_column(name, justify="left" if name == "month" else "right")
    for month in result.months:
        values = {arm: getattr(month, arm).log_loss for arm in ALL}
        best = min(values.values())
        cells = [f"[bold]{v:.4f}[/bold] ★" if v == best else f"{v:.4f}  " for v in values.values()]
        table.add_row(month.month, f"{month.noria.n:,}", *cells)
    table.add_section()
    year = {arm: getattr(result.year, arm) for arm in ALL}
    best = min(s.log_loss for s in year.values())
    cells = [f"[bold]{s.log_loss:.4f}[/bold] ★" if s.log_loss == best else f"{s.log_loss:.4f}  " for s in year.values()]
    table.add_row("year", f"{result.year.noria.n:,}", *cells)
    table.add_row("AUC", "", *(f"{s.auc:.4f}  " for s in year.values()))
    table.add_row("calibration error", "", *(f"{s.calibration_error:.4f}  " for s in year.values()))
    table.add_row("retrainings", "", *(f"{result.retrainings[arm]}  " for arm in ALL))
    return table


def _chart(result: Result) -> str:
    """How much better than the frozen model each way was, month by month, as bars over one scale."""
    gains = {
        arm: [m.frozen.log_loss - getattr(m, arm).log_loss for m in result.months] for arm in ALL if arm != "frozen"
    }
    low = min(0.0, *(min(g) for g in gains.values()))
    high = max(max(g) for g in gains.values()) or 1e-9
    lines = [f"gain over the frozen model, March to December (full bar = {high:.4f} nats)"]
    for arm, gain in gains.items():
        bars = "".join(BARS[round((g - low) / (high - low) * (len(BARS) - 1))] for g in gain)
        lines.append(f"  {NAMES[arm]:<24} {bars}")
    loop = f"{result.refusals} refused, {result.rollbacks} rolled back, {result.promotions} promoted, {result.alerts} alerts"
    return "\n".join([*lines, f"  the loop: {result.retrainings['noria']} retrainings, {loop}"])
