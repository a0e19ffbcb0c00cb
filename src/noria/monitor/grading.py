"""Compare the quality of labelled answers in two tables: the loss that decides, and the usual measures beside it, with intervals.

One look at two tables. Quality of a deployment over time is monitoring/quality; drift is judging.py. Called by two_tables and watch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from noria.domain.comparison import Measure, Quality
from noria.domain.interval import Interval
from noria.errors import EmptySample, InputInvalid
from noria.monitor.pairing import Pair
from noria.monitor.wording import number, percent
from noria.monitoring.estimate import estimate
from noria.stats.checks import Floats
from noria.stats.intervals import auc_interval, calibration_interval, mean_interval, wilson_interval
from noria.stats.metrics import entropy, row_log_loss
from noria.stats.quantiles import student_quantile

Task = Literal["probability", "classes", "number"]
WORTH = {"probability": 0.01, "classes": 0.01, "number": 0.02}
"""What the loss may rise by without an alarm: nats, share of wrong answers; for numbers a share of the reference's own error."""

LOSS = {"probability": "log loss", "classes": "share of wrong answers", "number": "mean absolute error"}
FEWEST = 30
"""Labelled rows below which nothing is said."""


@dataclass(frozen=True, eq=False)
class Graded:
    """Labelled rows of one table. labels, answers: shape (n,); loss: shape (n,); pieces: shape (n,), which rows are not independent."""

    labels: NDArray[Any]
    answers: NDArray[Any]
    loss: Floats
    pieces: NDArray[Any]


def task_of(prediction: Pair, label: Pair) -> Task:
    """What kind of answers these are: chances of a label that is 0 or 1, classes, or numbers. Raises InputInvalid.

    Texts are classes. Numbers between 0 and 1 beside labels of 0 and 1 are chances, unless they are all 0 or 1 themselves.
    """
    if prediction.reference.kind != label.reference.kind:
        raise InputInvalid(
            f"the prediction {prediction.name!r} is {prediction.reference.kind}, the label {label.name!r} is {label.reference.kind}",
            remedy="hand in both as numbers or both as texts",
        )
    if prediction.reference.kind == "text":
        return "classes"
    labels = label.reference.values[np.isfinite(label.reference.values)]
    answers = prediction.reference.values[np.isfinite(prediction.reference.values)]
    if not np.isin(labels, (0.0, 1.0)).all():
        return "number"
    if np.isin(answers, (0.0, 1.0)).all():
        return "classes"
    return "probability" if ((answers >= 0) & (answers <= 1)).all() else "number"


def graded(task: Task, labels: NDArray[Any], answers: NDArray[Any], pieces: NDArray[Any]) -> Graded:
    """The rows that have both a label and an answer, with their losses."""
    if labels.dtype.kind == "O":
        have = np.array([a is not None and b is not None for a, b in zip(labels, answers, strict=True)], dtype=bool)
    else:
        have = np.isfinite(labels) & np.isfinite(answers)
        if task == "probability":
            have &= np.isin(labels, (0.0, 1.0)) & (answers >= 0) & (answers <= 1)
    y, p = labels[have], answers[have]
    if task == "probability":
        loss = row_log_loss(y, p)
    else:
        loss = np.asarray(y != p, dtype=np.float64) if task == "classes" else np.abs(y - p).astype(np.float64)
    return Graded(labels=y, answers=p, loss=loss, pieces=pieces[have])


def grade(
    prediction: Pair, label: Pair, *, reference: NDArray[Any], current: NDArray[Any], error_rate: float, seed: int
) -> Quality:
    """Judge whether answers got worse: one look, wrong at most `error_rate` of the time when nothing got worse than it may.

    reference, current: the piece of each row. The loss may rise by what is not worth an alarm, or by three times what it wobbles between pieces
    of the reference, whichever is more. Raises InputInvalid.
    """
    task = task_of(prediction, label)
    then = graded(task, label.reference.values, prediction.reference.values, reference)
    now = graded(task, label.current.values, prediction.current.values, current)
    measures = _measures(task, then, now, seed)
    few = min(then.loss.size, now.loss.size) < FEWEST
    if few:
        said = f"too few labels to judge by: {then.loss.size:,} then, {now.loss.size:,} now, {FEWEST} are needed"
        return _quality(task, then, now, measures, says=said)
    worth = WORTH[task] * (float(then.loss.mean()) if task == "number" else 1.0)
    allowed = max(worth, 3 * wobble_of(then))
    change = _change(then, now, level=1 - 2 * error_rate)
    alarm = change.low > allowed
    expected = None
    if task == "probability":
        expected = float(entropy(now.answers).mean() - entropy(then.answers).mean())
    return _quality(
        task,
        then,
        now,
        measures,
        says=_says(task, then, now, alarm, expected),
        change=change,
        allowed=allowed,
        expected=expected,
        alarm=alarm,
    )


def _quality(
    task: Task,
    then: Graded,
    now: Graded,
    measures: tuple[Measure, ...],
    *,
    says: str,
    change: Interval | None = None,
    allowed: float = 0.0,
    expected: float | None = None,
    alarm: bool = False,
) -> Quality:
    return Quality(
        task=task,
        loss=LOSS[task],
        alarm=alarm,
        says=says,
        labelled_reference=int(then.loss.size),
        labelled_current=int(now.loss.size),
        change=change,
        allowed=allowed,
        expected=expected,
        measures=measures,
    )


def _says(task: Task, then: Graded, now: Graded, alarm: bool, expected: float | None) -> str:
    before, after = float(then.loss.mean()), float(now.loss.mean())
    shown = percent if task == "classes" else number
    said = f"{LOSS[task]} {'rose' if after > before else 'fell'} from {shown(before)} to {shown(after)}"
    if not alarm:
        return f"{said}, which is within what it may" if after > before else said
    if expected is not None and after > before:
        rise = number(expected) if expected > 0 else "none"
        harder = expected > (after - before) / 2
        said += f"; the scores themselves expected {rise} of this rise"
        said += ": most of these rows are just harder" if harder else ": they are no longer to be believed"
    return said


def wobble_of(rows: Graded) -> float:
    """Standard deviation of the mean loss between pieces, without what sampling alone explains."""
    codes, groups = np.unique(rows.pieces, return_inverse=True)[1], int(np.unique(rows.pieces).size)
    if groups < 5:
        return 0.0
    sizes = np.bincount(codes, minlength=groups)
    means = np.bincount(codes, rows.loss, minlength=groups) / sizes
    between = float(means.var(ddof=1)) - float((rows.loss.var() / sizes).mean())
    return sqrt(max(0.0, between))


def _change(then: Graded, now: Graded, *, level: float) -> Interval:
    """Mean loss now minus then, rows as independent: what pieces have in common is in the wobble that is allowed."""
    a, b = then.loss, now.loss
    value = float(b.mean() - a.mean())
    parts = (float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size)
    error = sqrt(sum(parts))
    if error == 0.0:
        return Interval(value=value, low=value, high=value, n=int(a.size + b.size), level=level, method="no spread")
    degrees = sum(parts) ** 2 / sum(p**2 / (n - 1) for p, n in zip(parts, (a.size, b.size), strict=True))
    reach = student_quantile((1 + level) / 2, degrees) * error
    return Interval(
        value=value, low=value - reach, high=value + reach, n=int(a.size + b.size), level=level, method="Welch's t"
    )


def _measures(task: Task, then: Graded, now: Graded, seed: int) -> tuple[Measure, ...]:
    def both(name: str, better: Literal["lower", "higher"], measure: Callable[[Graded], Interval]) -> Measure:
        found: list[Interval | None] = []
        reason = ""
        for side in (then, now):
            try:
                found.append(measure(side))
            except EmptySample as exc:
                found.append(None)
                reason = reason or exc.problem
        return Measure(name=name, better=better, reference=found[0], current=found[1], reason=reason)

    def mean_loss(rows: Graded) -> Interval:
        return mean_interval(rows.loss)

    if task == "probability":
        return (
            both("log loss", "lower", mean_loss),
            both("AUC", "higher", lambda r: auc_interval(r.labels, r.answers)),
            both("Brier score", "lower", lambda r: mean_interval((r.labels - r.answers) ** 2)),
            both("calibration error", "lower", lambda r: calibration_interval(r.labels, r.answers, seed=seed)),
        )
    if task == "classes":
        return (both("accuracy", "higher", lambda r: _right(r.loss)),)
    return (
        both("mean absolute error", "lower", mean_loss),
        both("mean squared error", "lower", lambda r: mean_interval((r.labels - r.answers) ** 2)),
        both("bias (answer - label)", "lower", lambda r: mean_interval(r.answers - r.labels)),
    )


def _right(loss: Floats) -> Interval:
    if loss.size == 0:
        raise EmptySample("no labelled row")
    return wilson_interval(int((loss == 0).sum()), int(loss.size))


def estimated(prediction: Pair, label_reference: NDArray[Any]) -> Quality | None:
    """What the loss of unlabelled answers probably is, if they are chances of a label that was 0 or 1 in the reference; else None."""
    then, now = prediction.reference.values, prediction.current.values
    if prediction.reference.kind != "number" or label_reference.dtype.kind != "f":
        return None
    have = np.isfinite(then) & np.isin(label_reference, (0.0, 1.0))
    known = now[np.isfinite(now)]
    chances = then[have].size >= FEWEST and known.size >= FEWEST and not np.isin(then[have], (0.0, 1.0)).all()
    if not chances or min(then[have].min(), known.min()) < 0 or max(then[have].max(), known.max()) > 1:
        return None
    loss = row_log_loss(label_reference[have], then[have])
    excess = float((loss - entropy(then[have])).mean())
    found = estimate(known, excess=excess)
    said = f"log loss is probably {number(found.log_loss.value)}, was {number(float(loss.mean()))}: estimated, there are no labels"
    return Quality(
        task="probability",
        loss=LOSS["probability"],
        alarm=False,
        says=said,
        labelled_reference=int(loss.size),
        labelled_current=0,
        measures=(
            Measure(name="log loss", better="lower", reference=mean_interval(loss), current=None, reason="no labels"),
        ),
        estimated=found.log_loss,
        assumption=found.assumption,
    )
