"""Trained models: what a run brought forth, before anybody registers it as a version of something. Registering is registry/."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import ExperimentId, RunId, TrainedModelId
from noria.domain.run import Metric

TrainedStatus = Literal["pending", "ready", "failed"]


class TrainedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted model with its own params, tags and measurements. kind: what its maker calls its type ('' if nothing was said).

    metrics: every measurement of it, by whichever run; Metric.subject says on which dataset. artifact_root: as in Run.
    """

    id: TrainedModelId
    experiment_id: ExperimentId
    name: str
    run_id: RunId | None = None
    kind: str = ""
    status: TrainedStatus = "pending"
    status_message: str = ""
    created_at: datetime
    updated_at: datetime
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: tuple["Measurement", ...] = ()
    artifact_root: str = ""
    trashed_at: datetime | None = None


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of a trained model: the point, and the run that measured it."""

    run_id: RunId
    point: Metric
