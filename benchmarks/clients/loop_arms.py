"""Rules of thumb that a loop is measured against: frozen, monthly, on every alarm of two kinds, and an oracle that retrains daily.

All arms share the rows, the learner, and its parameters; each sees a label once it has arrived and answers the rows of a day with the model that it
has in the morning. A model of these arms goes live at once: no gate, no canary, no waiting, which is to their advantage. Used by loop_proof.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noria.stats.distances import jensen_shannon, psi

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

WEEK = 7
"""Days of inputs that an alarm is judged on, and the least number of days between two retrainings of an alarm rule."""
FEWEST = 100
"""Labelled rows below which nothing is trained."""


@dataclass(kw_only=True)
class Days:
    """Rows in the order of time. day: 0 for the first that is answered, below 0 what was there before. known: day in whose morning a label is known.

    label: as told, NaN if it never comes. x: the features. fit: learns from rows (positions), answers rows. law, sound: what only an oracle knows.
    """

    x: pl.DataFrame
    label: Floats
    day: NDArray[np.int64]
    known: NDArray[np.int64]
    dates: dict[int, date]
    fit: Callable[[Rows], Callable[[Rows], Floats]]
    law: dict[int, float] = field(default_factory=dict)
    sound: dict[int, bool] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return int(self.day.max())

    def of(self, first: int, end: int) -> Rows:
        """Positions of the rows of the days first <= day < end."""
        return np.arange(np.searchsorted(self.day, first), np.searchsorted(self.day, end))

    def labelled(self, by: int, *, since: int | None = None) -> Rows:
        """Positions of the rows whose label is known in the morning of a day."""
        rows = self.of(int(self.day.min()) if since is None else since, by)
        return rows[(self.known[rows] <= by) & ~np.isnan(self.label[rows])]


@dataclass(kw_only=True)
class Answered:
    """One arm's answers to the rows of days 0 and later, and the days on which it retrained."""

    score: Floats
    retrained: list[int]


Rule = Callable[[Days, int, "Answered", "Alarms"], Rows | None]
"""What to learn from this morning, or None. Answered: so far; the day's alarms are made when they are asked for."""


class Alarms:
    """Inputs of the newest week beside those that the model learnt from, by two rules that are common. Kept per reference, made when asked for."""

    def __init__(self, days: Days) -> None:
        self._days = days
        self._learnt: Rows = np.zeros(0, dtype=np.int64)
        self._bins: dict[str, tuple[str, Any, Any]] = {}

    def learnt(self, rows: Rows) -> None:
        """A model has learnt from these rows: they are the reference now."""
        self._learnt, self._bins = rows, {}

    def largest_psi(self, day: int) -> float:
        """Largest PSI over the inputs, in tenths of the reference; texts by value."""
        return max((psi(*self._counts(name, day)) for name in self._days.x.columns), default=0.0)

    def drifted_share(self, day: int) -> float:
        """Share of inputs that drift by Evidently's default tests for more than 1,000 rows; the rule is theirs, this code is ours.

        Numbers by Wasserstein's distance in standard deviations of the reference, texts and numbers of at most 5 values by
        Jensen-Shannon's: from 0.1 on.
        """
        drifted = 0
        for name in self._days.x.columns:
            if self._has_few_values(name):
                drifted += jensen_shannon(*self._by_value(name, day)) >= 0.1
            else:
                drifted += self._wasserstein(name, day) >= 0.1
        return drifted / max(1, self._days.x.width)

    def _has_few_values(self, name: str) -> bool:
        key = f"few {name}"
        if key not in self._bins:
            values = self._days.x[name]
            few = values.dtype == pl.String or values.gather(self._learnt).n_unique() <= 5
            self._bins[key] = ("few", few, None)
        return bool(self._bins[key][1])

    def _week(self, day: int) -> Rows:
        return self._days.of(day - WEEK, day)

    def _counts(self, name: str, day: int) -> tuple[Floats, Floats]:
        if self._days.x[name].dtype == pl.String:
            return self._by_value(name, day)
        if name not in self._bins:
            values = self._numbers(name, self._learnt)
            cuts = (
                np.unique(np.nanquantile(values, np.linspace(0.1, 0.9, 9)))
                if np.isfinite(values).any()
                else np.zeros(0)
            )
            self._bins[name] = ("number", cuts, _binned(values, cuts))
        _, cuts, reference = self._bins[name]
        return reference, _binned(self._numbers(name, self._week(day)), cuts)

    def _by_value(self, name: str, day: int) -> tuple[Floats, Floats]:
        key = f"value {name}"
        if key not in self._bins:
            self._bins[key] = ("text", None, _tally(self._days.x[name].gather(self._learnt)))
        reference: dict[Any, int] = self._bins[key][2]
        now = _tally(self._days.x[name].gather(self._week(day)))
        names = sorted({*reference, *now}, key=str)
        return np.array([reference.get(n, 0) for n in names], float), np.array([now.get(n, 0) for n in names], float)

    def _wasserstein(self, name: str, day: int) -> float:
        key, grid = f"grid {name}", np.linspace(0.0005, 0.9995, 1000)
        if key not in self._bins:
            values = self._numbers(name, self._learnt)
            values = values[np.isfinite(values)]
            self._bins[key] = ("grid", np.quantile(values, grid), float(values.std()) or 1.0)
        _, reference, spread = self._bins[key]
        now = self._numbers(name, self._week(day))
        now = now[np.isfinite(now)]
        return float(np.abs(np.quantile(now, grid) - reference).mean() / spread) if now.size else 1.0

    def _numbers(self, name: str, rows: Rows) -> Floats:
        return np.asarray(self._days.x[name].gather(rows).cast(pl.Float64).fill_null(float("nan")).to_numpy())


def _binned(values: Floats, cuts: Floats) -> Floats:
    there = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(cuts, there, side="right"), minlength=cuts.size + 1)
    return np.append(counts, values.size - there.size).astype(float)


def _tally(values: pl.Series) -> dict[Any, int]:
    return dict(values.value_counts().iter_rows())


def never(days: Days, day: int, so_far: Answered, alarms: Alarms) -> Rows | None:
    """Frozen."""
    return None


def monthly(window: int | None) -> Rule:
    """On the first of each month, blindly, on everything or on so many days."""

    def rule(days: Days, day: int, so_far: Answered, alarms: Alarms) -> Rows | None:
        if day == 0 or days.dates[day].day != 1:
            return None
        return days.labelled(day, since=None if window is None else day - window)

    return rule


def on_alarm(which: str, window: int | None) -> Rule:
    """Whenever the newest week's inputs are called drifted, blindly. A week must be new since the last retraining."""

    def rule(days: Days, day: int, so_far: Answered, alarms: Alarms) -> Rows | None:
        if day < WEEK or (so_far.retrained and day - so_far.retrained[-1] < WEEK):
            return None
        rings = alarms.largest_psi(day) > 0.2 if which == "psi" else alarms.drifted_share(day) >= 0.5
        return days.labelled(day, since=None if window is None else day - window) if rings else None

    return rule


def oracle(days: Days, day: int, so_far: Answered, alarms: Alarms) -> Rows | None:
    """Every morning, on every label that has arrived.

    Where the world turns (`law`), on the rows of the law that holds on this very day, if they are enough, and never on rows that are broken or told
    wrong: it knows both, which nobody can.
    """
    if day == 0:
        return None
    rows = days.labelled(day)
    if not days.law:
        return rows
    law = np.array([days.law[int(d)] for d in np.unique(days.day[rows])])
    sound = np.array([days.sound[int(d)] for d in np.unique(days.day[rows])])
    _, place = np.unique(days.day[rows], return_inverse=True)
    right = rows[(np.abs(law - days.law[day]) < 0.25)[place] & sound[place]]
    return right if right.size >= FEWEST * 5 else rows[sound[place]]


def daily(days: Days, day: int, so_far: Answered, alarms: Alarms) -> Rows | None:
    """Every morning, on every label that has arrived, knowing nothing else."""
    return days.labelled(day) if day else None


def answer(days: Days, rule: Rule, *, first: Callable[[Rows], Floats] | None = None) -> Answered:
    """Live the days under a rule. first: the model of the first morning, if it is at hand."""
    start = int(np.searchsorted(days.day, 0))
    found = Answered(score=np.full(days.day.size - start, np.nan), retrained=[])
    alarms = Alarms(days)
    begin = days.labelled(0)
    model = first or days.fit(begin)
    alarms.learnt(begin)
    for day in range(days.last + 1):
        learn = rule(days, day, found, alarms)
        if learn is not None and learn.size >= FEWEST and np.unique(days.label[learn]).size == 2:
            model = days.fit(learn)
            alarms.learnt(learn)
            found.retrained.append(day)
        today = days.of(day, day + 1)
        if today.size:
            found.score[today - start] = model(today)
    return found


def blocks(days: int, *, length: int, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Days drawn again in stretches that overlap (moving blocks): what is near in time stays together. Source: Kunsch 1989."""
    rng = np.random.default_rng(seed)
    number = -(-days // length)
    for _ in range(draws):
        starts = rng.integers(0, max(1, days - length + 1), number)
        yield np.concatenate([np.arange(s, min(s + length, days)) for s in starts])[:days]
