"""The predictions port: the log of answers and the labels that arrive later."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from noria.domain.arrow import ArrowTable
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


class PredictionWriter(Protocol):
    """The hot half, used inside a worker: no tables, no SQL."""

    def write(self, records: Sequence[PredictionRecord]) -> None:
        """Append a batch as one unit. After a kill -9 a unit is there whole or not at all. Raises DiskFull; nothing of the unit was kept then.

        Records of several kinds, or of several shadows, are as many units.
        """
        ...

    def close(self) -> None:
        """Write out what is left and release the file."""
        ...


class PredictionParts(Protocol):
    """What a log consists of, so that whoever counts its rows reads only what is new, and what cannot be read does not hide the rest."""

    def parts(self, deployment: str) -> list[LogPart]:
        """Every part with at least one row, and those that were set aside, by (since, name). Cheap: no rows are read."""
        ...

    def set_aside(self, deployment: str) -> list[LogPart]:
        """Check every part, keep those that are damaged apart under their own names, and give these. Put back whole, they are parts again."""
        ...


class PredictionLog(PredictionParts, Protocol):
    """The cold half: reads what all workers wrote, keeps labels, joins them.

    The same request_id twice is one request: the first record counts. Tables have one row a prediction with the columns
    prediction_id, request_id, row, key, deployment, variant, model, number, generation, rollout, at, latency_us, protocol, sampled (a row stands for
    1 / sampled rows), redacted (JSON of the inputs that are not there as they were sent, or null), weight (the chance by which the draw gave it this
    variant, or null), asked (whether the caller named the variant), error, then `in.<name>` for each input and `out.<name>` for each output; `joined`
    adds label, label_at.

    A record's kind decides where it is kept: what shadows said and what failed are never among the answers. `scan` and `joined` give one kind; of
    shadows and failures the first record of a request counts for each variant. Everything else here is about answers.
    """

    def writer(self, deployment: str, *, name: str, durable: bool = False) -> PredictionWriter:
        """A writer for one worker; `name` must be unique among the live ones. durable: fsync before `write` returns."""
        ...

    def scan(
        self,
        deployment: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        columns: Sequence[str] | None = None,
        kind: RecordKind = "answer",
    ) -> ArrowTable:
        """Predictions with since <= at < until, ordered by (at, request_id, row), complete up to the last finished `write`.

        columns: only these, in this order; one that no prediction in the log has is left out.
        """
        ...

    def joined(
        self,
        deployment: str,
        *,
        known_by: datetime,
        since: datetime | None = None,
        until: datetime | None = None,
        columns: Sequence[str] | None = None,
        kind: RecordKind = "answer",
    ) -> ArrowTable:
        """As `scan`, with label and label_at where a label was known by `known_by`, else null. A label that became known later is never shown.

        What a shadow said has the label of the answer to the same request.
        """
        ...

    def get(self, prediction_id: PredictionId) -> LoggedPrediction:
        """One prediction with its whole request. Raises NotFound."""
        ...

    def add_labels(self, deployment: str, labels: Sequence[GroundTruth]) -> LabelReceipt:
        """Keep labels. A repeated one is counted, a contradicting or unknown one kept aside. An unknown id may become known later."""
        ...

    def labels_aside(self, deployment: str, *, since: datetime | None = None) -> list[GroundTruth]:
        """Labels that could not be used: contradicting, or for a prediction that is not in the log. since: only those known from then on."""
        ...

    def add_keyed_labels(self, deployment: str, labels: Sequence[KeyedTruth]) -> LabelReceipt:
        """Keep outcomes that come with a key and a moment, as labels of the predictions that they are about.

        Which prediction that is, is decided once, with the predictions that are in the log then: a nearer one that turns up later changes
        nothing, and the same (key, about, match) sent again means the same prediction. Of two equally near the later one is meant. Where none
        is near enough the outcome waits, and is tried again by `compact` and by the next call. Raises LabelInvalid; nothing of the batch was
        kept then.
        """
        ...

    def labels_waiting(self, deployment: str) -> list[KeyedTruth]:
        """Outcomes by key that found no prediction yet, in the order in which they came."""
        ...

    def add_feedback(self, deployment: str, feedback: Sequence[Feedback]) -> FeedbackReceipt:
        """Keep what people said, beside the labels and apart from them. Raises LabelInvalid; nothing of the batch was kept then."""
        ...

    def feedback(
        self,
        deployment: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        prediction_id: PredictionId | None = None,
    ) -> list[Feedback]:
        """The newest words of each person on each prediction, with since <= at < until, in the order of (at, prediction, person)."""
        ...

    def compact(self, deployment: str) -> int:
        """Turn closed journals into Parquet segments; gives the number of rows moved. Safe to repeat, safe beside readers and writers."""
        ...

    def deployments(self) -> list[str]:
        """Names with at least one prediction."""
        ...
