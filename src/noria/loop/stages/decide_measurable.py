"""Whether gates could judge a challenger by the rows that a training would hold back now: if not, it would be refused for sure. Called by decide."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from noria.domain.gate import Gate
from noria.domain.policy import RetrainHistory, Unsound
from noria.loop.context import Context, Recipe
from noria.loop.training import Known, blocks_of, cut_of, labelled_rows

SLICED = ("worst_slice", "group_gap")
FEWEST_BLOCKS = 2


def unmeasured(
    context: Context, recipe: Recipe, facts: RetrainHistory, unsound: Sequence[Unsound], *, now: datetime
) -> str:
    """The gates that would find no slice with rows enough, in words; '' where all can be measured.

    Where data arrive as versions of the base table, nothing is said: the version that a training will learn from is not known yet.
    """
    gates = [gate for gate in recipe.gates if gate.kind in SLICED and gate.slice_by in recipe.schema.names()]
    if not gates or any(rule.kind == "new_data" for rule in recipe.triggers):
        return ""
    usual = now - timedelta(days=recipe.policy.backtest_days)
    since = usual if facts.changed_at is None else min(usual, facts.changed_at)
    columns = dict.fromkeys((recipe.time, recipe.known, recipe.label, *(str(gate.slice_by) for gate in gates)))
    rows = labelled_rows(
        recipe,
        context.tables,
        context.predictions,
        known_by=now,
        unsound=unsound,
        since=since,
        columns=tuple(columns),
    )
    cut = cut_of(
        rows, recipe, until=now, known=Known(changed_at=facts.changed_at, taught_until=facts.champion_taught_until)
    )
    held = rows.filter(pl.col(recipe.time) >= cut)
    said = [text for gate in gates if (text := _lacking(gate, held, recipe))]
    return (
        f"{'; '.join(said)}: held back would be the {held.height} rows since {cut:%Y-%m-%d %H:%M} UTC" if said else ""
    )


def _lacking(gate: Gate, held: pl.DataFrame, recipe: Recipe) -> str:
    """What a gate lacks on these rows."""
    if held.height:
        rows = pl.DataFrame({"value": held[str(gate.slice_by)], "block": blocks_of(held, recipe)})
        sizes = rows.group_by("value").agg(rows=pl.len(), blocks=pl.col("block").n_unique())
        if sizes.filter((pl.col("rows") >= gate.minimum_rows) & (pl.col("blocks") >= FEWEST_BLOCKS)).height:
            return ""
        most = int(sizes["rows"].max())  # type: ignore[arg-type]
    else:
        most = 0
    return f"gate {gate.name!r} needs {gate.minimum_rows} rows of one {gate.slice_by!r}, and the largest has {most}"
