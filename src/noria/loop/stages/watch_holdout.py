"""The answers to a champion's held-back rows, as the beginning of its labelled answers: a fresh one has a past at once. Called by watch_quality.

They are the rehearsal's, which learnt a little less than the model that answers; without them a champion that came when the world had just turned
would take the new world for the usual one.
"""

from collections import OrderedDict
from threading import Lock
from typing import Any

import msgspec
import polars as pl

from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.ids import Digest
from noria.errors import NotFound
from noria.loop.context import Context, Recipe
from noria.loop.held import held_back
from noria.loop.training import column_of

REMEMBERED = 64
"""Hold-outs that are remembered; some hundred KB each."""

NONE: dict[str, Any] = {
    "at": pl.Datetime("us", "UTC"),
    "label_at": pl.Datetime("us", "UTC"),
    "score": pl.Float64,
    "label": pl.Float64,
}

_known: OrderedDict[tuple[Digest, tuple[str, ...]], pl.DataFrame] = OrderedDict()
_lock = Lock()


def holdout_of(context: Context, recipe: Recipe, champion: Variant) -> pl.DataFrame:
    """Columns at, label_at, score, label and the recipe's slices under their names; no rows for a model that was not trained by the loop."""
    key = (champion.bundle, tuple(recipe.slices))
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    found = _read(context, recipe, champion)
    with _lock:
        _known[key] = found
        while len(_known) > REMEMBERED:
            _known.popitem(last=False)
    return found


def _read(context: Context, recipe: Recipe, champion: Variant) -> pl.DataFrame:
    nothing = pl.DataFrame(schema=NONE | dict.fromkeys(recipe.slices, pl.String))
    try:
        run = context.runs.get(msgspec.json.decode(context.blobs.get(champion.bundle), type=Bundle).run_id)
        held = held_back(run, context)
    except NotFound:
        return nothing
    score = column_of(str(run.params.get("candidate")), str(run.params.get("window")))
    needed = {score, recipe.time, recipe.known, recipe.label, *recipe.slices}
    if not needed <= set(held.columns):
        return nothing  # the recipe has been edited since
    return held.select(
        pl.col(recipe.time).alias("at").cast(NONE["at"]),
        pl.col(recipe.known).alias("label_at").cast(NONE["label_at"]),
        pl.col(score).alias("score").cast(pl.Float64),
        pl.col(recipe.label).alias("label").cast(pl.Float64),
        *(pl.col(name).cast(pl.String).fill_null("") for name in recipe.slices),
    )
