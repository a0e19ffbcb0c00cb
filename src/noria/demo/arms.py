"""The three rules that Noria's loop is measured against: frozen, and blind monthly retraining on recent or on all data. Called by demo/story.

They use the loop's rows and features, and the first candidate of its recipe; they see a label only once it has arrived. A cached step a model.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from noria.app.workspace import Workspace
from noria.demo.prepare import BEGIN, END
from noria.domain.ids import Digest
from noria.domain.pipeline import StepResult
from noria.domain.policy import TrainingWindow
from noria.loop.context import Recipe
from noria.loop.training import declared, fit, known_only, probabilities
from noria.packaging.environment import capture, digest
from noria.pipeline.declare import Pipeline, as_step, pipeline
from noria.pipeline.run import Input, run_pipeline
from noria.wire.tables import open_table

ZONE = "America/New_York"
ARMS = ("frozen", "blind_recent", "blind_all")
RECENT_MONTHS = 2
JANUARY, FEBRUARY = datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 2, 1, 5, tzinfo=UTC)


def months(end: datetime = END) -> list[tuple[str, datetime, datetime]]:
    """The months from March on in New York, up to `end`: name, first moment, first moment after it, in UTC. The last may be a part of one."""
    starts = pl.datetime_range(datetime(2013, 3, 1), datetime(2014, 1, 1), "1mo", time_zone=ZONE, eager=True)
    edges: list[datetime] = starts.dt.convert_time_zone("UTC").to_list()
    whole = [(f"2013-{n:02d}", a, b) for n, (a, b) in enumerate(pairwise(edges), start=3)]
    return [(name, first, min(last, end)) for name, first, last in whole if first < end]


def learner(recipe: Recipe) -> str:
    """The candidate that all three use: the first that the recipe names."""
    return recipe.policy.candidates[0]


def answers(
    year: pl.DataFrame, recipe: Recipe, *, known_by: str, since: str, begin: str, end: str
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Step: fit the fixed learner on labels known by then, and answer the flights from begin to end, in their order."""
    moment = datetime.fromisoformat(known_by)
    labelled = year.filter(pl.col("label").is_not_null() & (pl.col("known_at") <= moment))
    labelled = known_only(labelled, recipe, known_by=moment)
    window = TrainingWindow(choice="all", since=datetime.fromisoformat(since), until=moment, known_by=moment)
    estimator, _ = fit(labelled, window, recipe.candidates[learner(recipe)], recipe)
    first, last = datetime.fromisoformat(begin), datetime.fromisoformat(end)
    return probabilities(estimator, year.filter(pl.col("at").is_between(first, last, closed="left")), recipe)


def arms_pipeline(end: datetime) -> Pipeline:
    """One step a model: the winter's, and two a month from April on."""
    one = as_step(answers)
    starts = [JANUARY, FEBRUARY, *(start for _, start, _ in months(end))]
    everything = JANUARY.isoformat()
    steps = [
        one.named("winter", known_by=BEGIN.isoformat(), since=everything, begin=BEGIN.isoformat(), end=end.isoformat())
    ]
    for position, (name, first, last) in enumerate(months(end)):
        if position:
            answering = {"known_by": first.isoformat(), "begin": first.isoformat(), "end": last.isoformat()}
            recent = starts[position + 2 - RECENT_MONTHS].isoformat()
            steps.append(one.named(f"blind_recent-{name}", needs=None, since=recent, **answering))
            steps.append(one.named(f"blind_all-{name}", needs=None, since=everything, **answering))
    return pipeline("flights-arms", *steps)


def run_arms(
    recipe: Recipe, workspace: Workspace, year: Digest, *, end: datetime, on_step: Callable[[StepResult], None]
) -> Mapping[str, Mapping[str, np.ndarray[Any, Any]]]:
    """Probabilities by arm and month, in the order of the year's rows. March is answered by the winter model in all three."""

    @cache
    def rows() -> pl.DataFrame:
        return open_table(workspace.tables.read(year))

    done = run_pipeline(
        arms_pipeline(end),
        inputs={"year": Input(digest=year, load=rows), "recipe": Input(digest=declared(recipe), load=lambda: recipe)},
        journal=workspace.journal,
        blobs=workspace.blobs,
        executor=workspace.executor,
        clock=workspace.clock,
        holder=f"{workspace.project}-arms",
        environment=digest(capture()),
        on_step=on_step,
    )
    winter = np.asarray(done["winter"])
    asked = rows()["at"].filter(rows()["at"].is_between(BEGIN, end, closed="left"))
    frozen = {name: winter[mask] for name, mask in _masks(asked, end)}
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {"frozen": frozen, "blind_recent": {}, "blind_all": {}}
    for name, _, _ in months(end):
        for arm in ARMS[1:]:
            found[arm][name] = frozen[name] if name == months()[0][0] else np.asarray(done[f"{arm}-{name}"])
    return found


def _masks(at: pl.Series, end: datetime) -> Iterator[tuple[str, Any]]:
    for name, first, last in months(end):
        yield name, at.is_between(first, last, closed="left").to_numpy()
