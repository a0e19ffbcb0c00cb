"""Measures of labelled answers with intervals, for two classes, several classes and quantities. Each from its influence: how much a row pulls it.

Rows of one day resemble each other, so intervals count days (or hours) as independent, not rows (`blocks_of`). Called by quality_history.py.
"""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from noria.domain.interval import Interval
from noria.domain.quality import Task
from noria.errors import EmptySample, InputInvalid
from noria.monitoring.labels import Times
from noria.stats.checks import Floats, Ints
from noria.stats.intervals import auc_interval, calibration_interval, clustered_interval, mean_interval
from noria.stats.metrics import CLIP, entropy, row_log_loss

ENOUGH_BLOCKS = 8
HIGHER_IS_BETTER = frozenset({"auc", "accuracy", "precision", "recall", "f1", "macro_f1", "r2"})
Measured = tuple[dict[str, Interval], dict[str, str]]


def blocks_of(at: Times) -> Ints | None:
    """The day of each row, or its hour, or its minute: the longest of which there are at least 8; None (each row for itself) if there is none.

    >>> blocks_of(np.array(["2026-01-01T00:00", "2026-01-01T00:00"], dtype="datetime64[us]")) is None
    True
    """
    for unit in ("D", "h", "m"):
        blocks = at.astype(f"datetime64[{unit}]").astype(np.int64)
        if np.unique(blocks).size >= ENOUGH_BLOCKS:
            return blocks
    return None


def measures(
    task: Task,
    happened: Floats,
    said: Floats,
    *,
    blocks: Ints | None,
    threshold: float = 0.5,
    only: Collection[str] | None = None,
    seed: int = 0,
) -> Measured:
    """Every measure of the task with its interval, and for those that cannot be computed the reason.

    happened: shape (n,): 0/1, the number of a class, or a quantity. said: shape (n,) the probability or the quantity; for classes shape (n, classes),
    probabilities, or shape (n,), the number of the class that was answered. only: these measures, not all. Raises InputInvalid for values that
    the task cannot have.
    """
    if happened.size == 0:
        return {}, {"all": "no label has arrived yet"}
    if task == "binary":
        ways = _binary(happened, said, blocks, threshold=threshold, seed=seed)
    elif task == "multiclass":
        ways = _classes(happened, said, blocks)
    else:
        ways = _quantities(happened, said, blocks)
    found: dict[str, Interval] = {}
    missing: dict[str, str] = {}
    for name, way in ways.items():
        if only is not None and name not in only:
            continue
        try:
            found[name] = way()
        except EmptySample as exc:
            missing[name] = exc.problem
    return found, missing


def row_loss(task: Task, happened: Floats, said: Floats) -> Floats:
    """The loss of each row: log loss in nats where there are probabilities, 0 or 1 for bare classes, absolute error for quantities. Shape (n,)."""
    if task == "binary":
        return row_log_loss(happened, said)
    if task == "regression":
        return np.abs(said - happened)
    if said.ndim == 1:
        return np.asarray(said != happened, dtype=np.float64)
    return np.asarray(
        -np.log(np.clip(said[np.arange(happened.size), _class_numbers(happened, said.shape[1])], CLIP, 1))
    )


def _binary(
    y: Floats, p: Floats, blocks: Ints | None, *, threshold: float, seed: int
) -> dict[str, Callable[[], Interval]]:
    loss = row_log_loss(y, p)
    positive = p >= threshold
    hit = positive & (y == 1)
    return {
        "log_loss": lambda: mean_interval(loss, blocks),
        "excess": lambda: mean_interval(loss - entropy(p), blocks),
        "brier": lambda: mean_interval((p - y) ** 2, blocks),
        "auc": lambda: auc_interval(y, p, blocks),
        "calibration_error": lambda: calibration_interval(y, p, blocks, seed=seed),
        "accuracy": lambda: mean_interval(positive == (y == 1), blocks),
        "precision": lambda: share_of(hit, positive, blocks, "no answer was positive"),
        "recall": lambda: share_of(hit, y == 1, blocks, "nothing positive happened"),
        "f1": lambda: share_of(2 * hit, positive.astype(float) + y, blocks, "nothing positive was said or happened"),
        "bias": lambda: mean_interval(y - p, blocks),
    }


def _classes(y: Floats, said: Floats, blocks: Ints | None) -> dict[str, Callable[[], Interval]]:
    answered = said.argmax(axis=1) if said.ndim == 2 else said
    ways: dict[str, Callable[[], Interval]] = {
        "accuracy": lambda: mean_interval(answered == y, blocks),
        "macro_f1": lambda: _macro_f1(y, np.asarray(answered, dtype=np.float64), blocks),
    }
    if said.ndim == 2:
        numbers = _class_numbers(y, said.shape[1])
        loss = row_loss("multiclass", y, said)
        truth = np.zeros_like(said)
        truth[np.arange(y.size), numbers] = 1.0
        ways["log_loss"] = lambda: mean_interval(loss, blocks)
        ways["brier"] = lambda: mean_interval(((said - truth) ** 2).sum(axis=1), blocks)
    return ways


def _quantities(y: Floats, said: Floats, blocks: Ints | None) -> dict[str, Callable[[], Interval]]:
    error = said - y
    return {
        "mae": lambda: mean_interval(np.abs(error), blocks),
        "rmse": lambda: _rmse(error, blocks),
        "bias": lambda: mean_interval(error, blocks),
        "r2": lambda: _r2(y, error, blocks),
    }


def share_of(part: NDArray[np.generic], whole: NDArray[np.generic], blocks: Ints | None, nothing: str) -> Interval:
    """Interval of sum(part) / sum(whole), cut off at 0 and 1. Raises EmptySample saying `nothing` if the whole is 0."""
    top, bottom = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    if not bottom.sum():
        raise EmptySample(nothing)
    value = float(top.sum() / bottom.sum())
    found = clustered_interval(value, (top - value * bottom) / bottom.mean(), blocks)
    return _cut(found, low=0.0, high=1.0)


def _macro_f1(y: Floats, answered: Floats, blocks: Ints | None) -> Interval:
    classes = np.unique(np.concatenate([y, answered]))
    pull = np.zeros(y.size)
    value = 0.0
    for number in classes:
        top = 2.0 * ((y == number) & (answered == number))
        bottom = (y == number).astype(float) + (answered == number)
        f1 = float(top.sum() / bottom.sum())
        value += f1 / classes.size
        pull += (top - f1 * bottom) / bottom.mean() / classes.size
    return _cut(clustered_interval(value, pull, blocks), low=0.0, high=1.0)


def _rmse(error: Floats, blocks: Ints | None) -> Interval:
    square = float((error**2).mean())
    value = square**0.5
    pull = (error**2 - square) / (2 * value) if value else np.zeros_like(error)
    return _cut(clustered_interval(value, pull, blocks), low=0.0)


def _r2(y: Floats, error: Floats, blocks: Ints | None) -> Interval:
    spread = (y - y.mean()) ** 2
    total, left = float(spread.mean()), float((error**2).mean())
    if not total:
        raise EmptySample("r2 needs quantities that differ")
    pull = -(error**2 - left) / total + left / total**2 * (spread - total)
    return _cut(clustered_interval(1 - left / total, pull, blocks), high=1.0)


def _cut(found: Interval, *, low: float = -np.inf, high: float = np.inf) -> Interval:
    return Interval(
        value=found.value,
        low=max(low, found.low),
        high=min(high, found.high),
        n=found.n,
        level=found.level,
        method=found.method,
    )


def _class_numbers(y: Floats, classes: int) -> Ints:
    numbers = y.astype(np.int64)
    if (numbers != y).any() or (numbers < 0).any() or (numbers >= classes).any():
        raise InputInvalid(
            f"labels of {classes} classes must be whole numbers from 0 to {classes - 1}",
            cause=f"they run from {y.min():g} to {y.max():g}",
            remedy="send the number of the class as the label",
        )
    return numbers
