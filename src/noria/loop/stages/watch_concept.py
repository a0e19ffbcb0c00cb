"""Ask the champion's labelled answers whether they began to mean something else: concept drift, overall and in the recipe's groups. Called by watch.

Two walks over the same labels: over losses, and over label minus score, which varies less; they share one budget of false alarms.

Labels are taken in as they come, so a look costs what is new. All is folded from the log: a process that begins anew, or a label that comes late and
belongs before others, folds everything again and gives the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import polars as pl

from noria.domain.deployment import Variant
from noria.domain.quality import ConceptReport
from noria.loop.context import Context, Recipe
from noria.monitoring.concept import SMALLEST_BLOCKS, ConceptFold, Losses, learn, learnt_from, losses_of
from noria.monitoring.concept_alert import above_expected
from noria.monitoring.labels import Times
from noria.monitoring.rate_alert import COLUMN, band_edges, bands, off_by
from noria.ports.predictions import PredictionLog
from noria.stats.checks import Floats

MOST_LABELS = 1 << 18
"""From so many labels on every second counts, from twice as many every fourth, and so on."""

LEAST_BUDGET = 10_000.0
BEGINNING = datetime.min.replace(tzinfo=UTC)
WALKS = 2
"""Over losses and over rates: each may be wrong half as often."""

REMEMBERED = 1024
"""Folds that are remembered for one log; some MB for a champion with 100,000 labels."""

USABLE = pl.col("label").is_in([0.0, 1.0]) & pl.col("score").is_between(0.0, 1.0)
ORDER = ("label_at", "at", "score", "label")
Answers = Callable[[datetime, Sequence[str]], pl.DataFrame]
"""Gives the champion's labelled answers from a moment on, with these inputs beside them."""


class Concepts(NamedTuple):
    """What both walks found. edges: between the bands of the score. shares: of the labels, by group."""

    losses: ConceptReport
    rates: ConceptReport
    edges: Floats
    shares: dict[str, float]


@dataclass(eq=False)
class Held:
    """Folds over the first `rows` labelled answers, in the order in which their labels came, up to `mark`; the rest as in Concepts."""

    rows: int
    mark: datetime
    fingerprint: int
    learnt: int
    losses: ConceptFold
    rates: ConceptFold
    edges: Floats
    shares: dict[str, float]
    settled: bool = False
    """Whether a change ended the learning."""

    def begins(self, rows: pl.DataFrame) -> bool:
        """Whether these answers begin with those that were taken in."""
        first = rows.filter(pl.col("label_at") <= self.mark)
        return first.height == self.rows and _fingerprint(first) == self.fingerprint

    def take(self, fresh: pl.DataFrame, recipe: Recipe) -> None:
        """Take in the answers whose labels came later, in their order."""
        if not fresh.height:
            return
        stride = _stride(self.learnt)
        self.feed(fresh.gather_every(stride, offset=-self.rows % stride), recipe)
        self.rows += fresh.height
        self.mark = _last(fresh)
        self.fingerprint = (self.fingerprint + _fingerprint(fresh)) % (1 << 64)

    def feed(self, rows: pl.DataFrame, recipe: Recipe) -> None:
        """Show rows to both walks."""
        self.losses.feed(_losses(rows, recipe))
        self.rates.feed(_rates(rows, self.edges))

    def has_changed(self, *, after: datetime, until: datetime) -> bool:
        """Whether a change was seen later than the one, and not later than the other."""
        changes = (each for walk in (self.losses, self.rates) for each in walk.report().changes)
        return any(after < each.seen_at <= until for each in changes)


_held: WeakKeyDictionary[PredictionLog, OrderedDict[tuple[object, ...], Held]] = WeakKeyDictionary()
_lock = Lock()


def concept_of(
    context: Context,
    recipe: Recipe,
    champion: Variant,
    labelled: pl.DataFrame,
    *,
    since: datetime,
    answers: Answers,
    holdout: pl.DataFrame | None = None,
) -> Concepts | None:
    """What the labels so far say of a change that was seen since the champion answers; None while they are too few.

    labelled: the champion's answers whose label is known: at, label, label_at, score. answers: the same with inputs, read where they are needed.
    holdout: labelled answers of before, as `holdout_of` gives them.
    """
    rows = labelled.filter(USABLE).select(ORDER) if labelled.height else labelled
    if not rows.height:
        return None
    before = _before(rows, holdout)
    times = _times(rows["label_at"].sort())
    learnt = learnt_from(times if before is None else np.concatenate([_times(before["label_at"]), times]))
    if not learnt:
        return None
    key = (recipe.deployment, champion.number, since, recipe.slices, recipe.false_page_days)
    with _lock:
        known = _held.setdefault(context.predictions, OrderedDict())
        held = known.get(key)
        if held is not None and not held.begins(rows):
            held = None  # a label came late, and belongs before others
        if held is not None and (held.settled or held.learnt == learnt[-1][0]):
            held.take(_with_groups(rows.filter(pl.col("label_at") > held.mark), answers, recipe), recipe)
        else:
            held = _begin(recipe, rows.sort(ORDER), learnt, answers=answers, before=before, standing=held)
        if held is None:
            return None
        known[key] = held
        known.move_to_end(key)
        while len(known) > REMEMBERED:
            known.popitem(last=False)
        losses, rates = (_seen_since(fold.report(since=since), since) for fold in (held.losses, held.rates))
        return Concepts(losses, rates, held.edges, held.shares)


def _seen_since(report: ConceptReport, since: datetime) -> ConceptReport:
    """Without what was seen on the hold-out: it was no change of the champion's answers."""
    return msgspec.structs.replace(report, changes=tuple(each for each in report.changes if each.seen_at >= since))


def _before(rows: pl.DataFrame, holdout: pl.DataFrame | None) -> pl.DataFrame | None:
    """The usable part of the hold-out that was labelled before the first answer was, in its order; None where there is none."""
    if holdout is None:
        return None
    first: datetime = rows["label_at"].min()  # type: ignore[assignment]
    usable = holdout.filter(USABLE & (pl.col("label_at") < first)).sort(ORDER)
    return usable if usable.height else None


def _begin(
    recipe: Recipe,
    rows: pl.DataFrame,
    learnt: Sequence[tuple[int, int]],
    *,
    answers: Answers,
    before: pl.DataFrame | None,
    standing: Held | None,
) -> Held | None:
    """Learn what is usual from the first labels, and take in all; None where these tell of too few days. learnt: as `learnt_from` gives them.

    standing: what knows the first of them already, if something does; it is asked as it stands, and taken in no second time.
    """
    rows = _with_groups(rows, answers, recipe)
    whole = rows if before is None else pl.concat([before.select(rows.columns), rows])
    if standing is not None:
        learnt = [each for each in learnt if each[0] >= standing.learnt]
    held = None
    for (some, _), following in zip(learnt, (*learnt[1:], None), strict=True):
        first = whole[:some]
        if first["at"].dt.date().n_unique() < SMALLEST_BLOCKS:
            continue
        if standing is not None and standing.learnt == some:
            held = standing
        else:
            held = _learn(recipe, first)
            if before is not None:
                held.feed(before.gather_every(_stride(held.learnt)), recipe)
        if following is None:
            break
        until = _last(whole[: following[1]])
        held.take(rows.filter(pl.col("label_at").is_between(held.mark, until, closed="right")), recipe)
        if held.has_changed(after=_last(first), until=until):
            held.settled = True
            break
    if held is not None:
        held.take(rows.filter(pl.col("label_at") > held.mark), recipe)
    return held


def _learn(recipe: Recipe, first: pl.DataFrame) -> Held:
    """Folds that know what is usual in these rows, and have taken in none."""
    rows, learnt = first.gather_every(_stride(first.height)), first.height
    days = max((rows["at"].max() - rows["at"].min()).total_seconds() / 86400, 1.0)  # type: ignore[operator,union-attr]
    usual, edges = learn(_losses(rows, recipe)), band_edges(rows["score"].to_numpy())
    budget = WALKS * max(LEAST_BUDGET, rows.height / days * recipe.false_page_days)
    return Held(
        rows=0,
        mark=BEGINNING,
        fingerprint=0,
        learnt=learnt,
        losses=ConceptFold(usual, budget_labels=budget),
        rates=ConceptFold(replace(learn(_rates(rows, edges)), largest=1.0), budget_labels=budget),
        edges=edges,
        shares={
            f"{name}={value}": rows.filter(pl.col(name) == value).height / rows.height for name, value in usual.watched
        },
    )


def _stride(learnt: int) -> int:
    return 1 << max(0, (learnt // MOST_LABELS).bit_length())


def _losses(rows: pl.DataFrame, recipe: Recipe) -> Losses:
    return losses_of(
        above_expected(rows["label"].to_numpy(), rows["score"].to_numpy()),
        at=_times(rows["at"]),
        label_at=_times(rows["label_at"]),
        groups={name: rows[name].to_numpy() for name in recipe.slices if name in rows.columns},
    )


def _rates(rows: pl.DataFrame, edges: Floats) -> Losses:
    return losses_of(
        off_by(rows["label"].to_numpy(), rows["score"].to_numpy()),
        at=_times(rows["at"]),
        label_at=_times(rows["label_at"]),
        groups={COLUMN: bands(rows["score"].to_numpy(), edges)},
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
