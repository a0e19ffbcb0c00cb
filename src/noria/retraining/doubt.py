"""Whether labels look wrong in themselves: flipped, all alike, or contradicting those known before. Pure.

A world that changed and labels that are wrong look alike in the loss; they differ in what explains them. Labels that were flipped on their way do not
care what the inputs were: each is turned with the same chance, whatever the score, whoever was asked about. So a stretch is doubted only if flipping
explains its labels better than anything that the scores may have come to mean, and no input tells flipped labels from others. Doubt is no proof: a
world may turn just so, which is why the policy ends it after `doubt_days`. Which inputs are broken is monitoring/data_quality. Called by loop/stages.

Source: labels turned with one rate, whatever the input: Angluin and Laird 1988. What a free curve may gain by being free: Schwarz 1978.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.policy import Unsound
from noria.stats.checks import Floats, vector

FEWEST = 60
"""Labels that a stretch of days must hold to be judged; days with fewer are joined to the next."""
LEAST_RATE = 0.1
"""Share of flipped labels below which nothing is said: no learner is thrown by less."""
WEIGHT = 4.0
"""Natural logarithm of how much better flipping must explain a stretch than new meanings of the scores do."""
ALIKE = 20.0
"""The same for labels that are all alike, against the scores."""
STRANGE = 0.01
"""Chance of taking labels for no mere flips although they are, over all groups of all inputs together."""
GROUPS = 8
"""So many of the most frequent texts of an input are told apart."""
MOST_BEFORE = 5000
"""So many rows before a stretch say how well scores and inputs went together."""
CONTRADICTED, CONTRADICTIONS = 0.05, 20
"""Share, and number, of labels that contradict those known before, from which on labels are doubted."""
RATES = np.linspace(0.0, 1.0, 51)


@dataclass(frozen=True, eq=False, kw_only=True)
class Labelled:
    """Labelled answers. y: 0 or 1; p: the scores as answered; known: when labels were known (UTC); inputs: by name. Each of shape (n,)."""

    y: Floats
    p: Floats
    known: NDArray[np.datetime64]
    inputs: Mapping[str, NDArray[Any]]

    def only(self, rows: NDArray[Any]) -> "Labelled":
        """Some of the rows."""
        inputs = {name: values[rows] for name, values in self.inputs.items()}
        return Labelled(y=self.y[rows], p=self.p[rows], known=self.known[rows], inputs=inputs)


def labelled(y: ArrayLike, p: ArrayLike, *, known: ArrayLike, inputs: Mapping[str, ArrayLike]) -> Labelled:
    """Put labelled answers in the order in which their labels came. Raises InputInvalid."""
    when = np.asarray(known).astype("datetime64[us]")
    order = np.argsort(when, kind="stable")
    return Labelled(
        y=vector(y, "y", empty=True)[order],
        p=np.clip(vector(p, "p", empty=True), 1e-4, 1 - 1e-4)[order],
        known=when[order],
        inputs={name: np.asarray(values)[order] for name, values in inputs.items()},
    )


def doubtful(rows: Labelled) -> list[Unsound]:
    """Stretches of days whose labels look wrong, oldest first. until: None where the newest labels are among them.

    >>> p = np.tile([0.1, 0.9], 300); y = (np.arange(600) % 10 < 9) == (p > 0.5)
    >>> y[400:] = ~y[400:]
    >>> known = np.datetime64("2026-01-01") + np.arange(600) // 100 * np.timedelta64(1, "D")
    >>> [(u.since.day, u.until) for u in doubtful(labelled(y, p, known=known, inputs={}))]
    [(5, None)]
    """
    found = []
    sound: list[NDArray[np.intp]] = []
    run: list[NDArray[np.intp]] = []
    for block in [*_blocks(rows.known), None]:
        if block is not None and _is_off(rows.only(block)):
            run.append(block)
            continue
        if run:
            before = rows.only(np.concatenate(sound) if sound else np.zeros(0, dtype=np.intp))
            found += _judged(rows.only(np.concatenate(run)), before, is_last=block is None)
            run = []
        if block is not None:
            sound.append(block)
    return found


def contradicted(aside: Sequence[datetime], known: Sequence[datetime]) -> Unsound | None:
    """Whether labels that contradict those known before are too many to be corrections. aside: when they were known; known: when all others were.

    >>> day = datetime(2026, 1, 1, tzinfo=UTC)
    >>> contradicted([day] * 30, [day] * 100).what
    '30 labels contradict what was known of the same predictions, 23% of all that came since'
    """
    if len(aside) < CONTRADICTIONS:
        return None
    since = min(aside)
    share = len(aside) / (len(aside) + sum(1 for each in known if each >= since))
    if share < CONTRADICTED:
        return None
    what = f"{len(aside)} labels contradict what was known of the same predictions, {share:.0%} of all that came since"
    return Unsound(since=since, until=None, by="known", what=what)


def _blocks(known: NDArray[np.datetime64]) -> list[NDArray[np.intp]]:
    """Rows of each day, joined until they are enough; what is left over at the end belongs to the last."""
    days = known.astype("datetime64[D]")
    found: list[NDArray[np.intp]] = []
    waiting: list[NDArray[np.intp]] = []
    for day in np.unique(days):
        waiting.append(np.flatnonzero(days == day))
        if sum(part.size for part in waiting) >= FEWEST:
            found.append(np.concatenate(waiting))
            waiting = []
    if waiting and found:
        found[-1] = np.concatenate([found[-1], *waiting])
    return found


def _is_off(rows: Labelled) -> bool:
    """Whether flipping, or labels that are all alike, explain a block far better than the scores as they were answered."""
    if _all_alike(rows):
        return True
    rate, likelihood = _flipped(rows)
    return rate >= LEAST_RATE and likelihood - _log_likelihood(rows.y, rows.p) > WEIGHT


def _judged(part: Labelled, before: Labelled, *, is_last: bool) -> list[Unsound]:
    """Blocks that are off and follow each other, as a noun; unless scores with another meaning explain them as well, or an input tells which labels
    are turned: then it is the world that is another one. before: the rows before that were not off.
    """
    since = _moment(part.known[0])
    until = None if is_last else _moment(part.known[-1])
    if _all_alike(part):
        what = f"all {part.y.size} labels are {part.y[0]:.0f}, where the scores led to expect {part.p.mean():.0%} ones"
        return [Unsound(since=since, until=until, by="known", what=what)]
    rate, likelihood = _flipped(part)
    ratio = likelihood - _recalibrated(part)
    if rate < LEAST_RATE or ratio < WEIGHT or _told_apart(part, before, rate):
        return []
    likelier = f"10^{ratio / log(10):.0f} times likelier than any new meaning of the scores"
    what = f"{rate:.0%} of {part.y.size} labels look flipped, whatever the inputs were ({likelier})"
    return [Unsound(since=since, until=until, by="known", what=what)]


def _all_alike(rows: Labelled) -> bool:
    return bool((rows.y == rows.y[0]).all()) and -_log_likelihood(rows.y, rows.p) > ALIKE


def _flipped(rows: Labelled) -> tuple[float, float]:
    """The rate of flips that explains the labels best, and its log likelihood."""
    told = [_log_likelihood(rows.y, _turned(rows.p, rate)) for rate in RATES]
    best = int(np.argmax(told))
    return float(RATES[best]), told[best]


def _turned(p: Floats, rate: float) -> Floats:
    return np.asarray(np.clip(p * (1 - rate) + (1 - p) * rate, 1e-4, 1 - 1e-4))


def _recalibrated(rows: Labelled) -> float:
    """Log likelihood of the best rising logistic curve over the scores: what they may have come to mean if they still mean anything."""
    ones = np.ones((rows.y.size, 1))
    slope, rising = _logistic(np.hstack([ones, _logit(rows.p)[:, None]]), rows.y)
    level = _logistic(ones, rows.y)[1]
    return max(level, rising) if slope[1] > 0 else level


def _told_apart(rows: Labelled, before: Labelled, rate: float) -> bool:
    """Whether an input tells turned labels from others: flips on the way know no inputs, a world that turned follows some of them.

    Asked of each input alone: does a logistic curve over score and input, free to turn either, explain the labels better than flips do, by more than
    it may for being free, and than it did before, when nothing was turned? before: the rows before.
    """
    flips, n = _log_likelihood(rows.y, _turned(rows.p, rate)), rows.y.size
    before = before.only(np.arange(max(0, before.y.size - MOST_BEFORE), before.y.size))
    for name, values in rows.inputs.items():
        x, same = _design(rows.p, values, values), _design(before.p, before.inputs[name], values)
        gain = _logistic(x, rows.y)[1] - flips
        usual = 0.0
        if before.y.size >= FEWEST:
            usual = max(0.0, _logistic(same, before.y)[1] - _log_likelihood(before.y, before.p)) / before.y.size
        if gain - n * usual > x.shape[1] / 2 * log(n) + log(len(rows.inputs) / STRANGE):
            return True
    return False


def _design(p: Floats, values: NDArray[Any], like: NDArray[Any]) -> Floats:
    """A constant, the score's log odds, and the input: a number in standard deviations of `like`, or a column for each of its frequent texts."""
    columns = [np.ones(p.size), _logit(p)]
    if like.dtype.kind in "fiub":
        numbers, scale = values.astype(np.float64), like.astype(np.float64)
        seen = scale[np.isfinite(scale)]
        mean, sd = (float(seen.mean()), float(seen.std()) or 1.0) if seen.size else (0.0, 1.0)
        columns.append(np.clip(np.nan_to_num((numbers - mean) / sd, nan=0.0), -5, 5))
    else:
        names, counts = np.unique(like.astype(str), return_counts=True)
        texts = values.astype(str)
        columns += [(texts == name).astype(np.float64) for name in names[np.argsort(-counts, kind="stable")][:GROUPS]]
    return np.column_stack(columns)


def _logit(p: Floats) -> Floats:
    return np.asarray(np.log(p / (1 - p)))


def _logistic(x: Floats, y: Floats) -> tuple[Floats, float]:
    """Coefficients of a logistic curve by Newton's method, with a touch of ridge, and the log likelihood that they give."""
    beta = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        w = np.maximum(p * (1 - p), 1e-9)
        hessian = (x * w[:, None]).T @ x + np.eye(beta.size) * 1e-3
        step = np.clip(np.linalg.solve(hessian, x.T @ (y - p) - 1e-3 * beta), -5, 5)
        beta = beta + step
        if np.abs(step).max() < 1e-6:
            break
    return beta, _log_likelihood(y, np.clip(1 / (1 + np.exp(-np.clip(x @ beta, -30, 30))), 1e-4, 1 - 1e-4))


def _log_likelihood(y: Floats, p: Floats) -> float:
    return float((y * np.log(p) + (1 - y) * np.log1p(-p)).sum())


def _moment(at: np.datetime64) -> datetime:
    moment: datetime = at.astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC)
