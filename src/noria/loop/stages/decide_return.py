"""Whether the world that came back is one that a former champion knows: then that is tried again, and nothing is trained. Called by stages/decide.

It goes the way of every version: a rollout beside the champion, and a verdict. Nothing of the policy's budget is spent.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from noria.domain import events as e
from noria.domain.interval import Interval
from noria.domain.policy import RetrainHistory
from noria.errors import Conflict, NotFound
from noria.loop.context import Context, Recipe
from noria.loop.held import columns_of
from noria.loop.stages.decide_facts import standing
from noria.loop.stages.decide_sound import unsound_of
from noria.loop.training import as_sent
from noria.packaging.bundle import open_bundle
from noria.registry.packaged import bundle_of
from noria.stats.checks import Floats
from noria.stats.intervals import clustered_interval
from noria.stats.metrics import entropy, row_log_loss
from noria.wire.tables import open_table

FEWEST = 150
"""Labels of the changed world from which on earlier versions are asked."""
MOST = 5_000
EARLIER = 5
"""So many of the newest former champions are asked, each at a confidence that allows for so many."""
LEVEL = 0.99
AT_HOME, SHARE = 0.02, 0.2
"""Loss (nats) beyond what its scores expect up to which a version is at home in a world; and a share of what it gains, for few rows tell roughly."""


def returning(
    context: Context, recipe: Recipe, facts: RetrainHistory, *, now: datetime
) -> e.ModelVersionApproved | None:
    """The approval of a former champion that surely answers the changed world better than the champion, and is at home in it; None if none does.

    Only where the recipe lets versions meet traffic by their gates, nothing is under way or wrong with the data, and not again after it was tried.
    """
    busy = facts.stopped or facts.rollout_running or facts.in_progress
    since = facts.changed_at
    if not recipe.features:
        return None  # a replay of the ledger alone knows no features, and so can ask no version again
    if busy or recipe.approval != "gates" or since is None or (facts.labels_since_change or 0) < FEWEST:
        return None
    former = _former(context, recipe, since=since)
    rows = _rows(context, recipe, since=since, now=now) if former else pl.DataFrame()
    best = _best(context, recipe, rows, former) if rows.height >= FEWEST else None
    if best is None or unsound_of(context, recipe, since=facts.champion_since, now=now):
        return None
    number, gain = best
    reason = (
        f"the world that version {number} knows is back: on {rows.height} labelled rows since {since:%Y-%m-%d} its log loss differs from the "
        f"champion's by {gain.value:+.4f} ({LEVEL:.0%} CI {gain.low:+.4f}..{gain.high:+.4f}); it passed its gates before, and is tried again"
    )
    return e.ModelVersionApproved(
        deployment=recipe.deployment, model=recipe.model, number=number, by="noria", reason=reason
    )


def _best(context: Context, recipe: Recipe, rows: pl.DataFrame, former: Sequence[int]) -> tuple[int, Interval] | None:
    """The former champion that answers these rows best, if one is surely better than the champion and at home; with its difference."""
    current = standing(context, recipe.deployment)
    champion = current.variant("champion") if current is not None else None
    if champion is None:
        return None
    now_lost, _ = _losses(context, recipe, rows, champion.number)
    found: list[tuple[float, int, Interval]] = []
    for number in former:
        try:
            lost, excess = _losses(context, recipe, rows, number)
        except (Conflict, NotFound):
            continue  # it is not packaged, or gone
        gain = _mean(lost - now_lost, rows)
        if number != champion.number and gain.high < 0 and excess <= AT_HOME - gain.value * SHARE:
            found.append((gain.value, number, gain))
    if not found:
        return None
    _, number, gain = min(found, key=lambda each: each[0])
    return number, gain


def _former(context: Context, recipe: Recipe, *, since: datetime) -> list[int]:
    """Former champions, the newest first, but for those that were let in since then."""
    kinds = ("RolloutPromoted", "RolloutStarted")
    found: dict[int, None] = {}
    tried: set[int] = set()
    for entry in context.ledger.latest(limit=10_000, kinds=kinds):
        event = entry.event
        if isinstance(event, e.RolloutPromoted) and event.deployment == recipe.deployment:
            found.setdefault(event.number)
            tried |= {event.number} if entry.at >= since else set()
        elif isinstance(event, e.RolloutStarted) and event.deployment == recipe.deployment and entry.at >= since:
            tried.add(event.rollout.challenger)
    return [number for number in found if number not in tried][: EARLIER + 1]


def _rows(context: Context, recipe: Recipe, *, since: datetime, now: datetime) -> pl.DataFrame:
    """Labelled rows of the changed world, with inputs as they were sent, under the recipe's names."""
    wanted = ["at", "label", "redacted", *(f"in.{name}" for name in recipe.features)]
    joined = open_table(
        context.predictions.joined(recipe.deployment, known_by=now, since=since, until=now, columns=wanted)
    )
    if not {"label", "redacted"} <= set(joined.columns):
        return pl.DataFrame()
    rows = as_sent(joined.filter(pl.col("label").is_in([0.0, 1.0])), recipe).tail(MOST)
    return rows.select("at", "label", *(pl.col(f"in.{name}").alias(name) for name in recipe.features))


def _losses(context: Context, recipe: Recipe, rows: pl.DataFrame, number: int) -> tuple[Floats, float]:
    """What a version would have lost on each row, and how far that is beyond what its own scores expect, in the mean."""
    bundle = bundle_of(context.models.get(recipe.model, number))
    opened = open_bundle(bundle, blobs=context.blobs, cache=context.home / "cache", flavors=context.flavors)
    answers = opened.predictor.predict(columns_of(rows, recipe))
    p = np.asarray(answers[recipe.output], dtype=np.float64).reshape(-1)
    lost = row_log_loss(rows["label"].to_numpy(), p)
    return lost, float((lost - entropy(p)).mean())


def _mean(values: Floats, rows: pl.DataFrame) -> Interval:
    """The mean over quarters of days: rows of one resemble each other."""
    blocks = rows["at"].dt.truncate("6h").rank("dense").to_numpy()
    mean = float(values.mean())
    if np.unique(blocks).size < 2:
        return Interval(value=mean, low=-np.inf, high=np.inf, n=values.size, level=LEVEL)
    return clustered_interval(mean, values - mean, blocks, level=LEVEL)
