"""Judge the labelled answers of the champion. Called by stages/watch."""

from datetime import datetime

import polars as pl

from noria.domain.deployment import Variant
from noria.domain.profile import ReferenceProfile
from noria.loop.context import Context, Recipe
from noria.monitoring.quality import Decay, daily, decay
from noria.wire.tables import open_table


def decay_of(
    context: Context, recipe: Recipe, champion: Variant, profile: ReferenceProfile, *, since: datetime, now: datetime
) -> Decay:
    output = f"out.{recipe.output}"
    joined = open_table(
        context.predictions.joined(
            recipe.deployment, known_by=now, since=since, until=now, columns=["number", "at", "label", output]
        )
    )
    rows = joined.filter((pl.col("number") == champion.number) & pl.col("label").is_not_null())
    days = (
        daily(
            rows["label"].to_numpy(),
            rows[output].to_numpy(),
            at=rows["at"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]"),
            known_by=now,
        )
        if rows.height
        else []
    )
    return decay(profile, days, budget_days=max(2, round(recipe.false_page_days)))
