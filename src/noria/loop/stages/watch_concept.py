"""Ask the champion's labelled answers whether they began to mean something else: concept drift, overall and in the recipe's groups. Called by watch.

Labels are taken in as they come, so a look costs what is new. All is folded from the log: a process that begins anew, or a label that comes late and
belongs before others, folds everything again and gives the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from weakref import WeakKeyDictionary

import polars as pl

from noria.domain.deployment import Variant
from noria.domain.quality import ConceptReport
from noria.loop.context import Context, Recipe
from noria.monitoring.concept import SMALLEST_BLOCKS, ConceptFold, Losses, learn, learnt_from, losses_of
from noria.monitoring.concept_alert import above_expected
from noria.monitoring.labels import Times
from noria.ports.predictions import PredictionLog

MOST_LABELS = 1 << 18
"""From so many labels on every second counts, from twice as many every fourth, and so on."""

LEAST_BUDGET = 10_000.0
REMEMBERED = 1024
"""Folds that are remembered for one log; some MB for a champion with 100,000 labels."""

USABLE = pl.col("label").is_in([0.0, 1.0]) & pl.col("score").is_between(0.0, 1.0)
ORDER = ("label_at", "at", "score", "label")
Answers = Callable[[datetime, Sequence[str]], pl.DataFrame]
"""Gives the champion's labelled answers from a moment on, with these inputs beside them."""


@dataclass(eq=False)
class Held:
    """A fold over the first `rows` labelled answers, in the order in which their labels came, up to `mark`. shares: of the labels, by group."""

    rows: int
    mark: datetime
    fingerprint: int
    learnt: int
    fold: ConceptFold
    shares: dict[str, float]

    def continues(self, rows: pl.DataFrame, learnt: int) -> bool:
        """Whether these answers begin with those that were taken in, and no more is to be learnt from them."""
        first = rows.filter(pl.col("label_at") <= self.mark)
        return first.height == self.rows and self.learnt == learnt and _fingerprint(first) == self.fingerprint

    def take(self, fresh: pl.DataFrame, recipe: Recipe) -> None:
        """Take in the answers whose labels came later, in their order."""
        if not fresh.height:
            return
        stride = _stride(self.learnt)
        self.fold.feed(_losses(fresh.gather_every(stride, offset=-self.rows % stride), recipe))
        self.rows += fresh.height
        self.mark = _last(fresh)
        self.fingerprint = (self.fingerprint + _fingerprint(fresh)) % (1 << 64)


_held: WeakKeyDictionary[PredictionLog, OrderedDict[tuple[object, ...], Held]] = WeakKeyDictionary()
_lock = Lock()


def concept_of(
    context: Context, recipe: Recipe, champion: Variant, labelled: pl.DataFrame, *, since: datetime, answers: Answers
) -> tuple[ConceptReport | None, dict[str, float]]:
    """What the labels so far say of a change, and the share of the labels in each group that is watched; None while they are too few.

    labelled: the champion's answers whose label is known: at, label, label_at, score. answers: the same with inputs, read where they are needed.
    """
    if not labelled.height:
        return None, {}
    rows = labelled.filter(USABLE).select(ORDER)
    learnt = learnt_from(_times(rows["label_at"].sort()))
    if not learnt:
        return None, {}
    key = (recipe.deployment, champion.number, since, recipe.slices, recipe.false_page_days)
    with _lock:
        known = _held.setdefault(context.predictions, OrderedDict())
        held = known.get(key)
        if held is not None and held.continues(rows, learnt):
            held.take(_with_groups(rows.filter(pl.col("label_at") > held.mark), answers, recipe), recipe)
        else:
            held = _begin(recipe, rows.sort(ORDER), learnt, answers=answers)
        if held is None:
            return None, {}
        known[key] = held
        known.move_to_end(key)
        while len(known) > REMEMBERED:
            known.popitem(last=False)
        return held.fold.report(since=since), held.shares


def _begin(recipe: Recipe, rows: pl.DataFrame, learnt: int, *, answers: Answers) -> Held | None:
    """Learn what is usual from the first labels, and take in all; None where these tell of too few days."""
    if rows[:learnt]["at"].dt.date().n_unique() < SMALLEST_BLOCKS:
        return None
    rows = _with_groups(rows, answers, recipe)
    first = rows[:learnt].gather_every(_stride(learnt))
    days = max((first["at"].max() - first["at"].min()).total_seconds() / 86400, 1.0)  # type: ignore[operator,union-attr]
    usual = learn(_losses(first, recipe))
    fold = ConceptFold(usual, budget_labels=max(LEAST_BUDGET, first.height / days * recipe.false_page_days))
    shares = {
        f"{column}={value}": first.filter(pl.col(column) == value).height / first.height
        for column, value in usual.watched
    }
    held = Held(rows=0, mark=_last(rows), fingerprint=0, learnt=learnt, fold=fold, shares=shares)
    held.take(rows, recipe)
    return held


def _stride(learnt: int) -> int:
    return 1 << max(0, (learnt // MOST_LABELS).bit_length())


def _losses(rows: pl.DataFrame, recipe: Recipe) -> Losses:
    return losses_of(
        above_expected(rows["label"].to_numpy(), rows["score"].to_numpy()),
        at=_times(rows["at"]),
        label_at=_times(rows["label_at"]),
        groups={name: rows[name].to_numpy() for name in recipe.slices if name in rows.columns},
    )


def _with_groups(rows: pl.DataFrame, answers: Answers, recipe: Recipe) -> pl.DataFrame:
    """The same answers with the values of the recipe's slices beside them, in the same order."""
    if not recipe.slices or not rows.height:
        return rows.sort(ORDER)
    begin: datetime = rows["at"].min()  # type: ignore[assignment]
    wanted = [f"in.{name}" for name in recipe.slices]
    beside = answers(begin, wanted).filter(
        pl.col("label_at").is_between(rows["label_at"].min(), rows["label_at"].max())
    )
    beside = beside.filter(USABLE).sort(*ORDER, *(n for n in wanted if n in beside.columns))
    named = [
        pl.col(f"in.{name}").cast(pl.String).fill_null("").alias(name)
        for name in recipe.slices
        if f"in.{name}" in beside.columns
    ]
    return beside.select(*ORDER, *named)


def _fingerprint(rows: pl.DataFrame) -> int:
    """The same for the same answers, whatever their order; that of two tables together is the sum of theirs, modulo 2 ** 64."""
    return int(rows.select(ORDER).hash_rows(seed=0).sum()) % (1 << 64)


def _last(rows: pl.DataFrame) -> datetime:
    last: datetime = rows["label_at"].max()  # type: ignore[assignment]
    return last


def _times(at: pl.Series) -> Times:
    return at.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
