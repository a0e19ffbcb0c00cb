"""The prediction log in this process's memory, for tests and sketches. The same law as parquet.py, from records and lists. Loaded by app/plugins."""

from collections.abc import Sequence
from datetime import datetime
from threading import RLock

import msgspec
import polars as pl

from noria.adapters.predictions.batches import microseconds, pack, unpack
from noria.adapters.predictions.columns import ORDER, presented, projected, table_of, together
from noria.adapters.predictions.feedback import checked_feedback, judged, newest, summed, within
from noria.adapters.predictions.frames import checked_name
from noria.adapters.predictions.keyed import checked_keys, identity, nearest, truths
from noria.adapters.predictions.kinds import sorted_out
from noria.adapters.predictions.labels import Kept, checked, judge, logged, receipt
from noria.domain.ids import PredictionId
from noria.domain.log_part import LogPart
from noria.domain.prediction import (
    Feedback,
    FeedbackReceipt,
    GroundTruth,
    KeyedTruth,
    LabelReceipt,
    LoggedPrediction,
    PredictionRecord,
    RecordKind,
)
from noria.errors import NotFound, StoreUnavailable


def open_store(location: str = "") -> "MemoryPredictionLog":
    """Give a new, empty log; location is not used.

    >>> open_store().deployments()
    []
    """
    return MemoryPredictionLog()


class MemoryPredictionLog:
    """Requests in the order of writing, labels by prediction. Thread-safe."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._requests: dict[str, dict[str, PredictionRecord]] = {}
        self._aside: dict[tuple[str, RecordKind, str], dict[str, PredictionRecord]] = {}
        self._labels: dict[str, dict[str, list[Kept]]] = {}
        self._settled: dict[str, dict[str, list[PredictionId]]] = {}
        self._waiting: dict[str, list[KeyedTruth]] = {}
        self._feedback: dict[str, list[Feedback]] = {}

    def writer(self, deployment: str, *, name: str, durable: bool = False) -> "MemoryWriter":
        """See ports/predictions."""
        checked_name(name, "writer")
        return MemoryWriter(self, checked_name(deployment, "deployment"))

    def write(self, deployment: str, records: Sequence[PredictionRecord]) -> None:
        """Take up a batch; packing refuses what a journal could not keep, and unpacking copies."""
        pack(records, deployment=deployment)
        answers, aside = sorted_out(records)
        with self._lock:
            _keep(self._requests.setdefault(deployment, {}), answers)
            for (kind, variant), some in aside.items():
                checked_name(variant, "variant")
                _keep(self._aside.setdefault((deployment, kind, variant), {}), some)

    def scan(
        self,
        deployment: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        columns: Sequence[str] | None = None,
        kind: RecordKind = "answer",
    ) -> pl.DataFrame:
        """See ports/predictions."""
        low = None if since is None else microseconds(since)
        high = None if until is None else microseconds(until)
        checked_name(deployment, "deployment")
        with self._lock:
            books = [list(book.values()) for key, book in self._aside.items() if key[:2] == (deployment, kind)]
            answers = list(self._requests.get(deployment, {}).values())
        if kind == "answer":
            return projected(_table(answers, deployment, low, high), columns)
        return together([_table(records, deployment, low, high) for records in books], columns)

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
        moment = microseconds(known_by)
        with self._lock:
            seen = {
                name: next(
                    (k.truth for k in reversed(labels) if k.effective and microseconds(k.truth.at) <= moment), None
                )
                for name, labels in self._labels.get(deployment, {}).items()
            }
        predictions = self.scan(deployment, since=since, until=until, kind=kind)
        truths = [seen.get(name) for name in predictions["prediction_id"]]
        whole = predictions.with_columns(
            pl.Series("label", [None if truth is None else truth.value for truth in truths], dtype=pl.Float64),
            pl.Series(
                "label_at", [None if truth is None else truth.at for truth in truths], dtype=pl.Datetime("us", "UTC")
            ),
        )
        return projected(whole, columns)

    def get(self, prediction_id: PredictionId) -> LoggedPrediction:
        """See ports/predictions."""
        request, _, row = prediction_id.rpartition(".")
        with self._lock:
            for deployment, requests in self._requests.items():
                record = requests.get(request)
                if record is not None and row in map(str, range(record.rows)):
                    return logged(
                        prediction_id, record, int(row), self._labels.get(deployment, {}).get(prediction_id, [])
                    )
        raise NotFound.of("prediction", prediction_id, remedy="check the id; it may come from another project")

    def add_labels(self, deployment: str, labels: Sequence[GroundTruth]) -> LabelReceipt:
        """See ports/predictions."""
        checked(labels)
        checked_name(deployment, "deployment")
        deeds = []
        with self._lock:
            book = self._labels.setdefault(deployment, {})
            for label in labels:
                earlier = book.setdefault(label.prediction_id, [])
                deed, keep = judge(earlier, label)
                if keep:
                    earlier.append(Kept(label, deed != "contradiction"))
                deeds.append((label.prediction_id, deed, self._knows(deployment, label.prediction_id)))
        return receipt(deeds)

    def labels_aside(self, deployment: str, *, since: datetime | None = None) -> list[GroundTruth]:
        """See ports/predictions."""
        with self._lock:
            book = self._labels.get(deployment, {})
            return [
                kept.truth
                for name, labels in book.items()
                for kept in labels
                if (since is None or kept.truth.at >= since) and not (kept.effective and self._knows(deployment, name))
            ]

    def add_keyed_labels(self, deployment: str, labels: Sequence[KeyedTruth]) -> LabelReceipt:
        """See ports/predictions."""
        checked_keys(labels)
        checked_name(deployment, "deployment")
        with self._lock:
            self._settle(deployment, self._waiting.get(deployment, []))
            return self._settle(deployment, labels)

    def labels_waiting(self, deployment: str) -> list[KeyedTruth]:
        """See ports/predictions."""
        with self._lock:
            return list(self._waiting.get(deployment, []))

    def add_feedback(self, deployment: str, feedback: Sequence[Feedback]) -> FeedbackReceipt:
        """See ports/predictions."""
        words = checked_feedback(feedback)
        checked_name(deployment, "deployment")
        deeds = []
        with self._lock:
            kept = self._feedback.setdefault(deployment, [])
            for word in words:
                new, instead = judged([other for other in kept if other.prediction_id == word.prediction_id], word)
                if new:
                    kept.append(word)
                deeds.append((word.prediction_id, new, instead, self._knows(deployment, word.prediction_id)))
        return summed(deeds)

    def feedback(
        self,
        deployment: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        prediction_id: PredictionId | None = None,
    ) -> list[Feedback]:
        """See ports/predictions."""
        with self._lock:
            words = list(self._feedback.get(checked_name(deployment, "deployment"), []))
        return within(newest([w for w in words if prediction_id in (None, w.prediction_id)]), since, until)

    def compact(self, deployment: str) -> int:
        """See ports/predictions. There are no journals here."""
        with self._lock:
            self._settle(deployment, self._waiting.get(deployment, []))
        return 0

    def _settle(self, deployment: str, labels: Sequence[KeyedTruth]) -> LabelReceipt:
        if not labels:
            return LabelReceipt()
        settled = self._settled.setdefault(deployment, {})
        found = nearest(self.scan(deployment, columns=["key", "at", "prediction_id"]), labels)
        meant = [settled.get(identity(label)) or names for label, names in zip(labels, found, strict=True)]
        settled.update({identity(label): names for label, names in zip(labels, meant, strict=True) if names})
        waiting = [label for label, names in zip(labels, meant, strict=True) if not names]
        held = dict.fromkeys([*self._waiting.get(deployment, []), *waiting])
        self._waiting[deployment] = [label for label in held if identity(label) not in settled]
        told = self.add_labels(deployment, truths(labels, meant))
        return msgspec.structs.replace(told, waiting=tuple(dict.fromkeys(label.key for label in waiting)))

    def parts(self, deployment: str) -> list[LogPart]:
        """See ports/predictions. What is in memory is one part."""
        with self._lock:
            records = [r for r in self._requests.get(checked_name(deployment, "deployment"), {}).values() if r.rows]
        if not records:
            return []
        times = [record.at for record in records]
        rows = sum(record.rows for record in records)
        return [LogPart(name="memory", since=min(times), until=max(times), rows=rows)]

    def set_aside(self, deployment: str) -> list[LogPart]:
        """See ports/predictions. Nothing in memory is damaged."""
        return []

    def deployments(self) -> list[str]:
        """See ports/predictions."""
        with self._lock:
            return sorted(
                name for name, requests in self._requests.items() if any(record.rows for record in requests.values())
            )

    def _knows(self, deployment: str, prediction_id: str) -> bool:
        request, _, row = prediction_id.rpartition(".")
        record = self._requests.get(deployment, {}).get(request)
        return record is not None and row in map(str, range(record.rows))


class MemoryWriter:
    """Writes straight into its log."""

    def __init__(self, log: MemoryPredictionLog, deployment: str) -> None:
        self._log = log
        self._deployment = deployment
        self._closed = False

    def write(self, records: Sequence[PredictionRecord]) -> None:
        """See ports/predictions."""
        if self._closed:
            raise StoreUnavailable("this writer is closed", remedy="open a new one")
        self._log.write(self._deployment, records)

    def close(self) -> None:
        """See ports/predictions."""
        self._closed = True


def _keep(book: dict[str, PredictionRecord], records: Sequence[PredictionRecord]) -> None:
    """Take up copies of records; of a request the first counts."""
    for record in records:
        inputs, outputs = [
            {name: list(values) for name, values in part.items()} for part in (record.inputs, record.outputs)
        ]
        book.setdefault(record.request_id, msgspec.structs.replace(record, inputs=inputs, outputs=outputs))


def _table(records: Sequence[PredictionRecord], deployment: str, low: int | None, high: int | None) -> pl.DataFrame:
    """Records of one kind as the port's table, those in the span."""
    table = table_of([unpack(pack(records, deployment=deployment))], deployment).sort(ORDER)
    at = pl.col("at").dt.timestamp("us")
    inside = [at >= low] if low is not None else []
    inside += [at < high] if high is not None else []
    return presented([table.filter(*inside) if inside else table])
