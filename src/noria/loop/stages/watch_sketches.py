"""Sketch the numbers of each day that is over, and of its hours where these hold enough rows. Called by stages/watch after counting.

A window whose rows changed since (something came late) is sketched again. Nothing is decided by sketches.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl

from noria.domain.deployment import Variant
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.domain.sketch import WindowSketches
from noria.loop.context import Context, Recipe
from noria.monitoring.sketch import is_due, merge_sketches, sketch_window
from noria.monitoring.tiers import DAY, HOUR, oldest_kept
from noria.wire.tables import open_table

WORTH_HOURS = 200
"""Rows of an hour below which the day's sketch alone will do: it holds most values as they are."""
MOST_ROWS = 200_000


def sketch_served(
    context: Context,
    recipe: Recipe,
    champion: Variant,
    profile: ReferenceProfile,
    counted: Sequence[WindowCounts],
    *,
    now: datetime,
) -> None:
    """Sketch the champion's windows that are over. counted: what this look counted (`count_served`): late rows change days of long ago."""
    today = datetime(now.year, now.month, now.day, tzinfo=UTC)
    days = {today, today - timedelta(days=1)}
    for window in counted:
        if window.number == champion.number:
            days.add(datetime(window.since.year, window.since.month, window.since.day, tzinfo=UTC))
    made = [each for day in sorted(days) for each in _sketch_day(context, recipe, champion.number, profile, day, now)]
    context.counts.put_sketches(made)


def _sketch_day(
    context: Context, recipe: Recipe, number: int, profile: ReferenceProfile, day: datetime, now: datetime
) -> list[WindowSketches]:
    name, counts, ends = recipe.deployment, context.counts, day + timedelta(days=1)
    over = ends <= now
    held = {s.since: s for s in counts.sketches(name, number, since=day, until=day + timedelta(seconds=1), step=DAY)}
    (whole,) = counts.windows(name, number, since=day, until=day + timedelta(seconds=1), step=DAY) or (None,)
    if whole is None or (over and not is_due(whole, held.get(day), now=now)):
        return []
    hours = counts.windows(name, number, since=day, until=ends, step=HOUR)
    if day < oldest_kept(HOUR, now) or max((w.rows for w in hours), default=0) < WORTH_HOURS:
        return [_read(context, recipe, profile, whole)] if over else []
    done = {s.since: s for s in counts.sketches(name, number, since=day, until=ends, step=HOUR)}
    made = [_read(context, recipe, profile, w) for w in hours if is_due(w, done.get(w.since), now=now)]
    done |= {each.since: each for each in made}
    if over:
        made.append(merge_sketches(list(done.values()), window=whole))
    return made


def _read(context: Context, recipe: Recipe, profile: ReferenceProfile, window: WindowCounts) -> WindowSketches:
    """The sketches of one window from the log, in pieces that fit into memory."""
    since, until = window.since, window.since + timedelta(seconds=window.step)
    pieces = 1 + window.rows // MOST_ROWS
    edges = [since + (until - since) * i / pieces for i in range(pieces + 1)]
    numbers = [f.name for f in profile.features if f.kind == "number" and f.name in recipe.features]
    output = f"out.{recipe.output}"
    columns = ["number", *(f"in.{name}" for name in numbers), output]
    parts = []
    for low, high in pairwise(edges):
        log = context.predictions.scan(recipe.deployment, since=low, until=high, columns=columns)
        rows = open_table(log).filter(pl.col("number") == window.number)
        parts.append(
            sketch_window(
                profile,
                {name: rows[f"in.{name}"].to_numpy() for name in numbers if f"in.{name}" in rows.columns},
                rows[output].to_numpy() if output in rows.columns else None,
                window=window,
            )
        )
    return parts[0] if len(parts) == 1 else merge_sketches(parts, window=window)
