"""Predictions and labels over HTTP: the newest ones, one explained, and outcomes on their way in. Recording is serving/record. Called by app.py."""

from datetime import datetime, timedelta
from math import isfinite
from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from noria.app.workspace import Workspace
from noria.domain.ids import PredictionId
from noria.domain.prediction import GroundTruth, LabelReceipt
from noria.errors import ExtraMissing, LabelInvalid
from noria.server.control.deployments import find
from noria.server.control.views import LabelIn, LabelsIn, PredictionRow, PredictionsView

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
    """Take outcomes in. Repeats are counted, contradicting and unknown ones kept aside; the answer says what became of each kind."""
    find(workspace, name)
    now = workspace.clock.now()
    return workspace.predictions.add_labels(name, [_truth(label, now) for label in data.labels])


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
    if not isfinite(label.value):
        raise LabelInvalid(
            f"the label of {label.prediction_id!r} is {label.value}", cause="an outcome is a finite number"
        )
    if label.at is not None and label.at.tzinfo is None:
        raise LabelInvalid(
            f"the label of {label.prediction_id!r} has a time without a zone", remedy="send it as 2013-03-01T12:00:00Z"
        )
    return GroundTruth(
        prediction_id=PredictionId(label.prediction_id),
        value=label.value,
        at=label.at or now,
        source=label.source,
        corrects=label.corrects,
    )
