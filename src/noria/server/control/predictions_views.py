"""What the API takes and gives about labels and feedback. Called by predictions.py and predictions_feedback.py."""

from datetime import datetime

import msgspec

from noria.domain.prediction import Feedback, GroundTruth, KeyedTruth, Match


class LabelIn(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome on its way in, of a prediction, or of a business key and the moment that the outcome belongs to (about).

    at: when it became known; now, if it is not given.
    """

    value: float
    prediction_id: str = ""
    key: str = ""
    about: datetime | None = None
    tolerance_s: float = 86400.0
    match: Match = "before"
    at: datetime | None = None
    source: str = "label"
    corrects: bool = False


class LabelsIn(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of outcomes."""

    labels: list[LabelIn]


class LabelsAside(msgspec.Struct, frozen=True, kw_only=True):
    """Labels that do not count. aside: contradicting, or of a prediction that is not in the log; waiting: outcomes by key without one."""

    deployment: str
    aside: list[GroundTruth]
    waiting: list[KeyedTruth]


class WordIn(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of one prediction: good or bad, what it should have been, a comment. at: now, if it is not given.

    metric: the name of a number that a business counts; `value` is then how much of it the prediction brought.
    """

    good: bool | None = None
    value: float | None = None
    comment: str = ""
    by: str = ""
    at: datetime | None = None
    metric: str = ""


class FeedbackIn(WordIn, frozen=True, kw_only=True):
    """The same, with the prediction that is meant."""

    prediction_id: str


class FeedbacksIn(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of feedback."""

    feedback: list[FeedbackIn]


class FeedbackView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest words of each person on each prediction, newest first, at most as many as were asked for; the counts are of all."""

    deployment: str
    total: int
    good: int
    bad: int
    feedback: list[Feedback]
