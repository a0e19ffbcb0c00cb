"""Live recorded rows again through the real loop, in a copy that is thrown away: what another recipe would have made of the same days.

Nothing is simulated but the clock: the same wheel trains, gates, rolls out, watches and decides, with labels at the moments at which they came.
Called by app/replaying_fit and by the proof of the loop (benchmarks/loop_proof).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import polars as pl

from noria.app.endpoint import Endpoint
from noria.app.sentences import sentence
from noria.app.settings import Settings, Stores
from noria.app.turn import Loop, declare
from noria.app.workspace import Workspace
from noria.data.snapshot import snapshot
from noria.domain.ids import PredictionId
from noria.domain.ledger import Entry
from noria.domain.pipeline import StepResult
from noria.domain.prediction import GroundTruth
from noria.errors import GateNotPassed
from noria.loop.context import Recipe

REQUEST = "request"
"""Column that says which rows were asked for together."""
STORES = Stores(metadata="memory", blobs="memory", tables="memory", predictions="parquet")


class Relived(NamedTuple):
    """What came of it: the copy's ledger, and each row with `score`, `number` and `variant` of its answer, in the order of time."""

    entries: list[Entry]
    answers: pl.DataFrame


class PastClock:
    """ports.clock.Clock, standing where the past has come to."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        """The moment that is lived again."""
        return self._now

    def move(self, now: datetime) -> None:
        """Move on; never back."""
        self._now = max(self._now, now)


def relive(
    recipe: Recipe,
    learnt: pl.DataFrame,
    rows: pl.DataFrame,
    *,
    begin: datetime,
    end: datetime,
    stroke: timedelta = timedelta(days=1),
    on_stroke: Callable[[datetime], None] = lambda _: None,
    on_step: Callable[[StepResult], None] = lambda _: None,
) -> Relived:
    """Declare at `begin` on what was learnt by then, then answer the rows up to `end`; the loop's clock strikes every `stroke`.

    learnt, rows: columns of the recipe's schema; a row of `rows` whose label never came has null there. rows may have a column `request`: equal
    values were asked for together, in one moment, that of the last of them. The same rows and recipe give the same life.
    Raises GateNotPassed when no first version goes live: then there is nothing to be relived.
    """
    clock = PastClock(begin)
    with (
        TemporaryDirectory(prefix="noria-relive-") as folder,
        Workspace(Settings(project="relive", stores=STORES), Path(folder), clock=clock) as workspace,
    ):
        known = learnt.select(recipe.schema.names())
        base = snapshot(workspace.tables, f"{recipe.deployment}-learnt", known, schema=recipe.schema, at=begin)
        recipe = replace(recipe, base=base.digest, approval="gates")
        loop = Loop(workspace, [recipe], on_step=on_step, tell=False)
        declare(workspace, recipe)
        loop.turn()
        _demand_a_version(workspace, recipe)
        asked = rows.filter(pl.col(recipe.time).is_between(begin, end, closed="left"))
        asked = asked.sort(recipe.time, maintain_order=True)
        endpoint = Endpoint(workspace, recipe.deployment)
        parts, waiting = [], pl.DataFrame()
        try:
            for day in _strokes(begin, end, stroke):
                following = min(day + stroke, end)
                today = asked.filter(pl.col(recipe.time).is_between(day, following, closed="left"))
                answered = _answered(today, recipe, endpoint, clock)
                parts.append(answered)
                endpoint.close()  # a journal that is closed can be compacted, and is not read again at each look
                clock.move(following)
                waiting = _hand_in(pl.concat([waiting, answered], how="diagonal"), recipe, workspace, now=following)
                loop.tick()
                on_stroke(following)
        finally:
            endpoint.close()
        answers = pl.concat([part for part in parts if part.height]) if any(p.height for p in parts) else asked
        return Relived(entries=workspace.ledger.read(limit=1_000_000), answers=answers)


def _strokes(begin: datetime, end: datetime, stroke: timedelta) -> Iterator[datetime]:
    day = begin
    while day < end:
        yield day
        day += stroke


def _demand_a_version(workspace: Workspace, recipe: Recipe) -> None:
    if any(d.name == recipe.deployment for d in workspace.deployments.all()):
        return
    newest = workspace.ledger.latest(limit=1)
    raise GateNotPassed(
        "no first version of the recipe goes live on what was known at the beginning",
        cause=sentence(newest[0].event) if newest else "",
        remedy="begin later (--since), or look at the recipe's gates",
    )


def _answered(today: pl.DataFrame, recipe: Recipe, endpoint: Endpoint, clock: PastClock) -> pl.DataFrame:
    """The rows of one stroke with their answers, asked request by request."""
    if today.height == 0:
        return today
    today = today if REQUEST in today.columns else today.with_columns(pl.col(recipe.time).alias(REQUEST))
    scores: list[float] = []
    numbers: list[int] = []
    variants: list[str] = []
    ids: list[str] = []
    ordered = today.partition_by(REQUEST, maintain_order=True)
    for part in ordered:
        clock.move(part[recipe.time][-1])
        answer = endpoint.predict(part.select(recipe.features).to_dict(as_series=False), key=str(part[REQUEST][0]))
        scores += [float(str(value)) for value in answer.outputs[recipe.output]]
        numbers += [answer.number] * part.height
        variants += [answer.variant] * part.height
        ids += answer.ids
    return pl.concat(ordered).with_columns(
        score=pl.Series(scores, dtype=pl.Float64),
        number=pl.Series(numbers, dtype=pl.Int64),
        variant=pl.Series(variants, dtype=pl.String),
        prediction_id=pl.Series(ids, dtype=pl.String),
    )


def _hand_in(waiting: pl.DataFrame, recipe: Recipe, workspace: Workspace, *, now: datetime) -> pl.DataFrame:
    """Hand in the labels that are known by now; gives the rows that still wait for theirs."""
    if waiting.height == 0:
        return waiting
    labelled = waiting.filter(pl.col(recipe.label).is_not_null())
    there = labelled.filter(pl.col(recipe.known) <= now)
    truths = [
        GroundTruth(prediction_id=PredictionId(prediction), value=value, at=known)
        for prediction, value, known in there.select("prediction_id", recipe.label, recipe.known).iter_rows()
    ]
    workspace.predictions.add_labels(recipe.deployment, truths)
    return labelled.filter(pl.col(recipe.known) > now)
