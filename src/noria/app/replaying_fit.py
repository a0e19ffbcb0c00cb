"""What the answers would have been under another policy: recorded rows lived again through the real loop, scored beside what was served.

Deciding alone is app/replaying; the copy of the world is app/reliving. Nothing of the project is written. Called by `noria replay`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import polars as pl

from noria.app.reliving import REQUEST, Relived, relive
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.interval import Interval
from noria.domain.ledger import Entry
from noria.domain.policy import Policy
from noria.errors import EmptyTable
from noria.loop.context import Recipe
from noria.loop.training import as_sent, labelled_rows
from noria.stats.intervals import mean_interval
from noria.stats.metrics import row_log_loss
from noria.wire.tables import open_table


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A month, or the whole: mean log loss of the labelled answers as served and as relived, and relived minus served with an interval over days."""

    name: str
    labels: int
    served: float
    relived: float
    difference: Interval


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of the relived loop: what happened, and the reason."""

    at: datetime
    kind: str
    reason: str


class FitReplay(msgspec.Struct, frozen=True, kw_only=True):
    """A policy lived again. retrainings, promotions: after the first version. left_out: logged rows that could not be asked again."""

    deployment: str
    since: datetime
    until: datetime
    policy: Policy
    retrainings: int
    promotions: int
    refused: int
    rolled_back: int
    total: Stretch
    months: tuple[Stretch, ...]
    steps: tuple[Step, ...]
    left_out: int = 0


def replay_fit(
    workspace: Workspace,
    recipe: Recipe,
    policy: Policy,
    *,
    since: datetime,
    until: datetime,
    stroke: timedelta = timedelta(days=1),
    on_stroke: Callable[[datetime], None] = lambda _: None,
) -> FitReplay:
    """Live the logged rows of a deployment again under `policy`, with every training, gate and rollout made for real, and score both.

    The first version is trained on what was known at `since`. Rows that the log was told to redact cannot be asked again, and are left out.
    Raises EmptyTable when the log holds no row that can be asked again, GateNotPassed when no first version goes live on what was known then.
    """
    output = f"out.{recipe.output}"
    asked = [f"in.{name}" for name in recipe.features]
    wanted = ["at", "request_id", "row", "variant", "label", "label_at", "redacted", output, *asked]
    joined = workspace.predictions.joined(
        recipe.deployment, known_by=workspace.clock.now(), since=since, until=until, columns=wanted
    )
    logged = open_table(joined)
    rows = as_sent(logged, recipe).filter(pl.col(output).is_not_null()) if logged.height else logged
    if rows.height == 0:
        raise EmptyTable(
            f"no logged row of {recipe.deployment!r} between {since:%Y-%m-%d} and {until:%Y-%m-%d} can be asked again",
            cause=f"the log holds {logged.height} there, all of them redacted"
            if logged.height
            else "the log holds none",
            remedy="choose another --since or --until",
        )
    learnt = labelled_rows(recipe, workspace.tables, workspace.predictions, known_by=since)
    types = {name: learnt.schema[name] for name in recipe.schema.names()}
    sources = {recipe.time: "at", recipe.known: "label_at", recipe.label: "label"}
    sources |= {name: f"in.{name}" for name in recipe.features}
    again = rows.select(
        *(pl.col(sources[name]).cast(types[name]).alias(name) for name in types),
        pl.col("request_id").alias(REQUEST),
        pl.col(output).cast(pl.Float64).alias("served"),
    )
    lived = relive(
        replace(recipe, policy=policy), learnt, again, begin=since, end=until, stroke=stroke, on_stroke=on_stroke
    )
    return _told(lived, recipe, policy, since=since, until=until, left_out=logged.height - rows.height)


def _told(
    lived: Relived, recipe: Recipe, policy: Policy, *, since: datetime, until: datetime, left_out: int
) -> FitReplay:
    scored = lived.answers.filter(pl.col(recipe.label).is_not_null())
    if scored.height == 0:
        raise EmptyTable("no answer has a label yet", remedy="wait for labels, or replay without --fit")
    month = scored[recipe.time].dt.strftime("%Y-%m").alias("month")
    by_month = [
        _stretch(str(name[0]), part, recipe)
        for name, part in scored.with_columns(month).group_by("month", maintain_order=True)
    ]
    entries = [x for x in lived.entries if not _is_first(x)]

    def number(kind: type) -> int:
        return sum(isinstance(x.event, kind) for x in entries)

    return FitReplay(
        deployment=recipe.deployment,
        since=since,
        until=until,
        policy=policy,
        retrainings=number(e.RetrainRequested),
        promotions=number(e.RolloutPromoted),
        refused=number(e.GatesFailed),
        rolled_back=number(e.RolloutRolledBack),
        total=_stretch("all", scored, recipe),
        months=tuple(by_month),
        steps=tuple(_step(x) for x in entries if isinstance(x.event, e.RetrainRequested | e.RetrainSuppressed)),
        left_out=left_out,
    )


def _is_first(entry: Entry) -> bool:
    """Whether an event belongs to the first version, which every policy trains."""
    event = entry.event
    return (isinstance(event, e.RetrainRequested) and event.trigger == "declared") or (
        isinstance(event, e.RolloutPromoted) and event.previous is None
    )


def _stretch(name: str, rows: pl.DataFrame, recipe: Recipe) -> Stretch:
    labels = rows[recipe.label].to_numpy()
    served = row_log_loss(labels, rows["served"].to_numpy())
    again = row_log_loss(labels, rows["score"].to_numpy())
    days = rows[recipe.time].dt.date().to_numpy()
    return Stretch(
        name=name,
        labels=rows.height,
        served=float(served.mean()),
        relived=float(again.mean()),
        difference=mean_interval(again - served, days),
    )


def _step(entry: Entry) -> Step:
    event = entry.event
    assert isinstance(event, e.RetrainRequested | e.RetrainSuppressed)
    return Step(at=entry.at, kind=type(event).__name__, reason=f"{event.trigger}: {event.reason}")
