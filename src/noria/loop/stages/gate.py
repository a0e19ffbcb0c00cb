"""Hold the challenger to its gates, on the held-back days, with the champion's answers beside its own. Follows BundleBuilt."""

import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
import polars as pl

from noria.data.validate import describe
from noria.domain import events as e
from noria.domain.gate import DataContract
from noria.domain.ids import Digest
from noria.domain.interval import Interval
from noria.domain.ledger import Entry
from noria.errors import NotFound
from noria.evaluation.gates import judge
from noria.evaluation.sample import Sample
from noria.loop.context import Context, Recipe
from noria.loop.held import columns_of, held_back
from noria.loop.training import blocks_of, column_of
from noria.packaging.bundle import open_bundle
from noria.stats.intervals import quantile_interval

TIMED_REQUESTS = 400


def gate(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """BundleBuilt -> GatesPassed or GatesFailed."""
    event = entry.event
    assert isinstance(event, e.BundleBuilt)
    recipe = context.recipe(event.deployment)
    trained = context.ledger.get(entry.cause).event if entry.cause else None
    assert isinstance(trained, e.RunFinished)
    held = held_back(context.runs.get(event.run_id), context)
    sample = Sample(
        y=held[recipe.label].to_numpy(),
        p=held[column_of(trained.candidate, trained.window.choice)].to_numpy(),
        champion_p=_champion_answers(held, recipe, context),
        block=blocks_of(held, recipe),
        slices={name: held[name].to_numpy() for name in recipe.slices},
    )
    report = judge(
        recipe.gates,
        sample,
        latency=_latency(event.bundle, held, recipe, context),
        contract=_contract(trained, recipe, context),
    )
    kind = e.GatesPassed if report.passed else e.GatesFailed
    return [
        kind(deployment=event.deployment, model=event.model, run_id=event.run_id, bundle=event.bundle, report=report)
    ]


def _champion_answers(
    held: pl.DataFrame, recipe: Recipe, context: Context
) -> "np.ndarray[Any, np.dtype[np.float64]] | None":
    """What the version in production says of the same rows; None while there is none."""
    try:
        champion = context.deployments.get(recipe.deployment).variant("champion")
    except NotFound:
        return None
    assert champion is not None
    opened = open_bundle(champion.bundle, blobs=context.blobs, cache=context.home / "cache", flavors=context.flavors)
    answers = opened.predictor.predict(columns_of(held, recipe))
    return np.asarray(answers[recipe.output], dtype=np.float64).reshape(-1)


def _contract(trained: e.RunFinished, recipe: Recipe, context: Context) -> DataContract:
    """What the training rows were, as their version tells, against what the recipe asks of them."""
    version = context.tables.version(trained.datasets[0])
    asked = {column.name: column.dtype for column in recipe.schema.columns}
    found = {column.name: column.dtype for column in version.schema.columns}
    report = version.expectations
    results = report.results if report is not None else ()
    broken = [x for x in results if not x.passed]
    return DataContract(
        rows=report.rows if report is not None else version.rows,
        broken=max([report.quarantined if report is not None else 0, *(x.failed for x in broken)]),
        expectations=len(results),
        differences=tuple(
            f"column {name!r} is {found.get(name, 'not there')}, not {asked.get(name, 'expected')}"
            for name in (*asked, *(name for name in found if name not in asked))
            if asked.get(name) != found.get(name)
        ),
        failed=tuple(f"{describe(x.expectation)!r} fails for {x.failed} rows" for x in broken),
        refused=report is not None and not report.passed,
    )


def _latency(bundle: Digest, held: pl.DataFrame, recipe: Recipe, context: Context) -> Interval:
    """99th percentile of the CPU time of answering one row, in milliseconds, on the bundle as it will be served.

    CPU and not wall time: what else this machine does while a gate is judged says nothing about the model.
    """
    opened = open_bundle(bundle, blobs=context.blobs, cache=context.home / "cache", flavors=context.flavors)
    rows = columns_of(held.head(TIMED_REQUESTS), recipe)
    held_rows = len(next(iter(rows.values())))
    singles = [{name: values[i : i + 1] for name, values in rows.items()} for i in range(held_rows)]
    opened.predictor.predict(singles[0])
    taken = []
    # A tail needs some hundred requests whatever the number of held-back rows: few rows are asked again.
    for one in islice(cycle(singles), TIMED_REQUESTS):
        begun = time.thread_time_ns()
        opened.predictor.predict(one)
        taken.append((time.thread_time_ns() - begun) / 1e6)
    return quantile_interval(taken, 0.99)
