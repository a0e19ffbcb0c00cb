"""Predictions and labels over HTTP: the newest ones, one explained, and outcomes on their way in. Recording is serving/record. Called by app.py."""

from datetime import datetime, timedelta
from math import isfinite
from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from noria.app.workspace import Workspace
from noria.domain.ids import PredictionId
from noria.domain.prediction import GroundTruth, KeyedTruth, LabelReceipt
from noria.errors import ExtraMissing, LabelInvalid
from noria.server.control.deployments import find
from noria.server.control.predictions_views import LabelIn, LabelsAside, LabelsIn
from noria.server.control.views import PredictionRow, PredictionsView

LOOK_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=31))
"""How far the newest predictions are looked for, before the whole log is read."""


@get("/api/v1/deployments/{name:str}/predictions", sync_to_thread=True, tags=["predictions"])
def list_predictions(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 50,
) -> PredictionsView:
    """The newest predictions, newest first, by the time when they were asked for."""
    find(workspace, name)
    return PredictionsView(deployment=name, predictions=newest(workspace, name, limit))


@post("/api/v1/deployments/{name:str}/labels", sync_to_thread=True, tags=["predictions"], status_code=200)
def add_labels(workspace: NamedDependency[Workspace], name: FromPath[str], data: JSONBody[LabelsIn]) -> LabelReceipt:
    """Take outcomes in, by prediction or by key and moment. Repeats are counted, contradicting and unknown ones kept aside, outcomes by key wait for
    their prediction; the answer says what became of each kind.
    """
    find(workspace, name)
    now = workspace.clock.now()
    truths = [_truth(label, now) for label in data.labels if not label.key]
    keyed = [_keyed(label, now) for label in data.labels if label.key]
    told = workspace.predictions.add_labels(name, truths) if truths or not keyed else LabelReceipt()
    also = workspace.predictions.add_keyed_labels(name, keyed) if keyed else LabelReceipt()
    return LabelReceipt(
        accepted=told.accepted + also.accepted,
        duplicates=told.duplicates + also.duplicates,
        corrected=told.corrected + also.corrected,
        contradictions=told.contradictions + also.contradictions,
        unknown=told.unknown + also.unknown,
        waiting=also.waiting,
    )


@get("/api/v1/deployments/{name:str}/labels/aside", sync_to_thread=True, tags=["predictions"])
def labels_aside(workspace: NamedDependency[Workspace], name: FromPath[str]) -> LabelsAside:
    """Labels that were kept and do not count: contradicting, of unknown predictions, or waiting for theirs."""
    find(workspace, name)
    log = workspace.predictions
    return LabelsAside(deployment=name, aside=log.labels_aside(name), waiting=log.labels_waiting(name))


def newest(workspace: Workspace, name: str, limit: int) -> list[PredictionRow]:
    """The newest rows of the log, newest first."""
    try:
        import polars as pl
    except ModuleNotFoundError as exc:
        raise ExtraMissing("reading the prediction log needs polars", remedy="pip install 'noria[data]'") from exc
    now = workspace.clock.now()
    frame = pl.DataFrame()
    for since in (*(now - step for step in LOOK_BACK), None):
        frame = pl.DataFrame(workspace.predictions.scan(name, since=since))
        if frame.height >= limit:
            break
    return [_row(row) for row in frame.tail(limit).reverse().iter_rows(named=True)]


def _row(row: dict[str, Any]) -> PredictionRow:
    return PredictionRow(
        prediction_id=row["prediction_id"],
        at=row["at"],
        variant=row["variant"],
        model=row["model"],
        number=row["number"],
        latency_us=row["latency_us"],
        protocol=row["protocol"],
        outputs={column.removeprefix("out."): value for column, value in row.items() if column.startswith("out.")},
        key=row["key"],
    )


def _truth(label: LabelIn, now: datetime) -> GroundTruth:
    if not label.prediction_id:
        raise LabelInvalid(
            "a label names neither a prediction nor a key", remedy="send 'prediction_id', or 'key' and 'about'"
        )
    return GroundTruth(
        prediction_id=PredictionId(label.prediction_id),
        value=_value(label, label.prediction_id),
        at=_zoned(label.at, label.prediction_id) or now,
        source=label.source,
        corrects=label.corrects,
    )


def _keyed(label: LabelIn, now: datetime) -> KeyedTruth:
    about = _zoned(label.about, label.key)
    if label.prediction_id or about is None:
        raise LabelInvalid(
            f"the outcome of key {label.key!r} cannot be placed",
            cause="it names a prediction as well"
            if label.prediction_id
            else "it does not say which moment it is about",
            remedy="send 'key' and 'about', or 'prediction_id'",
        )
    return KeyedTruth(
        key=label.key,
        value=_value(label, label.key),
        about=about,
        at=_zoned(label.at, label.key) or now,
        tolerance_s=label.tolerance_s,
        match=label.match,
        source=label.source,
        corrects=label.corrects,
    )


def _value(label: LabelIn, what: str) -> float:
    if not isfinite(label.value):
        raise LabelInvalid(f"the label of {what!r} is {label.value}", cause="an outcome is a finite number")
    return label.value


def _zoned(at: datetime | None, what: str) -> datetime | None:
    if at is not None and at.tzinfo is None:
        raise LabelInvalid(f"the label of {what!r} has a time without a zone", remedy="send it as 2013-03-01T12:00:00Z")
    return at
