"""The demo's result: log loss, AUC and calibration error by month for four ways of running a model. Pure. Called by demo/story.

All four are scored on the same flights: those whose label arrived. A cancelled flight is predicted and never scored.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import polars as pl

from noria.demo.arms import ARMS, months
from noria.errors import Conflict
from noria.stats.metrics import auc, calibration_error, log_loss

NORIA = "noria"
ALL = (*ARMS, NORIA)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How well the answers were, over n labelled flights. log_loss in nats; calibration_error over 15 bins of equal mass."""

    log_loss: float
    auc: float
    calibration_error: float
    n: int


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """One month of all four."""

    month: str
    frozen: Score
    blind_recent: Score
    blind_all: Score
    noria: Score


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """March to December of all four."""

    frozen: Score
    blind_recent: Score
    blind_all: Score
    noria: Score


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What `noria demo --json` prints. retrainings: challengers trained by each way; refusals, rollbacks, alerts: of Noria's loop.

    timings: seconds by part. example_prediction: an id to ask `noria why` about.
    """

    deployment: str
    year: Year
    months: tuple[Month, ...]
    retrainings: dict[str, int]
    refusals: int
    rollbacks: int
    promotions: int
    alerts: int
    predictions: int
    timings: dict[str, float]
    example_prediction: str
    peak_memory_mb: float


def score(labels: Any, p: Any) -> Score:
    """Score one set of answers."""
    return Score(
        log_loss=log_loss(labels, p), auc=auc(labels, p), calibration_error=calibration_error(labels, p), n=len(labels)
    )


def by_month(
    asked: pl.DataFrame,
    served: pl.DataFrame,
    arms: Mapping[str, Mapping[str, np.ndarray[Any, Any]]],
    *,
    output: str,
    end: datetime,
) -> tuple[Year, tuple[Month, ...]]:
    """Score all four. asked: the year's rows in order, with at and label. served: the joined prediction log.

    Raises Conflict when the log does not hold exactly one answer for each labelled flight: then the comparison would be of different flights.
    """
    rows = asked.with_columns(index=pl.int_range(pl.len()))
    log = served.select(
        "prediction_id", pl.col("label").alias("logged"), pl.col(f"out.{output}").cast(pl.Float64).alias(NORIA)
    )
    joined = rows.join(log, on="prediction_id", how="left", maintain_order="left")
    labelled = joined["label"].is_not_null()
    if (
        joined.height != rows.height
        or joined.filter(labelled)[NORIA].null_count()
        or not _agree(joined.filter(labelled))
    ):
        missing = joined.filter(labelled)[NORIA].null_count()
        raise Conflict(
            f"the prediction log does not answer each flight once: {missing} are missing", remedy="noria demo --fresh"
        )
    monthly, pooled = [], []
    for name, first, last in months(end):
        part = joined.filter(pl.col("at").is_between(first, last, closed="left"))
        known = part["label"].is_not_null().to_numpy()
        labels = part["label"].to_numpy()[known]
        answers = {arm: arms[arm][name][known] for arm in ARMS} | {NORIA: part[NORIA].to_numpy()[known]}
        monthly.append(Month(month=name, **{arm: score(labels, p) for arm, p in answers.items()}))
        pooled.append((labels, answers))
    labels = np.concatenate([part for part, _ in pooled])
    year = Year(**{arm: score(labels, np.concatenate([answers[arm] for _, answers in pooled])) for arm in ALL})
    return year, tuple(monthly)


def _agree(labelled: pl.DataFrame) -> bool:
    """Whether the labels that the log joined are those of the data."""
    return bool((labelled["label"] == labelled["logged"]).all())
