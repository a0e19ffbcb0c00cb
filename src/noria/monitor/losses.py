"""Watch the loss of labelled answers, one window after the other: has the model got worse than the reference said it is?

Sums only: no row is kept. The bets are stats/decay; two tables at once are grading.py. Called by watch.
"""

from math import log, log10, sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.domain.comparison import Quality
from noria.domain.interval import Interval
from noria.monitor.grading import FEWEST, LOSS, WORTH, Task, graded, wobble_of
from noria.monitor.wording import number, percent
from noria.stats.decay import DecayState, decay_evidence, start_decay, step_decay
from noria.stats.quantiles import normal_quantile

RECENT = 14
"""So many of the newest labelled windows are shown together."""


class LossSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the labelled rows of one window."""

    rows: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """Mean loss."""
        return self.total / self.rows

    @property
    def variance(self) -> float:
        """Variance of one row's loss."""
        return max(0.0, self.squares / self.rows - self.mean**2) * self.rows / max(1, self.rows - 1)


class LossReference(msgspec.Struct, frozen=True, kw_only=True):
    """The losses of the reference. wobble: standard deviation of the mean loss between its pieces, beyond sampling."""

    task: Task
    sums: LossSums
    wobble: float

    @property
    def allowed(self) -> float:
        """What the mean loss may rise by without anybody hearing of it."""
        return WORTH[self.task] * (self.sums.mean if self.task == "number" else 1.0)


def sums_of(losses: NDArray[np.float64]) -> LossSums:
    """The sums of one window's losses, shape (n,)."""
    return LossSums(rows=int(losses.size), total=float(losses.sum()), squares=float((losses**2).sum()))


def added(windows: list[LossSums]) -> LossSums:
    """Several windows as one."""
    return LossSums(
        rows=sum(w.rows for w in windows),
        total=sum(w.total for w in windows),
        squares=sum(w.squares for w in windows),
    )


def reference_of(
    task: Task, labels: NDArray[np.generic], answers: NDArray[np.generic], blocks: NDArray[np.generic]
) -> LossReference:
    """Learn the usual loss, and how it wobbles between pieces of the reference."""
    rows = graded(task, labels, answers, blocks)
    return LossReference(task=task, sums=sums_of(rows.loss), wobble=wobble_of(rows))


def judge_losses(reference: LossReference, windows: list[LossSums], *, budget: float) -> Quality:
    """Fold labelled windows, oldest first: at most one false alarm in `budget` of them on average. Windows of few rows count for little."""
    usable = [w for w in windows if w.rows > 0]
    rows = sum(w.rows for w in usable)
    if reference.sums.rows < FEWEST or rows < FEWEST:
        said = f"too few labels to judge by: {reference.sums.rows:,} then, {rows:,} now, {FEWEST} are needed"
        return _quality(reference, rows, said)
    state: DecayState = start_decay(1)
    for window in usable:
        state = step_decay(state, [_standardised(reference, window)], threshold=budget)
    evidence = decay_evidence(state)
    alarm = evidence > log(budget)
    newest = added(usable[-RECENT:])
    change = _change(reference, newest)
    shown = percent if reference.task == "classes" else number
    rose = "rose" if change.value > 0 else "fell"
    said = f"{LOSS[reference.task]} {rose} from {shown(reference.sums.mean)} to {shown(newest.mean)}"
    said += f" (evidence 10^{max(evidence / log(10), -99.0):.1f}, an alarm needs 10^{log10(budget):.1f})"
    return _quality(reference, rows, said, alarm=alarm, change=change)


def _standardised(reference: LossReference, window: LossSums) -> float:
    """How far a window's loss left what is allowed, in standard deviations of such windows. A rise of a few rows is mostly chance."""
    spread = max(window.variance, reference.sums.variance)
    sd = sqrt(reference.wobble**2 + spread / window.rows + reference.sums.variance / reference.sums.rows)
    rise = window.mean - reference.sums.mean - reference.allowed
    return rise / sd if sd > 0 else (2.0 if rise > 0 else -2.0 if rise < 0 else 0.0)


def _change(reference: LossReference, newest: LossSums) -> Interval:
    value = newest.mean - reference.sums.mean
    error = sqrt(newest.variance / newest.rows + reference.sums.variance / reference.sums.rows + reference.wobble**2)
    reach = normal_quantile(0.975) * error
    return Interval(value=value, low=value - reach, high=value + reach, n=newest.rows, method="normal, with its wobble")


def _quality(
    reference: LossReference, rows: int, says: str, *, alarm: bool = False, change: Interval | None = None
) -> Quality:
    return Quality(
        task=reference.task,
        loss=LOSS[reference.task],
        alarm=alarm,
        says=says,
        labelled_reference=reference.sums.rows,
        labelled_current=rows,
        change=change,
        allowed=reference.allowed + 3 * reference.wobble,
    )
