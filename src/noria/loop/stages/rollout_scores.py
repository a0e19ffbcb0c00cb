"""What both versions of a rollout say to the same logged rows, scored afterwards. Called by stages/rollout_facts.

A row is scored once by a process: what was scored is remembered, bounded, so that a look costs what is new since the last.
"""

from collections import OrderedDict
from threading import Lock
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from noria.domain.deployment import Deployment, Rollout
from noria.domain.ids import Digest
from noria.loop.context import Context, Featured
from noria.loop.held import columns_of
from noria.loop.training import as_sent
from noria.packaging.bundle import open_bundle
from noria.ports.predictions import PredictionLog
from noria.serving.rollout import ROLES

REMEMBERED = 32
"""Rollouts of one log whose scores are remembered; some 50 bytes a row."""
_SCHEMA = {"prediction_id": pl.String, "champion": pl.Float64, "challenger": pl.Float64}

_Known = OrderedDict[tuple[str, Digest, Digest], pl.DataFrame]
_scores: WeakKeyDictionary[PredictionLog, _Known] = WeakKeyDictionary()
_lock = Lock()


class Scored(Featured, Protocol):
    """What is scored: features as inputs, and one output."""

    @property
    def output(self) -> str:
        """Its name."""
        ...


def scored_by_both(
    context: Context, deployment: Deployment, rollout: Rollout, rows: pl.DataFrame, watched: Scored
) -> pl.DataFrame:
    """The rows, in their order, whose inputs the log has as they were sent, with columns `champion` and `challenger` as both versions answer them."""
    rows = as_sent(rows, watched)
    bundles = [variant.bundle for role in ROLES if (variant := deployment.variant(role)) is not None]
    key = (rollout.id, bundles[0], bundles[1])
    with _lock:
        known = _scores.setdefault(context.predictions, OrderedDict()).get(key, pl.DataFrame(schema=_SCHEMA))
    fresh = rows.join(known, on="prediction_id", how="anti", maintain_order="left")
    if fresh.height:
        known = pl.concat([known, _scored(context, fresh, bundles, watched)])
        with _lock:
            held = _scores.setdefault(context.predictions, OrderedDict())
            held[key] = known
            held.move_to_end(key)
            while len(held) > REMEMBERED:
                held.popitem(last=False)
    return rows.join(known, on="prediction_id", how="left", maintain_order="left")


def _scored(context: Context, rows: pl.DataFrame, bundles: list[Digest], watched: Scored) -> pl.DataFrame:
    inputs = columns_of(rows.select([pl.col(f"in.{name}").alias(name) for name in watched.features]), watched)
    said = []
    for bundle in bundles:
        opened = open_bundle(bundle, blobs=context.blobs, cache=context.home / "cache", flavors=context.flavors)
        said.append(np.asarray(opened.predictor.predict(inputs)[watched.output], dtype=np.float64).reshape(-1))
    return pl.DataFrame({"prediction_id": rows["prediction_id"], "champion": said[0], "challenger": said[1]})
