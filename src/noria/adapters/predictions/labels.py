"""Labels of one deployment: what became known, when, and what each label did.

What a label does is decided once, when it is added, under a lock that all processes share, and kept with it (`judge`). How rows are kept is book.py's
business. Called by deployment_log.py.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl

from noria.adapters.predictions.batches import EPOCH, microseconds
from noria.adapters.predictions.book import WRITTEN, Book
from noria.adapters.predictions.columns import TIME
from noria.domain.ids import PredictionId
from noria.domain.prediction import GroundTruth, LabelReceipt, LoggedPrediction, PredictionRecord
from noria.errors import LabelInvalid

KIND = b"LABL"
SCHEMA: dict[str, Any] = {
    "prediction_id": pl.String,
    "value": pl.Float64,
    "at": TIME,
    "source": pl.String,
    "corrects": pl.Boolean,
    "effective": pl.Boolean,
}

Deed = Literal["accepted", "corrected", "duplicate", "contradiction"]


class Kept(msgspec.Struct, frozen=True):
    """A label that was kept. effective: it set or corrected the value; else it contradicted."""

    truth: GroundTruth
    effective: bool


def judge(earlier: Sequence[Kept], label: GroundTruth) -> tuple[Deed, bool]:
    """What a label does to a prediction with these earlier ones (oldest first), and whether it is kept.

    The first value counts until one that `corrects` replaces it. A value that is or was in effect is a repetition (senders send again), and so is a
    label that is kept already in every respect. Any other is a contradiction: kept aside, once.

    >>> judge([], GroundTruth(prediction_id=PredictionId("r.0"), value=1.0, at=EPOCH))
    ('accepted', True)
    """
    for kept in earlier:
        if kept.truth == label:
            return ("duplicate" if kept.effective else "contradiction"), False
    effective = [kept.truth.value for kept in earlier if kept.effective]
    if not effective:
        return "accepted", True
    if label.value == effective[-1] or (label.value in effective and not label.corrects):
        return "duplicate", False
    return ("corrected" if label.corrects else "contradiction"), True


def checked(labels: Sequence[GroundTruth]) -> None:
    """Refuse a batch with a label that cannot be used. Raises LabelInvalid."""
    for label in labels:
        if not math.isfinite(label.value) or label.at.tzinfo is None:
            raise LabelInvalid(
                f"the label of prediction {label.prediction_id!r} cannot be used",
                cause=f"its value is {label.value}" if label.at.tzinfo else f"its time {label.at} has no zone",
                remedy="send a finite number and an aware time; nothing of this batch was kept",
            )


def receipt(deeds: Sequence[tuple[PredictionId, Deed, bool]]) -> LabelReceipt:
    """Sum up what labels did. Each comes as its id, its deed, and whether its prediction is in the log."""
    done = [deed for _, deed, known in deeds if known]
    return LabelReceipt(
        accepted=done.count("accepted"),
        duplicates=done.count("duplicate"),
        corrected=done.count("corrected"),
        contradictions=tuple(name for name, deed, known in deeds if known and deed == "contradiction"),
        unknown=tuple(name for name, _, known in deeds if not known),
    )


def logged(prediction_id: PredictionId, record: PredictionRecord, row: int, labels: Sequence[Kept]) -> LoggedPrediction:
    """A prediction with what its labels (oldest first) say of it."""
    effective = [kept.truth for kept in labels if kept.effective]
    if not effective:
        return LoggedPrediction(prediction_id=prediction_id, row=row, record=record)
    return LoggedPrediction(
        prediction_id=prediction_id,
        row=row,
        record=record,
        label=effective[-1].value,
        label_at=effective[-1].at,
        state="labelled" if labels[-1].effective else "contradicted",
    )


class LabelBook:
    """The labels of one deployment. Thread-safe, and safe beside other processes. An answered `add` is on the disk."""

    def __init__(self, folder: Path) -> None:
        self._book = Book(folder, kind=KIND, schema=SCHEMA, by="prediction_id", slim=True)

    def add(self, labels: Sequence[GroundTruth], known: Callable[[Sequence[str]], Sequence[bool]]) -> LabelReceipt:
        """See ports/predictions. known: which of these prediction ids are in the log."""
        checked(labels)
        if not labels:
            return LabelReceipt()
        ids = [label.prediction_id for label in labels]
        with self._book.writing():
            history = self._histories(ids)
            deeds: list[tuple[PredictionId, Deed, bool]] = []
            new: list[Kept] = []
            for label, is_known in zip(labels, known(ids), strict=True):
                earlier = history.setdefault(label.prediction_id, [])
                deed, keep = judge(earlier, label)
                if keep:
                    kept = Kept(label, deed != "contradiction")
                    earlier.append(kept)
                    new.append(kept)
                deeds.append((label.prediction_id, deed, is_known))
            if new:
                self._append(new)
        return receipt(deeds)

    def known_by(self, moment: datetime, *, ids: pl.Series) -> list[pl.Series]:
        """label and label_at of each of these predictions, as they were known then; null where they were not."""
        with self._book.reading():
            rows = self._book.placed(ids)
        seen = rows.filter(pl.col("effective") & (pl.col("at") <= pl.lit(microseconds(moment), pl.Int64).cast(TIME)))
        if seen["corrects"].any():
            seen = seen.sort(WRITTEN)  # the last one is written over the others below
        place = seen["asked"].to_numpy()
        there, value, at = np.zeros(len(ids), dtype=bool), np.zeros(len(ids)), np.zeros(len(ids), dtype=np.int64)
        there[place], value[place], at[place] = True, seen["value"].to_numpy(), seen["at"].dt.timestamp("us").to_numpy()
        known = pl.Series(there)
        return [
            pl.Series("label", value).zip_with(known, pl.Series([None], dtype=pl.Float64).new_from_index(0, len(ids))),
            pl.Series("label_at", at)
            .cast(TIME)
            .zip_with(known, pl.Series([None], dtype=TIME).new_from_index(0, len(ids))),
        ]

    def aside(
        self, known: Callable[[Sequence[str]], Sequence[bool]], *, since: datetime | None = None
    ) -> list[GroundTruth]:
        """Contradicting labels, and those whose prediction is not in the log, in the order in which they came. since: those known from then on."""
        table = self._book.everything()
        if since is not None:
            table = table.filter(pl.col("at") >= pl.lit(microseconds(since), pl.Int64).cast(TIME))
        there = pl.Series(known(table["prediction_id"].to_list()), dtype=pl.Boolean)
        return [kept.truth for kept in _kept(table.filter(~(pl.col("effective") & there)))]

    def of(self, prediction_id: str) -> list[Kept]:
        """Every kept label of one prediction, oldest first."""
        with self._book.reading():
            return self._histories([prediction_id]).get(prediction_id, [])

    def compact(self) -> None:
        """Move many labels to Parquet."""
        self._book.compact()

    def _histories(self, ids: Sequence[str]) -> dict[str, list[Kept]]:
        """What is kept for each of these ids, oldest first."""
        histories: dict[str, list[Kept]] = {}
        for kept in _kept(self._book.find(ids)):
            histories.setdefault(kept.truth.prediction_id, []).append(kept)
        return histories

    def _append(self, new: Sequence[Kept]) -> None:
        truths = [kept.truth for kept in new]
        self._book.append(
            {
                "prediction_id": [truth.prediction_id for truth in truths],
                "value": [float(truth.value) for truth in truths],
                "at": [microseconds(truth.at) for truth in truths],
                "source": [truth.source for truth in truths],
                "corrects": [truth.corrects for truth in truths],
                "effective": [kept.effective for kept in new],
            }
        )


def _kept(table: pl.DataFrame) -> Iterator[Kept]:
    for name, value, at, source, corrects, effective in table.select(
        "prediction_id", "value", pl.col("at").dt.timestamp("us"), "source", "corrects", "effective"
    ).iter_rows():
        known_at = (EPOCH + timedelta(microseconds=at)).astimezone(UTC)
        yield Kept(
            GroundTruth(prediction_id=PredictionId(name), value=value, at=known_at, source=source, corrects=corrects),
            effective,
        )
