"""Realised quality of a deployment by month: the answers that were given, joined with what really happened. Held for half a minute.

The figures are those of stats/metrics; joining labels is the prediction log's. Called by deployments.py.
"""

import threading
import time
from datetime import datetime
from typing import Any

from noria.app.workspace import Workspace
from noria.domain.deployment import Deployment
from noria.errors import EmptySample, ExtraMissing, NotFound
from noria.server.control.views import MonthQuality, QualityView

HELD_S = 30.0


class Quality:
    """Months per deployment, computed by one request at a time and held for `held_s` seconds of the machine's clock."""

    def __init__(self, *, held_s: float = HELD_S) -> None:
        self._held_s = held_s
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int], tuple[float, QualityView]] = {}

    def of(self, workspace: Workspace, deployment: Deployment) -> QualityView:
        """The deployment's months. A new generation is looked at anew."""
        key = (deployment.name, deployment.generation)
        with self._lock:
            when, kept = self._kept.get(key, (0.0, None))
            if kept is None or time.monotonic() - when > self._held_s:
                kept = measure(workspace, deployment)
                self._kept = {k: v for k, v in self._kept.items() if k[0] != deployment.name}
                self._kept[key] = (time.monotonic(), kept)
        return kept


def measure(workspace: Workspace, deployment: Deployment) -> QualityView:
    """Read the joined log and score it by calendar month (UTC). Labels that are neither 0 nor 1 are left out, and that is said."""
    now = workspace.clock.now()
    output = score_of(workspace, deployment)
    if not output:
        return QualityView(
            deployment=deployment.name, output="", as_of=now, months=[], note="the model has no numeric output to score"
        )
    frame = _frame(workspace, deployment.name, output, now)
    if frame is None:
        return QualityView(
            deployment=deployment.name, output=output, as_of=now, months=[], note="nothing has been predicted yet"
        )
    months = [_month(name, part, output) for (name,), part in frame.group_by("month", maintain_order=True)]
    odd = int(frame.filter(~frame["label"].is_in([0.0, 1.0]) & frame["label"].is_not_null()).height)
    note = f"{odd:,} labels are neither 0 nor 1 and are not scored" if odd else ""
    return QualityView(deployment=deployment.name, output=output, as_of=now, months=months, note=note)


def score_of(workspace: Workspace, deployment: Deployment) -> str:
    """The output that holds the probability: the one of that name, else the first floating one, else ''."""
    champion = deployment.variant("champion") or (deployment.variants[0] if deployment.variants else None)
    if champion is None:
        return ""
    try:
        signature = workspace.models.get(champion.model, champion.number).signature
    except NotFound:
        return ""
    if signature is None:
        return ""
    numeric = [field.name for field in signature.outputs if field.datatype in ("FP32", "FP64") and field.width == 1]
    return "probability" if "probability" in numeric else next(iter(numeric), "")


def _frame(workspace: Workspace, name: str, output: str, now: datetime) -> Any:
    try:
        import polars as pl
    except ModuleNotFoundError as exc:
        raise ExtraMissing("reading the prediction log needs polars", remedy="pip install 'noria[data]'") from exc
    wanted = ["at", "number", "sampled", "label", f"out.{output}"]
    frame = pl.DataFrame(workspace.predictions.joined(name, known_by=now, columns=wanted))
    if f"out.{output}" not in frame.columns or frame.is_empty():
        return None
    score = pl.col(f"out.{output}").cast(pl.Float64).alias("score")
    month = pl.col("at").dt.strftime("%Y-%m").alias("month")
    stands_for = (1 / pl.col("sampled")).alias("stands_for")
    return frame.select(month, score, pl.col("label").cast(pl.Float64), "number", stands_for).sort(
        "month", maintain_order=True
    )


def _month(name: Any, part: Any, output: str) -> MonthQuality:
    from noria.stats import metrics

    known = part.filter(part["label"].is_in([0.0, 1.0]) & part["score"].is_between(0.0, 1.0))
    label, score = known["label"].to_numpy(), known["score"].to_numpy()
    versions = part.select("number", "stands_for").group_by("number").sum().sort("number")
    return MonthQuality(
        month=str(name),
        predictions=round(part["stands_for"].sum()),
        labelled=known.height,
        log_loss=_or_none(metrics.log_loss, label, score),
        auc=_or_none(metrics.auc, label, score),
        calibration_error=_or_none(metrics.calibration_error, label, score),
        by_version={str(number): round(rows) for number, rows in versions.iter_rows()},
    )


def _or_none(metric: Any, label: Any, score: Any) -> float | None:
    try:
        return float(metric(label, score))
    except EmptySample:
        return None
