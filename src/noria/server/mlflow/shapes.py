"""What requests and answers about runs are made of, as msgspec structs, and how Noria's nouns become them. Reading and refusing is wire and checks.

A field that is UNSET, or an empty list, is left out of an answer, as protobuf leaves out what is not set. Called by the nouns' files.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from noria.domain.run import DatasetUse, Metric, Run, RunStatus
from noria.server.mlflow.locations import uri_of
from noria.server.mlflow.wire import Int64, Number, number, to_ms

RUN_NAME = "mlflow.runName"
PARENT = "mlflow.parentRunId"
CONTEXT = "mlflow.data.context"
STATUS: dict[str, RunStatus] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
NUMBERED: tuple[RunStatus, ...] = ("running", "scheduled", "finished", "failed", "killed")
"""The statuses by their numbers in the protocol, from 1."""
WORDS = {ours: theirs for theirs, ours in STATUS.items()}


class KeyValue(msgspec.Struct):
    """A tag or a param."""

    key: str = ""
    value: str = ""


class Point(msgspec.Struct, omit_defaults=True):
    """A point of a series."""

    key: str | None = None
    value: Number | None = None
    timestamp: Int64 | UnsetType = UNSET
    step: Int64 | UnsetType = UNSET
    dataset_name: str | UnsetType = UNSET
    dataset_digest: str | UnsetType = UNSET
    model_id: str | UnsetType = UNSET
    run_id: str | UnsetType = UNSET


class DatasetShape(msgspec.Struct, omit_defaults=True):
    """A dataset as its user describes it."""

    name: str | None = None
    digest: str | None = None
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None


class DatasetInput(msgspec.Struct, omit_defaults=True):
    """A dataset that a run read, and what for."""

    dataset: DatasetShape | None = None
    tags: list[KeyValue] = []


class ModelInput(msgspec.Struct):
    """A logged model that a run read."""

    model_id: str = ""


class ModelOutput(msgspec.Struct):
    """A logged model that a run brought forth."""

    model_id: str = ""
    step: Int64 = 0


class RunInfo(msgspec.Struct):
    """What a run is."""

    run_id: str
    run_uuid: str
    run_name: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int
    artifact_uri: str
    lifecycle_stage: str
    end_time: int | UnsetType = UNSET


class RunData(msgspec.Struct, omit_defaults=True):
    """What came out of it."""

    metrics: list[Point] = []
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class RunInputs(msgspec.Struct, omit_defaults=True):
    """What it read."""

    dataset_inputs: list[DatasetInput] = []
    model_inputs: list[ModelInput] = []


class RunOutputs(msgspec.Struct, omit_defaults=True):
    """What it brought forth."""

    model_outputs: list[ModelOutput] = []


class RunShape(msgspec.Struct):
    """A run, whole."""

    info: RunInfo
    data: RunData
    inputs: RunInputs
    outputs: RunOutputs


class RunAnswer(msgspec.Struct):
    """One run."""

    run: RunShape


def stage(trashed: bool) -> str:
    """The protocol's word for being in the trash or not."""
    return "deleted" if trashed else "active"


def info_of(run: Run) -> RunInfo:
    """What a run is, in the protocol's words."""
    return RunInfo(
        run_id=run.id,
        run_uuid=run.id,
        run_name=run.name,
        experiment_id=run.experiment_id,
        user_id=run.user,
        status=WORDS[run.status],
        start_time=to_ms(run.started_at),
        artifact_uri=home_of(run.artifact_root, f"/{run.id}/artifacts"),
        lifecycle_stage=stage(run.trashed_at is not None),
        end_time=UNSET if run.finished_at is None else to_ms(run.finished_at),
    )


def home_of(root: str, suffix: str) -> str:
    """Where files are, as clients know it: a location with a query keeps it at its end.

    >>> home_of("s3://bucket/x?a=1/7/artifacts", "/7/artifacts")
    's3://bucket/x/7/artifacts?a=1'
    """
    uri = uri_of(root)
    if "?" not in uri:
        return uri
    base, _, query = uri.removesuffix(suffix).partition("?")
    return f"{base.rstrip('/')}{suffix}?{query}"


def shape_of(run: Run, points: Sequence[Metric]) -> RunShape:
    """A run in the protocol's words. points: the last of each series."""
    return RunShape(
        info=info_of(run),
        data=RunData(
            metrics=[point_of(point) for point in points],
            params=[KeyValue(key, str(value)) for key, value in run.params.items()],
            tags=pairs(tags_of(run)),
        ),
        inputs=RunInputs(
            dataset_inputs=[input_of(use) for use in run.inputs],
            model_inputs=[ModelInput(link.model_id) for link in run.models_in],
        ),
        outputs=RunOutputs(model_outputs=[ModelOutput(link.model_id, link.step) for link in run.models_out]),
    )


def tags_of(run: Run) -> dict[str, str]:
    """A run's tags, with those by which MLflow's clients know its name and its parent."""
    tags = dict(run.tags)
    tags[RUN_NAME] = run.name
    if run.parent is not None:
        tags.setdefault(PARENT, run.parent)
    return tags


def pairs(tags: Mapping[str, str]) -> list[KeyValue]:
    """Tags as a list."""
    return [KeyValue(key, value) for key, value in tags.items()]


def mapping(items: Iterable[KeyValue]) -> dict[str, str]:
    """A list of tags or params by key; the last of two counts."""
    return {item.key: item.value for item in items}


def point_of(point: Metric, run_id: str | UnsetType = UNSET) -> Point:
    """A point in the protocol's words."""
    subject = point.subject
    return Point(
        key=point.key,
        value=number(point.value),
        timestamp=to_ms(point.at),
        step=point.step,
        run_id=run_id,
        model_id=UNSET if subject is None else subject.model_id,
        dataset_name=UNSET if subject is None or not subject.dataset else subject.dataset,
        dataset_digest=UNSET if subject is None or not subject.dataset_digest else subject.dataset_digest,
    )


def input_of(use: DatasetUse) -> DatasetInput:
    """A dataset in the protocol's words."""
    return DatasetInput(
        dataset=DatasetShape(
            name=use.name,
            digest=use.digest,
            source_type=use.source_type,
            source=use.source,
            schema=use.schema or None,
            profile=use.profile or None,
        ),
        tags=pairs(use.tags),
    )
