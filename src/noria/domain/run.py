"""Runs: what was tried, with which parameters, and what came out. Recording is tracking/."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest, EventId, ExperimentId, RunId, TrainedModelId

RunStatus = Literal["scheduled", "running", "finished", "failed", "killed"]
ParamValue = str | int | float | bool | None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a metric measures besides its run: a trained model, on a dataset (by its name and digest) if one was named."""

    model_id: TrainedModelId
    dataset: str = ""
    dataset_digest: str = ""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measured point of a series. step: position in the training (0 when there is none). NaN and infinities are kept."""

    key: str
    value: float
    step: int = 0
    at: datetime
    subject: Subject | None = None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a series as a chart draws it. low, high: its lowest and highest point, NaN left aside (None if there is nothing else).

    Peaks are never lost: low and high are points of the series, at their own steps.
    """

    count: int
    first: Metric
    last: Metric
    low: Metric | None
    high: Metric | None
    nans: int = 0


class SeriesHead(msgspec.Struct, frozen=True, kw_only=True):
    """One series of a run: how many points, and the last."""

    key: str
    count: int
    last: Metric


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that belongs to a run."""

    path: str
    digest: Digest
    size: int


class DatasetUse(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that a run read, as whoever recorded it describes it. Noria's own dataset versions are `Run.datasets`, by digest.

    schema, profile: JSON texts of the recorder's own form. tags: what for ('context': 'training').
    """

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""
    tags: dict[str, str] = {}


class ModelLink(msgspec.Struct, frozen=True, kw_only=True):
    """A trained model that a run read or brought forth. step: of the training, for what was brought forth."""

    model_id: TrainedModelId
    step: int = 0


class CodeVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Which code ran: commit and whether the tree was dirty (None outside a repository), and a digest of the sources themselves."""

    digest: Digest
    commit: str | None = None
    dirty: bool | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution that is worth remembering. The metrics here are the last value of each series.

    experiment: its name now; experiment_id: filled by the store. user: who started it. artifact_root: where its files are, `<experiment id>/<run
    id>/artifacts` in this store's artifacts, or a URI outside that only clients open; filled by the store. trashed_at: in the trash since then.
    """

    id: RunId
    experiment: str
    name: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    params: dict[str, ParamValue] = {}
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    artifacts: tuple[Artifact, ...] = ()
    datasets: tuple[Digest, ...] = ()
    seed: int | None = None
    code: CodeVersion | None = None
    environment: Digest | None = None
    parent: RunId | None = None
    cause: EventId | None = None
    error: str = ""
    experiment_id: ExperimentId = ExperimentId("")
    user: str = ""
    artifact_root: str = ""
    inputs: tuple[DatasetUse, ...] = ()
    models_in: tuple[ModelLink, ...] = ()
    models_out: tuple[ModelLink, ...] = ()
    trashed_at: datetime | None = None


class RunBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged to a run at once: all of it, or none."""

    run_id: RunId
    metrics: Sequence[Metric] = ()
    params: dict[str, ParamValue] = {}
    tags: dict[str, str] = {}


class RunKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Every key that the runs of some experiments use, sorted: what a table can show and a search can ask for."""

    metrics: list[str]
    params: list[str]
    tags: list[str]
