"""What a search sees of each noun: a view answers a field with its value, several values, or None. Called by the ports in memory that search."""

from collections.abc import Callable
from datetime import datetime

from noria.adapters.metadata.matching import Value, View, param_text
from noria.domain.experiment import Experiment
from noria.domain.model import ModelVersion, RegisteredModel
from noria.domain.query import Field, Query
from noria.domain.run import Metric, Run
from noria.domain.trained import TrainedModel


def lives(query: Query, trashed_at: datetime | None) -> bool:
    """Whether a query asks for what is, or is not, in the trash."""
    return query.life == "all" or (query.life == "trashed") == (trashed_at is not None)


def run_view(run: Run, metric_of: Callable[[str], float | None]) -> View:
    """Fields of a run. metric_of: the last value of a series, by its key."""

    def view(field: Field) -> Value:
        match field.scope:
            case "metric":
                return metric_of(field.key)
            case "param":
                return run.params.get(field.key)
            case "tag":
                return run.tags.get(field.key)
            case "dataset":
                return _of_datasets(run, field.key)
            case _ if field.key == "text":
                return _texts(run)
            case _:
                return run.id if field.key == "run_id" else _attribute(run, field.key)

    return view


def experiment_view(experiment: Experiment) -> View:
    """Fields of an experiment."""

    def view(field: Field) -> Value:
        if field.scope == "tag":
            return experiment.tags.get(field.key)
        return experiment.id if field.key == "experiment_id" else _attribute(experiment, field.key)

    return view


def trained_view(model: TrainedModel) -> View:
    """Fields of a trained model; a metric has the values of all its measurements on the dataset that the field names, the last one last."""

    def view(field: Field) -> Value:
        match field.scope:
            case "metric":
                return tuple(point.value for point in _measured(model, field))
            case "param":
                return model.params.get(field.key)
            case "tag":
                return model.tags.get(field.key)
            case _:
                return model.id if field.key == "model_id" else _attribute(model, field.key)

    return view


def version_view(version: ModelVersion) -> View:
    """Fields of a version."""

    def view(field: Field) -> Value:
        if field.scope == "tag":
            return version.tags.get(field.key)
        if field.key == "updated_at":
            return version.updated_at or version.created_at
        names = {"name": "model", "version": "number"}
        return _attribute(version, names.get(field.key, field.key))

    return view


def model_view(model: RegisteredModel) -> View:
    """Fields of a registered model."""

    def view(field: Field) -> Value:
        return model.tags.get(field.key) if field.scope == "tag" else _attribute(model, field.key)

    return view


def _of_datasets(run: Run, key: str) -> tuple[str, ...]:
    if key == "context":
        return tuple(use.tags["context"] for use in run.inputs if "context" in use.tags)
    return tuple(use.name if key == "name" else use.digest for use in run.inputs)


def _texts(run: Run) -> tuple[str, ...]:
    """Every text of a run, for a search that names no field: its own, and its params and tags as 'key=value'."""
    params = ((key, param_text(value)) for key, value in run.params.items())
    pairs = [f"{key}={text}" for key, text in (*params, *run.tags.items()) if text is not None]
    return (run.id, run.name, run.experiment, run.user, *pairs)


def _measured(model: TrainedModel, field: Field) -> list[Metric]:
    points = [
        measured.point
        for measured in model.metrics
        if measured.point.key == field.key
        and measured.point.subject is not None
        and field.dataset in ("", measured.point.subject.dataset)
        and field.dataset_digest in ("", measured.point.subject.dataset_digest)
    ]
    return sorted(points, key=lambda point: (point.at, point.step))


def _attribute(noun: object, key: str) -> Value:
    value: Value = getattr(noun, key)
    return value
