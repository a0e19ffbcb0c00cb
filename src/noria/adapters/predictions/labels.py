"""Labels of one deployment: what became known, when, and what each label did. Appended as frames, moved to Parquet when there are many.

What a label does is decided once, when it is added, under a lock that all processes share, and kept with it (`judge`). Called by deployment_log.py.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import msgspec
import polars as pl

from noria.adapters.predictions.batches import EPOCH, microseconds
from noria.adapters.predictions.columns import TIME
from noria.adapters.predictions.frames import Appender, listing, locked, read_frames, sync_folder, translated
from noria.adapters.predictions.index import HashIndex, hashes
from noria.adapters.predictions.segments import SegmentFolder
from noria.domain.ids import PredictionId
from noria.domain.prediction import GroundTruth, LabelReceipt, LoggedPrediction, PredictionRecord
from noria.errors import LabelInvalid

KIND = b"LABL"
COMPACT_BYTES = 1 << 20
SCHEMA: dict[str, Any] = {
    "prediction_id": pl.String,
    "value": pl.Float64,
    "at": TIME,
    "source": pl.String,
    "corrects": pl.Boolean,
    "effective": pl.Boolean,
    "_written": pl.Int64,
}

Deed = Literal["accepted", "corrected", "duplicate", "contradiction"]


class Kept(msgspec.Struct, frozen=True):
    """A label that was kept. effective: it set or corrected the value; else it contradicted."""

    truth: GroundTruth
    effective: bool


class LabelBatch(msgspec.Struct, array_like=True):
    """One frame, column by column. written: ns since 1970 of the first row; each next one counts one more. at: us since 1970."""

    written: int
    prediction_id: list[str]
    value: list[float]
    at: list[int]
    source: list[str]
    corrects: list[bool]
    effective: list[bool]


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
        self._folder = folder
        self._segments = SegmentFolder(folder)
        self._lock = RLock()
        self._forget()

    def _forget(self) -> None:
        self._index = HashIndex(SCHEMA)
        self._ends: dict[str, int] = {}
        self._names: set[str] = set()
        self._last = 0

    def add(self, labels: Sequence[GroundTruth], known: Callable[[Sequence[str]], Sequence[bool]]) -> LabelReceipt:
        """See ports/predictions. known: which of these prediction ids are in the log."""
        checked(labels)
        if not labels:
            return LabelReceipt()
        ids = [label.prediction_id for label in labels]
        with self._lock, locked(self._folder):
            self._refresh()
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

    def known_by(self, moment: datetime, *, ids: pl.Series) -> pl.DataFrame:
        """prediction_id, label, label_at: the value of each label as it was known then, of these predictions at least."""
        with self._lock:
            self._refresh()
            few = 8 * len(ids) < len(self._index)
            table = self._index.find(ids).drop("asked") if few else self._index.table()
        seen = table.filter(pl.col("effective") & (pl.col("at") <= pl.lit(microseconds(moment), pl.Int64).cast(TIME)))
        if seen["corrects"].any():
            seen = seen.sort("_written").unique("prediction_id", keep="last")
        return seen.select("prediction_id", label="value", label_at="at")

    def aside(self, known: Callable[[Sequence[str]], Sequence[bool]]) -> list[GroundTruth]:
        """Contradicting labels, and those whose prediction is not in the log, in the order in which they came."""
        with self._lock:
            self._refresh()
            table = self._index.table().sort("_written")
        there = pl.Series(known(table["prediction_id"].to_list()), dtype=pl.Boolean)
        return [kept.truth for kept in _kept(table.filter(~(pl.col("effective") & there)))]

    def of(self, prediction_id: str) -> list[Kept]:
        """Every kept label of one prediction, oldest first."""
        with self._lock:
            self._refresh()
            return self._histories([prediction_id]).get(prediction_id, [])

    def compact(self, *, at_least: int = COMPACT_BYTES) -> None:
        """Move journals of at least so many bytes to Parquet, and merge small segments."""
        if not listing(self._folder):
            return
        with self._lock, locked(self._folder):
            self._segments.recover()
            self._refresh()
            done = {segment.stem for segment in self._segments.segments()}
            for path in self._journals():
                if path.stem in done:  # killed between writing the segment and removing the journal
                    self._remove(path)
                elif path.stat().st_size >= at_least:
                    self._move(path)
            list(self._segments.merge(time_column="at", arrange=lambda frames: pl.concat(frames).sort("_written")))
            self._names = {segment.name for segment in self._segments.segments()}

    def _refresh(self) -> None:
        """Take up what this or another process wrote since the last look."""
        while True:
            try:
                journals = self._journals()
                segments = self._segments.segments()
                if {segment.name for segment in segments} != self._names:
                    self._forget()
                    self._take([self._segments.read(segment) for segment in segments])
                    self._names = {segment.name for segment in segments}
                moved = {segment.stem for segment in segments}
                for path in journals:
                    if path.stem not in moved:
                        bodies, end = read_frames(path, KIND, after=self._ends.get(path.stem, 0))
                        self._take([_table([msgspec.msgpack.decode(body, type=LabelBatch) for body in bodies])])
                        self._ends[path.stem] = end
                return
            except FileNotFoundError:  # compacted by another process between two looks
                self._forget()

    def _take(self, frames: list[pl.DataFrame]) -> None:
        for frame in frames:
            if frame.height:
                self._index.add(frame.with_columns(hashes(frame["prediction_id"])))
                self._last = max(self._last, frame["_written"].max())  # type: ignore[type-var, assignment]

    def _histories(self, ids: Sequence[str]) -> dict[str, list[Kept]]:
        """What is kept for each of these ids, oldest first."""
        rows = self._index.find(list(dict.fromkeys(ids))).sort("_written")
        histories: dict[str, list[Kept]] = {}
        for kept in _kept(rows):
            histories.setdefault(kept.truth.prediction_id, []).append(kept)
        return histories

    def _append(self, new: Sequence[Kept]) -> None:
        truths = [kept.truth for kept in new]
        batch = LabelBatch(
            max(time.time_ns(), self._last + 1),
            [truth.prediction_id for truth in truths],
            [float(truth.value) for truth in truths],
            [microseconds(truth.at) for truth in truths],
            [truth.source for truth in truths],
            [truth.corrects for truth in truths],
            [kept.effective for kept in new],
        )
        with self._appender() as file:
            file.append(msgspec.msgpack.encode(batch))
            self._ends[file.path.stem] = file.end
        self._take([_table([batch])])

    @contextlib.contextmanager
    def _appender(self) -> Iterator[Appender]:
        """The newest journal, positioned behind its last whole frame: whoever was killed while writing behind it held the lock that we hold."""
        moved = {segment.stem for segment in self._segments.segments()}
        journals = [path for path in self._journals() if path.stem not in moved]
        path = journals[-1] if journals else self._folder / f"labels-{time.time_ns()}.open"
        end = self._ends.get(path.stem, 0)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise translated(exc, f"journal {str(path)!r} cannot be opened") from exc
        file = Appender(descriptor, path=path, end=end, durable=True)
        try:
            os.ftruncate(descriptor, end)
            if not end:
                file.begin(KIND)
                sync_folder(self._folder)
            yield file
        finally:
            file.close()

    def _move(self, path: Path) -> None:
        bodies, _ = read_frames(path, KIND)
        frame = _table([msgspec.msgpack.decode(body, type=LabelBatch) for body in bodies])
        if frame.height:
            self._names.add(self._segments.write(path.stem, frame, time_column="at").name)
        self._remove(path)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._ends.pop(path.stem, None)
        sync_folder(self._folder)

    def _journals(self) -> list[Path]:
        return [self._folder / name for name in listing(self._folder) if name.endswith(".open")]


def _table(batches: Sequence[LabelBatch]) -> pl.DataFrame:
    columns = {
        "prediction_id": [name for batch in batches for name in batch.prediction_id],
        "value": [value for batch in batches for value in batch.value],
        "at": [at for batch in batches for at in batch.at],
        "source": [source for batch in batches for source in batch.source],
        "corrects": [flag for batch in batches for flag in batch.corrects],
        "effective": [flag for batch in batches for flag in batch.effective],
        "_written": [batch.written + place for batch in batches for place in range(len(batch.value))],
    }
    return pl.DataFrame(columns, schema=SCHEMA | {"at": pl.Int64}).with_columns(pl.col("at").cast(TIME))


def _kept(table: pl.DataFrame) -> Iterator[Kept]:
    for name, value, at, source, corrects, effective in table.select(
        "prediction_id", "value", pl.col("at").dt.timestamp("us"), "source", "corrects", "effective"
    ).iter_rows():
        known_at = (EPOCH + timedelta(microseconds=at)).astimezone(UTC)
        yield Kept(
            GroundTruth(prediction_id=PredictionId(name), value=value, at=known_at, source=source, corrects=corrects),
            effective,
        )
