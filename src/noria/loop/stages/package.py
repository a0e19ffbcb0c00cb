"""Package the trained candidate: convert it behind a parity check, with its signature, profile and environment. Follows RunFinished."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np
import polars as pl

from noria.domain import events as e
from noria.domain.ids import Digest
from noria.domain.ledger import Entry
from noria.domain.model import Signature
from noria.domain.profile import ReferenceProfile
from noria.loop.context import Context, Estimator, Recipe
from noria.loop.held import MODEL, columns_of, days_of, held_back, left_by
from noria.loop.training import column_of, probabilities
from noria.monitoring.profile import build_profile
from noria.packaging.bundle import build
from noria.packaging.environment import needed_by
from noria.packaging.signature import infer_signature
from noria.ports.flavor import Columns
from noria.wire.canonical import canonical
from noria.wire.tables import open_table

PARITY_ROWS = 2000


def package(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """RunFinished -> BundleBuilt."""
    event = entry.event
    assert isinstance(event, e.RunFinished)
    recipe = context.recipe(event.deployment)
    run = context.runs.get(event.run_id)
    model = cast(Estimator, left_by(run, MODEL, context))
    held = held_back(run, context)
    rows = open_table(context.tables.read(event.datasets[0]))
    rows = rows.filter(pl.col(recipe.time) >= event.window.since)
    # Every k-th row: the parity sample runs over the whole window, so that each season and each category that is common is in it.
    sample = rows.gather_every(max(1, rows.height // PARITY_ROWS))
    answers = probabilities(model, sample, recipe).astype(np.float32)
    columns = columns_of(sample, recipe)
    profile = _profile(rows, held, event, recipe)
    built = build(
        model,
        name=recipe.model,
        run_id=event.run_id,
        signature=_signature(columns, answers, recipe),
        sample=columns,
        blobs=context.blobs,
        flavors=context.flavors,
        environment=needed_by(model),
        created_at=event.window.known_by,
        profile=Digest(context.blobs.put(canonical(profile))),
    )
    parity = built.bundle.parity
    return [
        e.BundleBuilt(
            deployment=event.deployment,
            model=event.model,
            run_id=event.run_id,
            bundle=built.digest,
            flavor=built.bundle.flavor,
            converted=built.bundle.flavor == "onnx",
            parity=parity.max_difference if parity else None,
            note=built.note,
        )
    ]


def _signature(columns: Columns, answers: "np.ndarray[Any, np.dtype[np.float32]]", recipe: Recipe) -> Signature:
    """As the sample shows it, but what may be missing is what the schema lets be missing: a sample need not hold each gap."""
    found = infer_signature(columns, {recipe.output: answers})
    nullable = {column.name for column in recipe.schema.columns if column.nullable}
    inputs = tuple(msgspec.structs.replace(f, nullable=f.nullable or f.name in nullable) for f in found.inputs)
    return msgspec.structs.replace(found, inputs=inputs)


def _profile(rows: pl.DataFrame, held: pl.DataFrame, event: e.RunFinished, recipe: Recipe) -> ReferenceProfile:
    """Inputs of the whole window; scores and losses of the held-back days, which the scoring model had not seen."""
    return build_profile(
        columns_of(rows, recipe),
        held[column_of(event.candidate, event.window.choice)].to_numpy(),
        labels=held[recipe.label].to_numpy(),
        blocks=days_of(rows, recipe),
        score_blocks=days_of(held, recipe),
        since=event.window.since,
        until=event.window.until,
        at=rows[recipe.time].dt.timestamp("us").to_numpy(),
    )
