"""What people said of the answers of one deployment, each word kept, the newest of each person counted. Beside the labels, never among them.

How rows are kept is book.py's business. `checked_feedback` and `newest` are pure. Called by deployment_log.py and memory.py.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from noria.adapters.predictions.batches import EPOCH, microseconds
from noria.adapters.predictions.book import WRITTEN, Book
from noria.adapters.predictions.columns import TIME
from noria.domain.ids import PredictionId
from noria.domain.prediction import Feedback, FeedbackReceipt
from noria.errors import LabelInvalid

KIND = b"FEED"
LONGEST = 4000
SCHEMA: dict[str, Any] = {
    "prediction_id": pl.String,
    "at": TIME,
    "good": pl.Boolean,
    "value": pl.Float64,
    "comment": pl.String,
    "by": pl.String,
    "metric": pl.String,
}


def checked_feedback(feedback: Sequence[Feedback]) -> list[Feedback]:
    """The batch with its times in UTC and its values as floats. Raises LabelInvalid for one that says nothing or cannot be kept."""
    for word in feedback:
        fault = ""
        if word.good is None and word.value is None and not word.comment.strip():
            fault = "it says neither good or bad, nor a value, nor a comment"
        elif word.value is not None and not math.isfinite(word.value):
            fault = f"its value is {word.value}"
        elif word.at.tzinfo is None:
            fault = f"its time {word.at} has no zone"
        elif word.metric and word.value is None:
            fault = f"it names the metric {word.metric[:80]!r} and no value of it"
        elif max(len(word.comment), len(word.by), len(word.metric)) > LONGEST:
            fault = f"a text of it is longer than {LONGEST} characters"
        if fault:
            raise LabelInvalid(
                f"the feedback on prediction {word.prediction_id[:80]!r} cannot be used",
                cause=fault,
                remedy="say good or bad, a finite value or a comment; nothing of this batch was kept",
            )
    return [
        msgspec.structs.replace(
            word,
            at=(EPOCH + timedelta(microseconds=microseconds(word.at))).astimezone(UTC),
            value=None if word.value is None else float(word.value),
        )
        for word in feedback
    ]


def judged(earlier: Sequence[Feedback], word: Feedback) -> tuple[bool, bool]:
    """Whether a word is new, and whether it takes the place of an earlier one of the same person. earlier: on the same prediction."""
    return word not in earlier, any(
        (other.by, other.metric) == (word.by, word.metric) and other.at <= word.at for other in earlier
    )


def newest(words: Sequence[Feedback]) -> list[Feedback]:
    """Of each person's words on each prediction the newest, of equally new ones the last written; ordered by (at, prediction, person)."""
    latest: dict[tuple[str, str, str], Feedback] = {}
    for word in words:
        place = (word.prediction_id, word.by, word.metric)
        held = latest.get(place)
        if held is None or word.at >= held.at:
            latest[place] = word
    return sorted(latest.values(), key=lambda word: (word.at, word.prediction_id, word.by, word.metric))


def summed(deeds: Sequence[tuple[PredictionId, bool, bool, bool]]) -> FeedbackReceipt:
    """Sum up what words did: their prediction, whether new, whether in the place of another, whether the prediction is in the log."""
    return FeedbackReceipt(
        accepted=sum(new for _, new, _, _ in deeds),
        duplicates=sum(not new for _, new, _, _ in deeds),
        replaced=sum(new and instead for _, new, instead, _ in deeds),
        unknown=tuple(dict.fromkeys(name for name, _, _, known in deeds if not known)),
    )


class FeedbackBook:
    """The feedback of one deployment. Thread-safe, and safe beside other processes. An answered `add` is on the disk."""

    def __init__(self, folder: Path) -> None:
        self._book = Book(folder, kind=KIND, schema=SCHEMA, by="prediction_id")

    def add(self, feedback: Sequence[Feedback], known: Callable[[Sequence[str]], Sequence[bool]]) -> FeedbackReceipt:
        """See ports/predictions. known: which of these prediction ids are in the log."""
        words = checked_feedback(feedback)
        if not words:
            return FeedbackReceipt()
        ids = [word.prediction_id for word in words]
        with self._book.writing():
            history: dict[str, list[Feedback]] = {}
            for held in _words(self._book.find(ids)):
                history.setdefault(held.prediction_id, []).append(held)
            deeds, fresh = [], []
            for word, is_known in zip(words, known(ids), strict=True):
                earlier = history.setdefault(word.prediction_id, [])
                new, instead = judged(earlier, word)
                if new:
                    earlier.append(word)
                    fresh.append(word)
                deeds.append((word.prediction_id, new, instead, is_known))
            if fresh:
                self._book.append({name: [_cell(word, name) for word in fresh] for name in SCHEMA})
        return summed(deeds)

    def words(
        self, since: datetime | None, until: datetime | None, *, prediction_id: PredictionId | None
    ) -> list[Feedback]:
        """See ports/predictions."""
        with self._book.reading() as index:
            table = index.table() if prediction_id is None else self._book.find([prediction_id])
        if prediction_id is not None:
            table = table.filter(pl.col("prediction_id") == prediction_id)
        return within(newest(_words(table.sort(WRITTEN))), since, until)

    def compact(self) -> None:
        """Move much feedback to Parquet."""
        self._book.compact()


def within(words: Sequence[Feedback], since: datetime | None, until: datetime | None) -> list[Feedback]:
    """Those with since <= at < until."""
    return [word for word in words if (since is None or word.at >= since) and (until is None or word.at < until)]


def _cell(word: Feedback, name: str) -> Any:
    return microseconds(word.at) if name == "at" else getattr(word, name)


def _words(table: pl.DataFrame) -> list[Feedback]:
    return [
        Feedback(
            prediction_id=PredictionId(name),
            at=(EPOCH + timedelta(microseconds=at)).astimezone(UTC),
            good=good,
            value=value,
            comment=comment,
            by=by,
            metric=metric or "",
        )
        for name, at, good, value, comment, by, metric in table.select(
            "prediction_id", pl.col("at").dt.timestamp("us"), "good", "value", "comment", "by", "metric"
        ).iter_rows()
    ]
