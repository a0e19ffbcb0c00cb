"""Look once a week at inputs that are texts and no categories: are they those that the champion learnt from? Called by stages/watch.

The rows of a week and of a training stay what they are, so what a look says stands until the next. Embeddings are no column of a recipe's schema;
`noria errors --texts` compares those of any logged model.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from noria.domain.deployment import Variant
from noria.domain.profile import ReferenceProfile
from noria.errors import EmptySample, NotFound
from noria.loop.context import Context, Recipe
from noria.loop.stages.watch_groups import WEEK, week_end
from noria.loop.training import as_sent
from noria.monitoring.alert import Report
from noria.monitoring.text import MOST_ROWS, Contrast, contrast, is_prose
from noria.monitoring.text_alert import may_be_prose, text_report, threshold_of
from noria.ports.predictions import PredictionLog
from noria.wire.tables import open_table

FEWEST = timedelta(days=3)
"""So long a champion must have answered within the week."""

REMEMBERED = 256

_said: WeakKeyDictionary[PredictionLog, OrderedDict[tuple[object, ...], tuple[Contrast, ...]]] = WeakKeyDictionary()
_lock = Lock()


def texts_of(
    context: Context,
    recipe: Recipe,
    champion: Variant,
    profile: ReferenceProfile,
    *,
    since: datetime,
    now: datetime,
    harmful: bool,
) -> Report:
    """What the newest settled week says of the recipe's texts; nothing where there are none or the champion is too new."""
    columns = may_be_prose(profile, recipe.features)
    end = week_end(now)
    begin = max(since, end - WEEK)
    if not columns or end - begin < FEWEST:
        return Report()
    key = (recipe.deployment, champion.number, begin, end, tuple(columns))
    with _lock:
        known = _said.setdefault(context.predictions, OrderedDict())
        found = known.get(key)
    if found is None:
        found = _look(context, recipe, champion, columns, begin=begin, end=end)
        with _lock:
            known[key] = found
            while len(known) > REMEMBERED:
                known.popitem(last=False)
    if not found:
        return Report()
    days = recipe.false_page_days
    threshold = threshold_of(days=days, looked_at_s=WEEK.total_seconds(), columns=len(found))
    return text_report(found, threshold=threshold, harmful=harmful, deployment=recipe.deployment, days=days)


def _look(
    context: Context, recipe: Recipe, champion: Variant, columns: Sequence[str], *, begin: datetime, end: datetime
) -> tuple[Contrast, ...]:
    learnt = _learnt(context, recipe, champion, columns)
    prose = [name for name in columns if name in learnt.columns and is_prose(learnt[name].to_numpy())]
    if not prose:
        return ()
    wanted = ["number", "at", "prediction_id", "redacted", *(f"in.{name}" for name in prose)]
    served = open_table(context.predictions.scan(recipe.deployment, since=begin, until=end, columns=wanted))
    rows = as_sent(served.filter(pl.col("number") == champion.number), recipe)
    found = []
    for name in prose:
        if f"in.{name}" not in rows.columns:
            continue  # no longer sent: that is monitoring/data_quality's to tell
        try:
            found.append(
                contrast(
                    name,
                    learnt[name].to_numpy(),
                    rows[f"in.{name}"].to_numpy(),
                    days=_days(learnt[recipe.time]),
                    days_now=_days(rows["at"]),
                    ids=rows["prediction_id"].to_list(),
                    seed=recipe.seed,
                )
            )
        except EmptySample:
            continue  # too few rows in this week to compare: nothing is said, and what stands stays
    return tuple(found)


def _learnt(context: Context, recipe: Recipe, champion: Variant, columns: Sequence[str]) -> pl.DataFrame:
    """The newest of the rows that the champion learnt from, oldest first; empty where they are gone."""
    try:
        learnt_in = context.models.get(recipe.model, champion.number).run_id
        datasets = context.runs.get(learnt_in).datasets if learnt_in is not None else ()
        if not datasets:
            return pl.DataFrame()
        held = open_table(context.tables.read(datasets[0], columns=[recipe.time, *columns]))
    except NotFound:
        return pl.DataFrame()
    return held.sort(recipe.time, maintain_order=True).tail(4 * MOST_ROWS)


def _days(at: pl.Series) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return (at.dt.epoch("s") // 86400).to_numpy().astype(np.int64)
