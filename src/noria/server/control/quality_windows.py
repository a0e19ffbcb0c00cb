"""Quality of a deployment in stretches of equally many answers: realised, estimated while labels are missing, the estimates' record, how labels come.

The figures are monitoring/quality_history's; months without intervals are quality.py's. Called by app.py.
"""

import threading
import time
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from noria.app.workspace import Workspace
from noria.domain.deployment import Deployment
from noria.domain.quality import QualityHistory, Task
from noria.errors import ExtraMissing, NotFound
from noria.server.control.deployments import find
from noria.server.control.quality import score_of

HELD_S = 30.0
MOST_ROWS = 500_000
"""Only so many of the newest answers are looked at."""


class QualityPage(msgspec.Struct, frozen=True, kw_only=True):
    """One version's quality over time. output: the model's output that was scored. good, bad: what people said; it is no part of quality."""

    deployment: str
    number: int
    output: str
    as_of: datetime
    history: QualityHistory | None
    good: int
    bad: int
    note: str = ""


class Windows:
    """Pages by deployment, generation and count, computed one at a time and held for `held_s` seconds of the machine's clock."""

    def __init__(self, *, held_s: float = HELD_S) -> None:
        self._held_s = held_s
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int, int], tuple[float, QualityPage]] = {}

    def of(self, workspace: Workspace, deployment: Deployment, count: int) -> QualityPage:
        """The champion's page with so many windows."""
        key = (deployment.name, deployment.generation, count)
        with self._lock:
            when, kept = self._kept.get(key, (0.0, None))
            if kept is None or time.monotonic() - when > self._held_s:
                kept = page(workspace, deployment, count)
                self._kept = {k: v for k, v in self._kept.items() if k[0] != deployment.name}
                self._kept[key] = (time.monotonic(), kept)
        return kept


@get("/api/v1/deployments/{name:str}/quality/windows", sync_to_thread=True, tags=["deployments"])
def read_windows(
    workspace: NamedDependency[Workspace],
    windows: NamedDependency[Windows],
    name: FromPath[str],
    count: Annotated[int, QueryParameter(ge=1, le=60)] = 12,
) -> QualityPage:
    """The champion's quality in windows of equally many answers, each metric with its interval: realised where labels are, estimated where not,
    with how earlier estimates turned out, and how labels come. Kept for half a minute.
    """
    return windows.of(workspace, find(workspace, name), count)


def page(workspace: Workspace, deployment: Deployment, count: int) -> QualityPage:
    """Read the newest answers of the champion and judge them."""
    from noria.monitoring.quality_history import history, served_of, stretches

    now = workspace.clock.now()
    champion = deployment.variant("champion")
    words = [word.good for word in workspace.predictions.feedback(deployment.name)]
    blank = QualityPage(
        deployment=deployment.name,
        number=champion.number if champion else 0,
        output="",
        as_of=now,
        history=None,
        good=words.count(True),
        bad=words.count(False),
    )
    output, columns = _output(workspace, deployment)
    if champion is None or not output:
        return msgspec.structs.replace(blank, note="the model has no numeric output to score")
    frame = _frame(workspace, deployment.name, columns, number=champion.number, now=now)
    if frame is None:
        return msgspec.structs.replace(blank, output=output, note="this version has answered nothing yet")
    task: Task = "multiclass" if len(columns) > 1 else _task(workspace, champion.model, champion.number, output, frame)
    if task == "regression":
        frame = _frame(workspace, deployment.name, columns, number=champion.number, now=now, inputs=True)
    happened, note = _happened(frame["label"], len(columns))
    served = served_of(
        task,
        at=_times(frame["at"]),
        happened=happened,
        said=frame.select(columns).to_numpy() if len(columns) > 1 else frame[columns[0]].to_numpy(),
        label_at=_times(frame["label_at"]),
        features={c.removeprefix("in."): frame[c].to_numpy() for c in frame.columns if c.startswith("in.")},
    )
    edges = stretches(served, count=count, until=now)
    if len(edges) < 2:
        return msgspec.structs.replace(blank, output=output, note=f"too few answers for {count} windows")
    found = history(served, edges=edges, known_by=now)
    return msgspec.structs.replace(blank, output=output, history=found, note=note)


def _output(workspace: Workspace, deployment: Deployment) -> tuple[str, list[str]]:
    """The output that is scored and its columns in the log: one of probabilities or quantities, else one with a probability for each class."""
    output = score_of(workspace, deployment)
    if output:
        return output, [f"out.{output}"]
    champion = deployment.variant("champion")
    try:
        signature = workspace.models.get(champion.model, champion.number).signature if champion else None
    except NotFound:
        signature = None
    for field in signature.outputs if signature else ():
        if field.datatype in ("FP32", "FP64") and field.width > 1:
            return field.name, [f"out.{field.name}.{place}" for place in range(field.width)]
    return "", []


def _frame(
    workspace: Workspace, name: str, columns: list[str], *, number: int, now: datetime, inputs: bool = False
) -> Any:
    try:
        import polars as pl
    except ModuleNotFoundError as exc:
        raise ExtraMissing("reading the prediction log needs polars", remedy="pip install 'noria[data]'") from exc
    wanted = None if inputs else ["number", "at", "label", "label_at", *columns]
    frame = pl.DataFrame(workspace.predictions.joined(name, known_by=now, until=now, columns=wanted))
    if not set(columns) <= set(frame.columns) or frame.is_empty():
        return None
    scores = [pl.col(column).cast(pl.Float64) for column in columns]
    finite = [score.is_finite() for score in scores]
    kept = frame.with_columns(scores).filter(pl.col("number") == number, *finite).tail(MOST_ROWS)
    return kept if kept.height else None


def _happened(labels: Any, classes: int) -> tuple[Any, str]:
    """The labels, without those that are no class of several."""
    if classes == 1:
        return labels.to_numpy(), ""
    odd = labels.is_not_null() & ~labels.is_in([float(place) for place in range(classes)])
    note = f"{odd.sum():,} labels are no class (0 to {classes - 1}) and are not scored" if odd.any() else ""
    return labels.set(odd, None).to_numpy(), note


def _task(workspace: Workspace, model: str, number: int, output: str, frame: Any) -> Task:
    """Two classes if every answer is a probability and every label 0 or 1 (or the output is called so before there are labels)."""
    labels, answers = frame["label"].drop_nulls(), frame[f"out.{output}"]
    within = answers.is_between(0.0, 1.0).all()
    if labels.len():
        return "binary" if within and labels.is_in([0.0, 1.0]).all() else "regression"
    try:
        signature = workspace.models.get(model, number).signature
    except NotFound:
        signature = None
    named = signature is not None and any(field.name == "probability" for field in signature.outputs)
    return "binary" if within and named else "regression"


def _times(at: Any) -> Any:
    return at.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
