"""What every metadata adapter must decide alike about trained models. Pure.

Runs, experiments and files are rules_runs.py. Called in the adapters' transactions.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from noria.adapters.metadata.rules import micros
from noria.adapters.metadata.rules_runs import (
    active_experiment,
    artifact_root,
    checked_params,
    is_foreign,
    plain,
    point_key,
    with_tags,
)
from noria.domain.experiment import Experiment
from noria.domain.trained import Measurement, TrainedModel, TrainedStatus
from noria.errors import AlreadyExists, InputInvalid, NotFound
from noria.wire.nouns import fingerprint
from noria.wire.paths import checked_path


def new_trained(model: TrainedModel, experiment: Experiment) -> TrainedModel:
    """A trained model as it is kept, without measurements, which runs write. Raises InputInvalid, Conflict."""
    if not model.id:
        raise InputInvalid("a trained model has no id", remedy="use noria.domain.ids.fresh()")
    for text in (model.id, model.name, model.kind, model.status_message):
        plain(text, what=f"trained model '{model.id}'")
    micros(model.created_at, what=f"trained model '{model.id}'")
    micros(model.updated_at, what=f"trained model '{model.id}'")
    if model.metrics or model.trashed_at is not None:
        raise InputInvalid(
            f"trained model '{model.id}' cannot begin with measurements or in the trash",
            remedy="measure it by a run's metrics that have it as their subject",
        )
    root = artifact_root(active_experiment(experiment), model.id, models=True)
    if not is_foreign(root):
        checked_path(root)
    if model.artifact_root not in ("", root):
        raise InputInvalid(
            f"trained model '{model.id}' cannot keep its files at '{model.artifact_root}'",
            cause=f"the store keeps them at '{root}'",
            remedy="leave artifact_root empty",
        )
    checked_params(dict(model.params))
    return replace(model, tags=with_tags({}, dict(model.tags)), artifact_root=root)


def same_trained(made: TrainedModel, model: TrainedModel) -> None:
    """A repeated `create` must bring what the first one brought. Raises AlreadyExists."""
    if fingerprint(model) != fingerprint(made):
        raise began_otherwise(model.id)


def began_otherwise(model_id: str) -> AlreadyExists:
    """What to say when a trained model's id is another one's."""
    return AlreadyExists(
        f"trained model '{model_id}' exists, and it began differently", remedy="give the new one an id of its own"
    )


def missing_trained(model_id: str) -> NotFound:
    """What to say when there is no such trained model, or it is in the trash."""
    return NotFound.of("trained model", model_id)


def finished_trained(model: TrainedModel, *, status: TrainedStatus, at: datetime, message: str) -> TrainedModel:
    """A trained model whose files are there, or will never be. The same again changes nothing. Raises InputInvalid."""
    if status == "pending":
        raise InputInvalid("a trained model cannot end as 'pending'", remedy="use 'ready' or 'failed'")
    micros(at, what="a change")
    plain(message, what=f"the message of trained model '{model.id}'")
    if (model.status, model.status_message) == (status, message):
        return model
    return replace(model, status=status, status_message=message, updated_at=at)


def trained_with_tags(model: TrainedModel, tags: Mapping[str, str | None], *, at: datetime) -> TrainedModel:
    """A trained model with tags set or taken away. Raises InputInvalid."""
    micros(at, what="a change")
    return replace(model, tags=with_tags(model.tags, tags), updated_at=at)


def trained_with_params(model: TrainedModel, params: Mapping[str, str], *, at: datetime) -> TrainedModel:
    """A trained model with more params. Raises AlreadyExists, InputInvalid."""
    micros(at, what="a change")
    checked_params(dict(params))
    for key, value in params.items():
        if model.params.get(key, value) != value:
            raise AlreadyExists(
                f"param '{key}' of trained model '{model.id}' is {model.params[key]!r} and cannot become {value!r}",
                remedy="use a tag for what changes",
            )
    return replace(model, params={**model.params, **params}, updated_at=at)


def trashed_trained(model: TrainedModel, *, at: datetime | None) -> TrainedModel | None:
    """A trained model put into the trash or, at None, taken out of it. None: it is there already."""
    if at is not None:
        micros(at, what="a change")
        return None if model.trashed_at is not None else replace(model, trashed_at=at)
    return None if model.trashed_at is None else replace(model, trashed_at=None)


def measurement_key(measured: Measurement) -> tuple[str, str, str, int, int, int, str]:
    """What makes a measurement one, and the order in which they are given: metric, dataset, point, run."""
    point = measured.point
    dataset, digest = (point.subject.dataset, point.subject.dataset_digest) if point.subject else ("", "")
    return (point.key, dataset, digest, *point_key(point), measured.run_id)
