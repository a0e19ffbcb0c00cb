"""What is logged to a run: points, params, tags, batches of them, and the model history of old clients. The hot path: one pass, one write.

Called by app through ROUTES.
"""

import json
from array import array
from typing import Any

import msgspec

from noria.domain.ids import RunId, TrainedModelId
from noria.domain.run import RunBatch, Subject
from noria.errors import AlreadyExists
from noria.server.mlflow import checks, wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.runs import active_run, find_run, run_writable
from noria.server.mlflow.shapes import RUN_NAME, tags_of
from noria.server.mlflow.wire import (
    LAST_MS,
    Check,
    Form,
    Int64,
    Unmet,
    floatlike,
    intlike,
    microseconds,
    required,
    string,
)
from noria.wire.metrics import MetricColumns

HISTORY = "mlflow.log-model.history"


class LogMetric(msgspec.Struct):
    """What runs/log-metric takes."""

    run_id: str | None = None
    run_uuid: str | None = None
    key: str | None = None
    value: float | None = None
    timestamp: Int64 | None = None
    step: Int64 | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class LogParam(msgspec.Struct):
    """What log-parameter, set-tag and delete-tag take."""

    run_id: str | None = None
    run_uuid: str | None = None
    key: str | None = None
    value: str | None = None


class BatchPoint(msgspec.Struct):
    """A point of a batch."""

    key: str | None = None
    value: float | None = None
    timestamp: Int64 | None = None
    step: Int64 | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    model_id: str | None = None


class BatchPair(msgspec.Struct):
    """A param or tag of a batch."""

    key: str | None = None
    value: str | None = None


class LogBatch(msgspec.Struct):
    """What runs/log-batch takes."""

    run_id: str | None = None
    metrics: list[BatchPoint] | None = None
    params: list[BatchPair] | None = None
    tags: list[BatchPair] | None = None


class LogModel(msgspec.Struct):
    """What runs/log-model takes, from clients before MLflow 3."""

    run_id: str | None = None
    model_json: str | None = None


def _whole(name: str, *fields: str) -> Check:
    """Every item of a list has these fields."""

    def check(items: Any) -> None:
        for index, item in enumerate(items):
            for field in fields:
                value = item.get(field) if isinstance(item, dict) else getattr(item, field, None)
                if value is None or value == "":
                    raise Unmet(f"Missing value for required parameter '{name}[{index}].{field}'.")

    return check


_point_whole = _whole("metrics", "key", "value", "timestamp")


def _points_whole(items: Any) -> None:
    """The same for points, which come in thousands."""
    whole = [
        True
        for item in items
        if isinstance(item, BatchPoint) and item.key and item.value is not None and item.timestamp is not None
    ]
    if len(whole) != len(items):
        _point_whole(items)


METRIC = Form(
    LogMetric,
    run_id=(required, string),
    key=(required, string),
    value=(required, floatlike),
    timestamp=(intlike, required),
    step=(intlike,),
    model_id=(string,),
    dataset_name=(string,),
    dataset_digest=(string,),
)
PARAM = Form(LogParam, run_id=(required, string), key=(required, string), value=(string,))
DELETE_TAG = Form(LogParam, run_id=(required, string), key=(required, string))
BATCH = Form(
    LogBatch,
    run_id=(string, required),
    metrics=(wire.array, _points_whole),
    params=(wire.array, _whole("params", "key")),
    tags=(wire.array, _whole("tags", "key")),
)
MODEL = Form(LogModel, run_id=(string, required), model_json=(string, required))


def log_metric(request: Request, context: Context) -> None:
    """One point."""
    form = METRIC.read(request)
    run_id = RunId(form.run_id or form.run_uuid or "")
    key, value, timestamp = form.key or "", form.value or 0.0, form.timestamp or 0
    checks.metric(key, value, timestamp)
    subject = _subject(form)
    points = MetricColumns(
        [key],
        None,
        steps=array("q", (form.step or 0,)),
        times=array("q", (microseconds(timestamp),)),
        bits=array("q", array("d", (value,)).tobytes()),
        subjects=None if subject is None else {0: subject},
    )
    with run_writable(context, run_id):
        context.metadata.runs.log_metrics(run_id, points)


def _subject(point: LogMetric | BatchPoint) -> Subject | None:
    """What a point measures besides its run."""
    if not point.model_id:
        return None
    return Subject(
        model_id=TrainedModelId(point.model_id),
        dataset=point.dataset_name or "",
        dataset_digest=point.dataset_digest or "",
    )


def log_param(request: Request, context: Context) -> None:
    """One param; again with the same value it is no error."""
    form = PARAM.read(request)
    key = form.key or ""
    value = checks.param(key, form.value or "")
    _write(context, RunBatch(run_id=RunId(form.run_id or form.run_uuid or ""), params={key: value}), alone=True)


def set_tag(request: Request, context: Context) -> None:
    """One tag; the run's name is one for clients."""
    form = PARAM.read(request)
    run_id, key = RunId(form.run_id or form.run_uuid or ""), form.key or ""
    value = checks.tag(key, form.value or "")
    with run_writable(context, run_id):
        if key != RUN_NAME:
            context.metadata.runs.set_tags(run_id, {key: value})
        elif value:
            context.metadata.runs.amend(run_id, name=value)


def delete_tag(request: Request, context: Context) -> None:
    """Take a tag away. A run keeps its name, whatever becomes of the tag."""
    form = DELETE_TAG.read(request)
    run = active_run(find_run(context, form.run_id or ""))
    key = form.key or ""
    if key not in tags_of(run):
        raise missing(f"No tag with name: {key} in run with id {run.id}")
    with run_writable(context, run.id):
        context.metadata.runs.set_tags(run.id, {key: None})


def log_batch(request: Request, context: Context) -> None:
    """Points, params and tags: all of them or none."""
    form = BATCH.read(request)
    run_id = RunId(checks.run_id(form.run_id or ""))
    points = _points(form.metrics or [])
    params = [
        (one.key or "", checks.param(one.key or "", one.value or "", f"params[{at}]"))
        for at, one in enumerate(form.params or [])
    ]
    tags = [
        (one.key or "", checks.tag(one.key or "", one.value or "", f"tags[{at}]"))
        for at, one in enumerate(form.tags or [])
    ]
    checks.batch_limits(len(points), len(params), len(tags))
    _unique([key for key, _ in params])
    named = dict(tags)
    name = named.pop(RUN_NAME, "")
    _write(context, RunBatch(run_id=run_id, metrics=points, params=dict(params), tags=named), alone=False)
    if name:
        with run_writable(context, run_id):
            context.metadata.runs.amend(run_id, name=name)


def _points(items: list[BatchPoint]) -> MetricColumns:
    """A batch's points as columns, checked a column at a time; only a batch with a fault is walked point by point. Raises Refused."""
    keys = [item.key or "" for item in items]
    times = [item.timestamp or 0 for item in items]
    names = list(dict.fromkeys(keys))
    if (times and not 0 <= min(times) <= max(times) <= LAST_MS) or any(
        len(name) > checks.KEY_LIMIT or checks.fault_of_name(name) for name in names
    ):
        for index, item in enumerate(items):
            path = f"metrics[{index}]"
            checks.metric(keys[index], item.value or 0.0, times[index], path=path)
            microseconds(times[index], f"{path}.timestamp")
    places = {name: number for number, name in enumerate(names)}
    return MetricColumns(
        names,
        None if len(names) < 2 else array("I", map(places.__getitem__, keys)),
        steps=array("q", [item.step or 0 for item in items]),
        times=array("q", [time * 1000 for time in times]),
        bits=array("q", array("d", [item.value or 0.0 for item in items]).tobytes()),
        subjects={index: subject for index, item in enumerate(items) if item.model_id and (subject := _subject(item))},
    )


def _unique(keys: list[str]) -> None:
    """No param is given twice. Raises Refused."""
    twice = [key for at, key in enumerate(keys) if key in keys[:at]]
    if twice:
        raise Refused(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only one "
            "param value per param key."
        )


def _write(context: Context, batch: RunBatch, *, alone: bool) -> None:
    """Write a batch, or say in MLflow's words which params have other values. alone: one param was sent by itself."""
    with run_writable(context, batch.run_id):
        try:
            context.metadata.runs.log(batch)
            return
        except AlreadyExists:
            run = active_run(find_run(context, batch.run_id))
        held = {key: str(value) for key, value in run.params.items()}
        other = [
            {"key": key, "old_value": held[key], "new_value": value}
            for key, value in batch.params.items()
            if key in held and held[key] != value
        ]
        if other and alone:
            raise Refused(
                f"Changing param values is not allowed. Param with key='{other[0]['key']}' was already logged with "
                f"value='{other[0]['old_value']}' for run ID='{run.id}'. Attempted logging new value '{other[0]['new_value']}'."
            )
        if other:
            raise Refused(
                f"Changing param values is not allowed. Params were already logged='{other}' for run ID='{run.id}'."
            )
        # What is held is a number that was written here as text: the same value.
        fresh = {key: value for key, value in batch.params.items() if key not in held}
        context.metadata.runs.log(msgspec.structs.replace(batch, params=fresh))


def log_model(request: Request, context: Context) -> None:
    """What clients before MLflow 3 tell of a model: one more entry of a tag."""
    form = MODEL.read(request)
    try:
        model = json.loads(form.model_json or "")
    except ValueError:
        model = None
    if not isinstance(model, dict):
        raise Refused(f"Malformed model info. \n {form.model_json} \n is not a valid JSON.")
    lacking = {"artifact_path", "flavors", "utc_time_created", "run_id"} - set(model)
    if lacking or not isinstance(model["flavors"], dict):
        raise Refused(f"Model json is missing mandatory fields: {lacking}")
    run = active_run(find_run(context, form.run_id or ""))
    try:
        history = json.loads(run.tags.get(HISTORY, "[]"))
    except ValueError:
        raise Refused(f"The tag {HISTORY} of run {run.id} holds no list of models: it was set by hand.") from None
    with run_writable(context, run.id):
        context.metadata.runs.set_tags(run.id, {HISTORY: json.dumps([*history, _entry(model)])})


def _entry(model: dict[str, Any]) -> dict[str, Any]:
    """What the history keeps of a model: which, when, where, and its flavors without their own configuration."""
    entry: dict[str, Any] = {
        key: model[key] for key in ("run_id", "artifact_path", "utc_time_created", "model_uuid") if key in model
    }
    entry["flavors"] = {
        flavor: {key: value for key, value in config.items() if key != "config"} if isinstance(config, dict) else config
        for flavor, config in dict(model["flavors"]).items()
    }
    return entry


ROUTES = [
    Route("POST", "/mlflow/runs/log-metric", log_metric),
    Route("POST", "/mlflow/runs/log-parameter", log_param),
    Route("POST", "/mlflow/runs/set-tag", set_tag),
    Route("POST", "/mlflow/runs/delete-tag", delete_tag),
    Route("POST", "/mlflow/runs/log-batch", log_batch),
    Route("POST", "/mlflow/runs/log-model", log_model),
]
