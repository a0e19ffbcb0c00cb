"""Measure how evidence comes for a deployment, and tell what a rollout can show before it starts. The simulation is serving/outlook.

Called by stages/rollout, and by app/ for whoever asks before deploying.
"""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from noria.domain.deployment import Deployment, Outlook, Rollout
from noria.errors import NoriaError
from noria.loop.context import Context
from noria.loop.stages.rollout_facts import Watched, losses, watched_of
from noria.loop.stages.rollout_scores import scored_by_both
from noria.serving.outlook import Pace, outlook
from noria.wire.tables import open_table

LOOKED_AT = timedelta(days=14)
LATE_LABELS = timedelta(days=60)
"""So far back it looks where most answers of those days have no label yet."""
SCORED_ROWS = 2000
ASSUMED_SPREAD = 0.6
"""Standard deviation of a log loss where no label has come yet: that of most useful binary models lies between 0.4 and 0.8."""


def outlook_of(context: Context, deployment: Deployment, *, now: datetime) -> Outlook | None:
    """What the rollout that this generation begins can show, by how labels came in the last fourteen days; None without a rollout.

    deployment: may be one that is not written yet (serving/rollout.begin). What cannot be measured (a bundle that is away) is no reason not to
    begin: its note says so.
    """
    rollout = deployment.rollout
    if rollout is None or deployment.variant("challenger") is None:
        return None
    try:
        return _told(context, deployment, rollout, now=now)
    except NoriaError as error:
        if error.retryable:
            raise
        note = f"not known before it starts: {error.headline()}"
        days = rollout.plan.maximum_days
        return Outlook(effect=0.0, power=0.0, labels=0, days=days, labels_per_day=0.0, note=note)


def _told(context: Context, deployment: Deployment, rollout: Rollout, *, now: datetime) -> Outlook:
    watched = watched_of(context, deployment)
    paired = rollout.plan.paired or rollout.plan.mode == "shadow"
    rows = _recent(context, watched, now - LOOKED_AT, now, inputs=paired)
    if rows["label"].null_count() > rows.height / 2:
        rows = _recent(context, watched, now - LATE_LABELS, now, inputs=paired)
    if rows.height == 0:
        return outlook(rollout.plan, Pace(labels_per_day=0.0, requests_per_day=0.0, spread=ASSUMED_SPREAD))
    began: datetime = rows["at"].min()  # type: ignore[assignment]
    days = max((now - began) / timedelta(days=1), 1 / 24)
    labelled = rows.filter(pl.col("label").is_not_null() & pl.col("score").is_not_null())
    lost = losses(labelled["label"].cast(pl.Float64).to_numpy(), labelled["score"].cast(pl.Float64).to_numpy())
    delay = (labelled["label_at"] - labelled["at"]).dt.total_seconds().clip(0).median() if labelled.height else 0.0
    # Labels of before the window's answers are not seen, so the first ones count from when they could have come.
    counted = max(days - float(delay or 0.0) / 86400, min(days, 1.0))  # type: ignore[arg-type]
    spread = None
    if paired and labelled.height:
        both = scored_by_both(context, deployment, rollout, labelled.tail(SCORED_ROWS), watched)
        labels = both["label"].cast(pl.Float64).to_numpy()
        found = losses(labels, both["challenger"].to_numpy()) - losses(labels, both["champion"].to_numpy())
        spread = float(found.std()) if found.size > 1 else None
    pace = Pace(
        labels_per_day=labelled.height / counted,
        requests_per_day=rows.filter(pl.col("row") == 0).height / days,
        spread=float(np.std(lost)) if lost.size > 1 else ASSUMED_SPREAD,
        pair_spread=spread,
        delay_days=float(delay or 0.0) / 86400,  # type: ignore[arg-type]
    )
    return outlook(rollout.plan, pace)


def _recent(context: Context, watched: Watched, since: datetime, now: datetime, *, inputs: bool) -> pl.DataFrame:
    output = f"out.{watched.output}"
    wanted = ["prediction_id", "at", "row", "redacted", "label", "label_at", output]
    wanted += [f"in.{name}" for name in watched.features] if inputs else []
    found = open_table(
        context.predictions.joined(watched.deployment, known_by=now, since=since, until=now, columns=wanted)
    )
    return found.rename({output: "score"}) if output in found.columns else found.clear().with_columns(score=None)
