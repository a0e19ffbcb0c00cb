"""Concept drift: whether the mean loss of labelled answers changed, overall or in a group of them, in the order in which the labels came.

The window that finds a change is stats/adwin; decay below the model's own expectation is quality.py's, which groups are worse now slices*.py's.
Called by loop/stages.

Days differ, and rows of a day resemble each other: evidence is divided by how much more the means of neighbouring days differ than means of
independent rows would (their design effect, Kish 1965).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import log, log10
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.interval import Interval
from noria.domain.quality import ConceptChange, ConceptReport
from noria.errors import InputInvalid
from noria.monitoring.labels import Times, as_datetime, moments
from noria.monitoring.quality_measures import blocks_of
from noria.stats.adwin import LOOKS, SMALLEST_SIDE, Adwin, MeanChange
from noria.stats.checks import Floats, block_codes, vector
from noria.stats.intervals import mean_interval
from noria.stats.quantiles import chi_square_quantile

BUDGET_LABELS = 1_000_000.0
LEAST_LABELS = 300
"""Labels that a group needs to be watched by itself."""

MOST_GROUPS = 50
LARGEST_SHARE = 0.995
"""Losses above this quantile of the first labels count as that: one wild answer is no change."""

FIRST = 0.25
"""Share of the labels that the largest loss is learnt from, without a reference."""

SMALLEST_BLOCKS = 8
LEARNT_DAYS = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Losses:
    """Losses of labelled answers in the order in which the labels were known. at: when answers were given; known: when labels were known."""

    loss: Floats
    at: Times
    known: Times
    groups: Mapping[str, NDArray[Any]]

    def only(self, rows: NDArray[np.bool_]) -> "Losses":
        """Some of the rows, without groups."""
        return Losses(loss=self.loss[rows], at=self.at[rows], known=self.known[rows], groups={})


def losses_of(
    loss: ArrayLike, *, at: ArrayLike, label_at: ArrayLike, groups: Mapping[str, ArrayLike] | None = None
) -> Losses:
    """Put labelled answers in order. loss: shape (n,), finite, >= 0 (quality_measures.row_loss, or 0 and 1 for right and wrong).

    at, label_at: shape (n,), no gaps. groups: columns of texts, of which each value is a group. Raises InputInvalid.
    """
    values, asked, known = vector(loss, "loss", empty=True), moments(at), moments(label_at)
    columns = {name: np.asarray(column) for name, column in (groups or {}).items()}
    if not values.shape == asked.shape == known.shape or any(c.shape != values.shape for c in columns.values()):
        raise InputInvalid(f"{values.size} losses, {asked.size} answers and {known.size} labels do not belong together")
    if (values < 0).any() or np.isnat(known).any() or np.isnat(asked).any():
        raise InputInvalid(
            "a loss is below 0, or a labelled answer has no time",
            remedy="hand in labelled rows only, and a loss of which 0 is the best",
        )
    order = np.lexsort((asked, known))
    return Losses(
        loss=values[order],
        at=asked[order],
        known=known[order],
        groups={name: column[order] for name, column in columns.items()},
    )


def concept(
    losses: Losses,
    *,
    reference: ArrayLike | None = None,
    reference_at: ArrayLike | None = None,
    since: datetime | None = None,
    budget_labels: float = BUDGET_LABELS,
    smallest: float = 0.0,
) -> ConceptReport:
    """Walk through the losses and tell of every change of their mean; at most one false one in `budget_labels` labels, groups included.

    reference, reference_at: losses on the hold-out, and its times, which come before the first label. since: what was seen before it is no reason to
    alarm (this version took over then). smallest: a rise of less is told of and is no alarm. The same losses give the same
    report. Raises InputInvalid.
    """
    before = vector([] if reference is None else reference, "reference", empty=True)
    if not losses.loss.size:
        return _report((), 0, 1.0, budget_labels, ("all",), ())
    first = before if before.size >= LEAST_LABELS else losses.loss[: max(LEAST_LABELS, int(FIRST * losses.loss.size))]
    usual = learn(losses, first=first)
    if reference_at is not None:
        days = _effect(np.minimum(before, usual.largest), moments(reference_at))
        usual = replace(usual, inflation=max(usual.inflation, days))
    fold = ConceptFold(usual, budget_labels=budget_labels, reference=before)
    fold.feed(losses)
    return fold.report(since=since, smallest=smallest)


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What must be known of losses before a change can be told: the largest that counts, how much more days differ than rows, the groups to watch.

    watched: (column, value) of groups, the largest first; left_out: groups with too few labels, or beyond MOST_GROUPS.
    """

    largest: float
    inflation: float
    watched: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()


def learn(losses: Losses, *, first: ArrayLike | None = None) -> Usual:
    """Learn what is usual. first: losses that the largest is learnt from (default: all)."""
    seen = losses.loss if first is None else vector(first, "first")
    largest = float(np.quantile(seen, LARGEST_SHARE)) or float(losses.loss.max()) or 1.0
    watched, left_out = _groups(losses)
    inflation = _effect(np.minimum(losses.loss, largest), losses.at)
    return Usual(largest=largest, inflation=inflation, watched=watched, left_out=left_out)


def learnt_from(known: Times) -> tuple[tuple[int, int], ...]:
    """From how many of the first labels a running fold learns what is usual, and at how many it does so: those of the first LEARNT_DAYS days, and
    anew twice as many days each time these have passed and a fifth more; () before, and while they are fewer than LEAST_LABELS.

    known: when each label was known, rising. A change that is found until the next time ends the learning: what came after it was not usual. The
    fifth more is there to find it, if it came when the days had nearly passed.

    >>> start = np.datetime64("2026-01-01", "us")
    >>> hourly = start + np.arange(24 * 55) * np.timedelta64(1, "h")
    >>> learnt_from(hourly[:240]), learnt_from(hourly)
    ((), ((480, 576), (960, 1152)))
    """
    if not known.size:
        return ()
    days = float((known[-1] - known[0]) / np.timedelta64(1, "D"))
    found, passed, believed = [], LEARNT_DAYS, float(LEARNT_DAYS)
    while believed <= days:
        ends = [known[0] + np.timedelta64(round(each * 86_400e6), "us") for each in (passed, believed)]
        learnt, at = (int(np.searchsorted(known, end)) for end in ends)
        if learnt >= LEAST_LABELS:
            found.append((learnt, at))
        passed *= 2
        believed = 1.2 * passed
    return tuple(found)


class ConceptFold:
    """Losses taken in as their labels come, and every change of their mean so far: one window over all of them and one for each group.

    What it says depends on what is usual and on the losses, not on the pieces in which they are handed in. reference: losses that come before the
    first one, without times and groups.
    """

    def __init__(self, usual: Usual, *, budget_labels: float = BUDGET_LABELS, reference: ArrayLike = ()) -> None:
        self._usual, self._budget = usual, budget_labels
        share = budget_labels * (len(usual.watched) + 1)
        warm = vector(reference, "reference", empty=True)
        self._windows = [
            _Watched(name, warm if name == "all" else np.empty(0), self._window(share))
            for name in ("all", *(_named(*group) for group in usual.watched))
        ]
        self._changes: list[ConceptChange] = []
        self._losses: list[Losses] = []

    def _window(self, budget: float) -> Adwin:
        return Adwin(budget=budget, bound=self._usual.largest, inflation=self._usual.inflation)

    def feed(self, losses: Losses) -> None:
        """Take in more of them, whose labels came after all before. Raises InputInvalid where they did not."""
        if self._losses and losses.known.size and losses.known[0] < self._losses[-1].known[-1]:
            raise InputInvalid(
                "these labels came before others that were taken in already",
                remedy="hand in labels in the order in which they were known, or begin anew",
            )
        if not losses.loss.size:
            return
        self._losses.append(losses.only(np.ones(losses.loss.size, dtype=bool)))
        texts = {column: values.astype(str) for column, values in losses.groups.items()}
        for window, group in zip(self._windows, (None, *self._usual.watched), strict=True):
            if group is None:
                part = self._losses[-1]
            elif group[0] in texts:
                part = losses.only(texts[group[0]] == group[1])
            else:
                continue
            self._changes += window.take(part, inflation=self._usual.inflation)
        self._changes.sort(key=lambda change: (change.seen_at, change.where))

    def report(self, *, since: datetime | None = None, smallest: float = 0.0) -> ConceptReport:
        """What it comes to; arguments as in `concept`."""
        changes = self._changes
        standing = [c for c in changes if stands(c, changes, since=since, smallest=smallest)]
        labels = sum(part.loss.size for part in self._losses)
        return _report(
            tuple(changes),
            labels,
            self._usual.inflation,
            self._budget,
            tuple(window.name for window in self._windows),
            self._usual.left_out,
            alarm=bool(standing),
        )


class _Watched:
    """One window, and the losses in it, for the means beside a change."""

    def __init__(self, name: str, warm: Floats, window: Adwin) -> None:
        self.name, self._warm, self._adwin = name, warm, window
        self._adwin.feed(warm)
        self._parts: list[Losses] = []

    def take(self, part: Losses, *, inflation: float) -> list[ConceptChange]:
        self._parts.append(part)
        changes = [c for c in self._adwin.feed(part.loss) if c.row > self._warm.size]
        if not changes:
            return []
        whole = Losses(
            loss=np.concatenate([p.loss for p in self._parts]),
            at=np.concatenate([p.at for p in self._parts]),
            known=np.concatenate([p.known for p in self._parts]),
            groups={},
        )
        self._parts = [whole]
        values = np.concatenate([self._warm, whole.loss])
        return [_told(self.name, c, whole, values, self._warm.size, inflation) for c in changes]


def design_effect(values: ArrayLike, blocks: ArrayLike | None) -> float:
    """How much more the means of neighbouring blocks (days) differ than those of independent rows would; at least 1, and 1 without blocks.

    values: shape (n,); blocks: shape (n,), rising in time. Neighbours are compared (von Neumann 1941), so a lasting change of level adds next to
    nothing. Where days plainly differ it is an upper 90 % limit, for few days tell little of how much they may.

    >>> design_effect([0.0, 0.0, 1.0, 1.0] * 50, np.arange(200) // 2)
    2.0
    """
    array = vector(values, "values")
    codes, groups = block_codes(blocks, array.size)
    rows = np.bincount(codes, minlength=groups)
    means = np.bincount(codes, array, minlength=groups) / np.maximum(rows, 1)
    spread = float(((array - means[codes]) ** 2).sum()) / max(array.size - groups, 1)
    if blocks is None or groups < SMALLEST_BLOCKS or array.var() == 0:
        return 1.0
    if spread == 0:
        return float(rows.mean())
    ratio = float(np.mean((means[1:] - means[:-1]) ** 2 / (spread * (1 / rows[1:] + 1 / rows[:-1]))))
    degrees = 2 * (groups - 1) / 3  # differences share a day with their neighbours
    if ratio < chi_square_quantile(0.9, degrees) / degrees:
        return max(1.0, ratio)
    return ratio * degrees / chi_square_quantile(0.1, degrees)


def _effect(loss: Floats, at: Times) -> float:
    order = np.argsort(at, kind="stable")
    return design_effect(loss[order], blocks_of(at[order])) if loss.size else 1.0


def _groups(losses: Losses) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The groups that are watched, the largest first; and those that are left out."""
    found: list[tuple[int, str, tuple[str, str]]] = []
    small: list[str] = []
    for column, values in losses.groups.items():
        names, counts = np.unique(values.astype(str), return_counts=True)
        for value, count in zip(names.tolist(), counts.tolist(), strict=True):
            if count < LEAST_LABELS:
                small.append(_named(column, value))
            else:
                found.append((-count, _named(column, value), (column, value)))
    found.sort()
    watched = tuple(group for _, _, group in found[:MOST_GROUPS])
    return watched, tuple([name for _, name, _ in found[MOST_GROUPS:]] + sorted(small))


def _named(column: str, value: str) -> str:
    return f"{column}={value}"


def _told(where: str, change: MeanChange, part: Losses, values: Floats, warm: int, inflation: float) -> ConceptChange:
    """A change of the window as a noun with times. Rows of the reference have none: it began with the first label then."""
    seen = change.row - warm - 1
    widen = inflation**0.5
    return ConceptChange(
        where=where,
        since=as_datetime(_began(change, part, values, warm)),
        seen_at=as_datetime(part.known[seen]),
        before=_wider(values[change.since - change.rows_before : change.since], widen),
        after=_wider(values[change.since : change.row], widen),
        worse=change.is_worse,
        evidence=change.evidence / log(10),
        labels=change.row - max(change.since, warm),
    )


def _began(change: MeanChange, part: Losses, values: Floats, warm: int) -> Any:
    """When the first answer was asked for that the change concerns: the best split of the window in the order of asking.

    The window is cut in the order in which labels came. Where these come late, the row at its cut may have been asked for long before the turn.
    """
    first = change.since - change.rows_before
    early = values[first : max(first, warm)]
    inside = slice(max(first - warm, 0), change.row - warm)
    order = np.argsort(part.at[inside], kind="stable")
    at, loss = part.at[inside][order], part.loss[inside][order]
    before = np.concatenate([[0.0], np.cumsum(loss)[:-1]]) + early.sum()
    n0 = np.arange(loss.size) + early.size
    n1 = loss.size + early.size - n0
    whole = before[-1] + loss[-1]
    gap = (whole - before) / n1 - before / np.maximum(n0, 1)
    towards = gap if change.is_worse else -gap
    strength = n0 * n1 * np.maximum(towards, 0.0) ** 2
    strength[n1 < min(SMALLEST_SIDE, loss.size)] = 0.0
    return at[int(np.argmax(strength))]


def _wider(values: Floats, by: float) -> Interval:
    found = mean_interval(values)
    reach = (found.high - found.low) / 2 * by
    return Interval(
        value=found.value,
        low=max(0.0, found.value - reach),
        high=found.value + reach,
        n=found.n,
        level=found.level,
        method="t over rows, widened by the design effect of days",
    )


def stands(
    change: ConceptChange, changes: Sequence[ConceptChange], *, since: datetime | None = None, smallest: float = 0.0
) -> bool:
    """Whether a change for the worse is the last word on its group, large enough, and not from before."""
    last = [other for other in changes if other.where == change.where][-1]
    rise = change.after.value - change.before.value
    is_new = since is None or change.seen_at >= since
    return change is last and change.worse and rise > smallest and is_new


def _report(
    changes: tuple[ConceptChange, ...],
    labels: int,
    inflation: float,
    budget: float,
    watched: tuple[str, ...],
    left_out: tuple[str, ...],
    *,
    alarm: bool = False,
) -> ConceptReport:
    return ConceptReport(
        alarm=alarm,
        changes=changes,
        labels=labels,
        inflation=inflation,
        budget=f"at most one false change in {budget:,.0f} labels on average "
        f"(log10 evidence above {log10(LOOKS * budget):.1f} less log10 of the sample)",
        watched=watched,
        left_out=left_out,
    )
