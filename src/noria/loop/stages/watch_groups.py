"""Look once a week at the groups that a recipe names: is one worse than its scores expect, is one treated too differently? Called by stages/watch.

The rows of a week's look and the labels known a day after its end are the same whenever it is repeated, so what it says stands until the next.
"""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from noria.domain.alert import AlertKind
from noria.domain.deployment import Variant
from noria.errors import EmptySample, InputInvalid
from noria.loop.context import Context, Recipe
from noria.loop.training import as_sent
from noria.monitoring.alert import Report
from noria.monitoring.errors import answers_of
from noria.monitoring.fairness import group_fairness
from noria.monitoring.groups_alert import fairness_report, slice_report
from noria.monitoring.quality import SMALLEST_DECAY
from noria.monitoring.slices import find_slices
from noria.ports.predictions import PredictionLog
from noria.wire.tables import open_table

WEEK = timedelta(days=7)
SETTLE = timedelta(days=1)
"""Labels of a bad day often come last, so a week is looked at a day after its end."""

LONGEST = timedelta(days=28)
FEWEST_DAYS = 7
MOST_ROWS = 50_000
REMEMBERED = 256

_Reports = dict[AlertKind, Report]
_said: WeakKeyDictionary[PredictionLog, OrderedDict[tuple[object, ...], _Reports]] = WeakKeyDictionary()
_lock = Lock()


def groups_of(
    context: Context, recipe: Recipe, champion: Variant, *, since: datetime, now: datetime
) -> dict[AlertKind, Report]:
    """What the newest settled week says of slices and fairness; nothing where a recipe names no groups or the champion is too new."""
    end = week_end(now)
    begin = max(since, end - LONGEST)
    if not (recipe.slices or recipe.groups) or end - begin < timedelta(days=FEWEST_DAYS):
        return {}
    key = (recipe.deployment, champion.number, begin, end, recipe.slices, recipe.groups, recipe.allowed_gap)
    with _lock:
        known = _said.setdefault(context.predictions, OrderedDict())
        if key in known:
            known.move_to_end(key)
            return known[key]
    found = _look(context, recipe, champion, begin=begin, end=end)
    with _lock:
        known[key] = found
        while len(known) > REMEMBERED:
            known.popitem(last=False)
    return found


def week_end(now: datetime) -> datetime:
    """The newest Monday, 00:00 UTC, that is at least a day ago."""
    settled = (now - SETTLE).astimezone(UTC)
    midnight = settled.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=midnight.weekday())


def _look(context: Context, recipe: Recipe, champion: Variant, *, begin: datetime, end: datetime) -> _Reports:
    named = list(dict.fromkeys([*recipe.slices, *(part for group in recipe.groups for part in group.split("+"))]))
    output = f"out.{recipe.output}"
    wanted = ["number", "at", "label", "redacted", output, *(f"in.{name}" for name in named)]
    joined = open_table(
        context.predictions.joined(recipe.deployment, known_by=end + SETTLE, since=begin, until=end, columns=wanted)
    )
    rows = as_sent(joined.filter(pl.col("number") == champion.number), recipe)
    rows = rows.filter(pl.col(output).is_between(0.0, 1.0))
    if rows.height > MOST_ROWS:
        rows = rows[np.linspace(0, rows.height - 1, MOST_ROWS).astype(np.int64)]
    if not rows.height:
        return {}
    level = max(0.95, 1 - WEEK / timedelta(days=recipe.false_page_days))
    found: _Reports = {}
    known = rows["label"].is_in([0.0, 1.0]).fill_null(value=False).to_numpy()
    days = rows["at"].dt.epoch("s").to_numpy() // 86400
    answers = answers_of(np.where(known, rows["label"].fill_null(0.0).to_numpy(), 0.0), rows[output].to_numpy())
    columns = {name: rows[f"in.{name}"].to_numpy() for name in named}
    if recipe.slices:
        try:
            sliced = {name: columns[name][known] for name in recipe.slices}
            excess = answers.measure("excess")[known]
            search = find_slices(sliced, excess, blocks=days[known], level=level, least=SMALLEST_DECAY).search
            found["slice"] = slice_report(search, deployment=recipe.deployment, days=recipe.false_page_days)
        except (EmptySample, InputInvalid):
            pass  # too few labelled rows for groups: nothing is said, and what stands stays
    compared = []
    for group in recipe.groups:
        try:
            report = group_fairness(
                answers, columns, by=group, known=known, blocks=days, allowed=recipe.allowed_gap, level=level
            )
        except EmptySample:
            continue
        compared.append(report)
    if compared:
        found["fairness"] = fairness_report(compared, deployment=recipe.deployment, days=recipe.false_page_days)
    return found
