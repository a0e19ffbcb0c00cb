"""Whether labels look wrong in themselves: flipped, all alike, or contradicting those known before. Pure.

A world that changed and labels that are wrong look alike in the loss; they differ in what explains them. Labels that were flipped on their way do not
care what the inputs were: each is turned with the same chance, whatever the score, whoever was asked about. So a stretch is doubted only if flipping
explains its labels better than anything that the scores may have come to mean, and no input tells flipped labels from others. Doubt is no proof: a
world may turn just so, which is why the policy ends it after `doubt_days`. Which inputs are broken is monitoring/data_quality. Called by loop/stages.

Source: the noise model is that of Angluin and Laird 1988 (labels turned with one rate, whatever the input); the rest is a ratio of likelihoods.
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
from noria.stats.quantiles import normal_quantile

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
GROUPS, SMALLEST_GROUP = 8, 15
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
    blocks = _blocks(rows.known)
    found = []
    run: list[NDArray[np.intp]] = []
    for block in [*blocks, None]:
        if block is not None and _speaks(rows.only(block)):
            run.append(block)
            continue
        if run:
            found += _judged(rows, np.concatenate(run), is_last=block is None)
            run = []
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


def _speaks(rows: Labelled) -> bool:
    """Whether flipping, or labels that are all alike, explain a block far better than the scores, whatever they have come to mean."""
    if _all_alike(rows):
        return True
    rate, likelihood = _flipped(rows)
    return rate >= LEAST_RATE and likelihood - _recalibrated(rows) > WEIGHT


def _judged(rows: Labelled, chosen: NDArray[np.intp], *, is_last: bool) -> list[Unsound]:
    """The stretch as a noun, unless an input tells which labels are turned: then it is the world that is another one."""
    part = rows.only(chosen)
    since = _moment(part.known[0])
    until = None if is_last else _moment(part.known[-1])
    if _all_alike(part):
        what = f"all {part.y.size} labels are {part.y[0]:.0f}, where the scores led to expect {part.p.mean():.0%} ones"
        return [Unsound(since=since, until=until, by="known", what=what)]
    rate, likelihood = _flipped(part)
    if rate < LEAST_RATE or _told_apart(part, rows.only(np.arange(chosen[0])), rate):
        return []
    ratio = (likelihood - _recalibrated(part)) / log(10)
    likelier = f"10^{ratio:.0f} times likelier than any new meaning of the scores"
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
    x = np.log(rows.p / (1 - rows.p))
    mean = float(np.clip(rows.y.mean(), 1e-4, 1 - 1e-4))
    level = _log_likelihood(rows.y, np.full(rows.y.size, mean))
    a, b = log(mean / (1 - mean)), 0.0
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(a + b * x, -30, 30)))
        w = np.maximum(p * (1 - p), 1e-9)
        gradient = np.array([(rows.y - p).sum(), ((rows.y - p) * x).sum()])
        hessian = np.array([[w.sum(), (w * x).sum()], [(w * x).sum(), (w * x * x).sum()]]) + np.eye(2) * 1e-6
        step = np.linalg.solve(hessian, gradient)
        a, b = a + float(np.clip(step[0], -5, 5)), b + float(np.clip(step[1], -5, 5))
        if np.abs(step).max() < 1e-6:
            break
    if b <= 0:
        return level
    return max(level, _log_likelihood(rows.y, 1 / (1 + np.exp(-np.clip(a + b * x, -30, 30)))))


def _told_apart(rows: Labelled, before: Labelled, rate: float) -> bool:
    """Whether a group of an input, or of scores, has surely more or fewer turned labels than all: flips on the way know no groups.

    before: the rows before, by which it is known how far the scores were off in a group already; that is turned with the labels.
    """
    expected, inputs = _turned(rows.p, rate), {"": rows.p, **rows.inputs}
    earlier = {"": before.p, **before.inputs}
    scores = []
    for name, values in inputs.items():
        for group, same in _groups(values, earlier[name]):
            n, m = int(group.sum()), int(same.sum())
            spread = float((expected[group] * (1 - expected[group])).sum()) / n**2
            off = 0.0
            if m >= SMALLEST_GROUP:
                off = float((before.y[same] - before.p[same]).mean()) * (1 - 2 * rate)
                spread += float((before.p[same] * (1 - before.p[same])).sum()) / m**2 * (1 - 2 * rate) ** 2
            scores.append(abs(float((rows.y[group] - expected[group]).mean()) - off) / max(spread, 1e-12) ** 0.5)
    return bool(scores) and max(scores) > normal_quantile(1 - STRANGE / (2 * len(scores)))


def _groups(values: NDArray[Any], earlier: NDArray[Any]) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Quarters of numbers, or the most frequent texts, each alone: which rows, and which rows before, are in the group."""
    if values.dtype.kind in "fiub":
        numbers, past = values.astype(np.float64), earlier.astype(np.float64)
        seen = numbers[~np.isnan(numbers)]
        if seen.size == 0:
            return []
        cuts = np.unique(np.quantile(seen, [0.25, 0.5, 0.75]))
        codes = np.where(np.isnan(numbers), -1, np.searchsorted(cuts, numbers, side="left"))
        old = np.where(np.isnan(past), -1, np.searchsorted(cuts, past, side="left"))
        found = [(codes == code, old == code) for code in range(cuts.size + 1)]
    else:
        texts, before = values.astype(str), earlier.astype(str)
        names, counts = np.unique(texts, return_counts=True)
        found = [(texts == name, before == name) for name in names[np.argsort(-counts, kind="stable")][:GROUPS]]
    return [(group, same) for group, same in found if SMALLEST_GROUP <= int(group.sum()) < values.size]


def _log_likelihood(y: Floats, p: Floats) -> float:
    return float((y * np.log(p) + (1 - y) * np.log1p(-p)).sum())


def _moment(at: np.datetime64) -> datetime:
    moment: datetime = at.astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC)
