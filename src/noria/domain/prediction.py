"""Predictions and their labels, as they are logged. Recording is serving/record, joining is monitoring/quality."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest, PredictionId, RolloutId

Scalar = str | int | float | bool | None
Column = list[Scalar] | memoryview
"""One value a row: a list, or numbers side by side in memory (format 'd', 'f', 'q' or '?'), which are the same values without an object for each."""


RecordKind = Literal["answer", "shadow", "failure"]
"""What a record is: an answer that a caller got; what a shadow said to a copy of the same request; a request that a variant could not answer."""


class PredictionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One answered request: as many rows as it had. Columns run over the rows, so a request is one frame in the log.

    request_id: `r` + 32 hex; the prediction of row i is `request_id.i`. at: when it was asked (the worker's clock).
    inputs, outputs: column -> one value a row, exactly as decoded and as answered. latency_us: decode to answer.
    What is read from a log has lists. sampled: the share of requests that the log keeps where this one was answered: it stands for 1 / sampled
    requests. redacted: inputs that are not here as they were sent: left out, or a digest in their place.
    """

    request_id: str
    deployment: str
    variant: str
    model: str
    number: int
    bundle: Digest
    generation: int
    at: datetime
    latency_us: int
    protocol: str
    rows: int
    inputs: Mapping[str, Column]
    outputs: Mapping[str, Column]
    rollout: RolloutId | None = None
    keys: list[str] | None = None
    """One business key a row, if the caller gave them (parameter `keys`): labels may be joined by it."""
    sampled: float = 1.0
    redacted: tuple[str, ...] = ()
    kind: RecordKind = "answer"
    """A shadow's record has no inputs: they stand in the answer with the same request_id. A failure's has no outputs."""
    weight: float | None = None
    """The chance with which this request fell to this variant at that moment (of a shadow: was copied to it); None: it is not known."""
    asked: bool = False
    """The caller named the variant or its version: nobody drew it, so it is no part of any comparison."""
    error: str = ""
    """Of a failure: what went wrong, in a line."""

    def prediction_id(self, row: int) -> PredictionId:
        """The id of one row's prediction."""
        return PredictionId(f"{self.request_id}.{row}")


class GroundTruth(msgspec.Struct, frozen=True, kw_only=True):
    """What really happened to one prediction. at: when it was known, not when it was sent."""

    prediction_id: PredictionId
    value: float
    at: datetime
    source: str = "label"
    corrects: bool = False
    """Whether it replaces an earlier, different label on purpose."""


Match = Literal["before", "nearest", "every"]
"""Which predictions of a key an outcome is about: the newest one not after its moment, the nearest on either side, or all that are near enough."""


class KeyedTruth(msgspec.Struct, frozen=True, kw_only=True):
    """What really happened to somebody or something, told by a system that never saw a prediction id.

    key: as the caller of the prediction gave it (parameter `keys`). about: the moment that the outcome belongs to, on the clock of the predictions;
    tolerance_s: how far from it a prediction's time may be. at: when the outcome was known.
    """

    key: str
    value: float
    about: datetime
    at: datetime
    tolerance_s: float = 86400.0
    match: Match = "before"
    source: str = "label"
    corrects: bool = False


class LabelReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch of labels. Nothing is dropped: unknown and contradicting ones are kept aside and can be listed.

    waiting: keys whose prediction is not in the log yet; they are tried again whenever the log grows.
    """

    accepted: int = 0
    duplicates: int = 0
    corrected: int = 0
    contradictions: tuple[PredictionId, ...] = ()
    unknown: tuple[PredictionId, ...] = ()
    waiting: tuple[str, ...] = ()


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said of an answer: a label of a second kind, which is an opinion and is never counted as what happened.

    good: whether the answer was right or of use; value: what it should have been; at least one of good, value and comment is there. by: who said it,
    as the caller names them; of one person's words on one prediction the newest count, and all are kept.
    metric: of a number that a business counts (revenue, minutes saved): its name, and `value` is then how much of it the prediction brought, not what
    the answer should have been. Of one source's values of a metric on one prediction the newest counts.
    """

    prediction_id: PredictionId
    at: datetime
    good: bool | None = None
    value: float | None = None
    comment: str = ""
    by: str = ""
    metric: str = ""


class FeedbackReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch of feedback. replaced: of those accepted, how many took the place of earlier words of the same person."""

    accepted: int = 0
    duplicates: int = 0
    replaced: int = 0
    unknown: tuple[PredictionId, ...] = ()


class LoggedPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """One row out of the log with its label, if it has arrived."""

    prediction_id: PredictionId
    row: int
    record: PredictionRecord
    label: float | None = None
    label_at: datetime | None = None
    state: Literal["waiting", "labelled", "contradicted"] = "waiting"
