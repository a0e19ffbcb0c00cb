"""The prediction log in files: one folder a deployment, with journals, Parquet segments and labels. Workers write through journal.py alone.

Loaded by app/plugins; the law is ports/predictions.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from threading import Lock

import polars as pl

from noria.adapters.predictions.columns import ORDER, together
from noria.adapters.predictions.deployment_log import DeploymentLog
from noria.adapters.predictions.frames import checked_name, listing, make_folder
from noria.adapters.predictions.journal import open_writer
from noria.adapters.predictions.kinds import ASIDE, aside_folder, aside_variants
from noria.adapters.predictions.labels import logged
from noria.domain.ids import PredictionId
from noria.domain.log_part import LogPart
from noria.domain.prediction import (
    Feedback,
    FeedbackReceipt,
    GroundTruth,
    KeyedTruth,
    LabelReceipt,
    LoggedPrediction,
    RecordKind,
)
from noria.errors import NotFound
from noria.ports.predictions import PredictionWriter


def open_store(location: str) -> "ParquetPredictionLog":
    """Open the log in a folder, which is made if it is missing.

    >>> import tempfile
    >>> open_store(tempfile.mkdtemp()).deployments()
    []
    """
    return ParquetPredictionLog(Path(location))


class ParquetPredictionLog:
    """Thread-safe; any number of processes may read, label, compact and write at once on one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._logs: dict[Path, DeploymentLog] = {}
        make_folder(folder)

    def writer(self, deployment: str, *, name: str, durable: bool = False) -> PredictionWriter:
        """See ports/predictions."""
        return open_writer(str(self._folder), deployment=deployment, name=name, durable=durable)

    def scan(
        self,
        deployment: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        columns: Sequence[str] | None = None,
        kind: RecordKind = "answer",
    ) -> pl.DataFrame:
        """See ports/predictions. Reads only segments that reach into the span, and of those only the columns."""
        if kind == "answer":
            return self._log(deployment).scan(since, until, columns=columns)
        needed = None if columns is None else [*ORDER, "variant", *columns]
        tables = [log.scan(since, until, columns=needed) for log in self._aside(deployment, kind)]
        return together(tables, columns)

    def joined(
        self,
        deployment: str,
        *,
        known_by: datetime,
        since: datetime | None = None,
        until: datetime | None = None,
        columns: Sequence[str] | None = None,
        kind: RecordKind = "answer",
    ) -> pl.DataFrame:
        """See ports/predictions."""
        log = self._log(deployment)
        if kind == "answer":
            return log.joined(since, until, known_by=known_by, columns=columns)
        needed = None if columns is None else ["prediction_id", *columns]
        return log.labelled(
            self.scan(deployment, since=since, until=until, columns=needed, kind=kind), columns, known_by=known_by
        )

    def get(self, prediction_id: PredictionId) -> LoggedPrediction:
        """See ports/predictions."""
        for name in self._names():
            log = self._log(name)
            found = log.find(prediction_id)
            if found is not None:
                return logged(prediction_id, *found, log.labels_of(prediction_id))
        raise NotFound.of("prediction", prediction_id, remedy="check the id; it may come from another project")

    def add_labels(self, deployment: str, labels: Sequence[GroundTruth]) -> LabelReceipt:
        """See ports/predictions. On the disk when it returns."""
        return self._log(deployment).add_labels(labels)

    def labels_aside(self, deployment: str, *, since: datetime | None = None) -> list[GroundTruth]:
        """See ports/predictions."""
        return self._log(deployment).labels_aside(since)

    def add_keyed_labels(self, deployment: str, labels: Sequence[KeyedTruth]) -> LabelReceipt:
        """See ports/predictions. On the disk when it returns."""
        return self._log(deployment).add_keyed_labels(labels)

    def labels_waiting(self, deployment: str) -> list[KeyedTruth]:
        """See ports/predictions."""
        return self._log(deployment).labels_waiting()

    def add_feedback(self, deployment: str, feedback: Sequence[Feedback]) -> FeedbackReceipt:
        """See ports/predictions. On the disk when it returns."""
        return self._log(deployment).add_feedback(feedback)

    def feedback(
        self,
        deployment: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        prediction_id: PredictionId | None = None,
    ) -> list[Feedback]:
        """See ports/predictions."""
        return self._log(deployment).feedback(since, until, prediction_id=prediction_id)

    def compact(self, deployment: str) -> int:
        """See ports/predictions. Also merges small segments and moves labels to Parquet."""
        return self._log(deployment).compact() + sum(
            log.compact() for kind in ASIDE for log in self._aside(deployment, kind)
        )

    def parts(self, deployment: str) -> list[LogPart]:
        """See ports/predictions. Segments by their names, journals as far as they are read."""
        return self._log(deployment).parts()

    def set_aside(self, deployment: str) -> list[LogPart]:
        """See ports/predictions. A damaged file gets the suffix `.damaged`; journals of live writers are left alone."""
        damaged = self._log(deployment).set_aside()
        return damaged + [part for kind in ASIDE for log in self._aside(deployment, kind) for part in log.set_aside()]

    def deployments(self) -> list[str]:
        """See ports/predictions."""
        return [name for name in self._names() if self._log(name).has_predictions()]

    def _names(self) -> list[str]:
        return [name for name in listing(self._folder) if (self._folder / name / "journal").is_dir()]

    def _log(self, deployment: str) -> DeploymentLog:
        return self._opened(self._folder / checked_name(deployment, "deployment"), deployment)

    def _aside(self, deployment: str, kind: RecordKind) -> list[DeploymentLog]:
        """The logs of a kind that is kept apart, one for each variant that has any."""
        folder = self._folder / checked_name(deployment, "deployment")
        return [
            self._opened(aside_folder(folder, kind, variant), deployment) for variant in aside_variants(folder, kind)
        ]

    def _opened(self, folder: Path, deployment: str) -> DeploymentLog:
        with self._lock:
            log = self._logs.get(folder)
            if log is None:
                log = self._logs[folder] = DeploymentLog(folder, deployment)
            return log
