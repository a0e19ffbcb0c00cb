"""The log of one deployment: journals of live and dead writers, the segments they become, and the labels. Called by parquet.py.

Every row is read from exactly one place: a journal counts until a segment of its name exists, and a request counts once, as it was first written.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

import msgspec
import polars as pl

from noria.adapters.predictions.batches import Batch, microseconds, records_in, unpack, without
from noria.adapters.predictions.columns import ORDER, STORED, TIME, presented, projected, record_of, table_of
from noria.adapters.predictions.feedback import FeedbackBook
from noria.adapters.predictions.frames import listing, locked, read_frames, sync_folder, translated
from noria.adapters.predictions.index import HashIndex, hashes
from noria.adapters.predictions.journal import KIND, VERSION
from noria.adapters.predictions.keyed import KeyedBook, checked_keys, nearest, span, truths
from noria.adapters.predictions.labels import Kept, LabelBook
from noria.adapters.predictions.parts import aside_in, damaged_files, parts_of, put_aside
from noria.adapters.predictions.segments import Segment, SegmentFolder
from noria.domain.ids import PredictionId
from noria.domain.log_part import LogPart
from noria.domain.prediction import (
    Feedback,
    FeedbackReceipt,
    GroundTruth,
    KeyedTruth,
    LabelReceipt,
    PredictionRecord,
)
from noria.errors import StoreCorrupt, StoreUnavailable

TRIES = 100
ENTRY: dict[str, Any] = {"rows": pl.UInt32, "offset": pl.UInt32, "segment": pl.UInt32}
KEYED = {name: STORED[name] for name in ("request_id", "row", "at", "key")}
T = TypeVar("T")


@dataclass(frozen=True)
class Journal:
    """A file of frames. finished: its writer closed it, so it has no torn end."""

    path: Path
    finished: bool

    @property
    def stem(self) -> str:
        """Its name without the state of its writer."""
        return self.path.stem


@dataclass
class Tail:
    """What of a journal has been taken up: up to which byte, as which tables, and which repeated records (written, place) were left out."""

    end: int = 0
    tables: list[pl.DataFrame] = field(default_factory=list)
    repeated: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True)
class View:
    """What counts at one moment."""

    journals: tuple[Journal, ...]
    segments: tuple[Segment, ...]


class DeploymentLog:
    """Thread-safe, and safe beside writers and other readers, compactors included."""

    def __init__(self, folder: Path, deployment: str) -> None:
        self._folder = folder
        self._deployment = deployment
        self._journals = folder / "journal"
        self._segments = SegmentFolder(folder / "segments")
        self._labels = LabelBook(folder / "labels")
        self._keyed = KeyedBook(folder / "keyed")
        self._feedback = FeedbackBook(folder / "feedback")
        self._tried: tuple[View, int] | None = None
        self._lock = RLock()
        self._tails: dict[str, Tail] = {}
        self._fresh: dict[str, tuple[str, int]] = {}  # request_id -> stem of its journal, rows
        self._entries: dict[str, pl.DataFrame] = {}  # segment -> hash, rows and offset of each request
        self._index = HashIndex(ENTRY)
        self._numbered: list[Segment] = []  # the segments in the index, by their number there

    def scan(
        self, since: datetime | None, until: datetime | None, *, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """See ports/predictions."""
        wanted = None if columns is None else {*ORDER, *columns}
        low = None if since is None else microseconds(since)
        high = None if until is None else microseconds(until)

        def read() -> pl.DataFrame:
            with self._lock:
                view = self._refresh()
                tables = [table for tail in self._tails.values() for table in tail.tables]
            frames = [
                frame for segment in view.segments if (frame := self._part(segment, low, high, wanted)) is not None
            ]
            frames += [_only(table, wanted).filter(_within(low, high)) for table in tables]
            if not frames and view.segments:  # nothing in this span: give the newest segment's columns all the same
                frames.append(pl.DataFrame(schema=self._segments.schema(view.segments[-1])))
            return projected(presented(frames), columns)

        return self._again(read)

    def joined(
        self,
        since: datetime | None,
        until: datetime | None,
        *,
        known_by: datetime,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """See ports/predictions."""
        predictions = self.scan(since, until, columns=None if columns is None else ["prediction_id", *columns])
        return self.labelled(predictions, columns, known_by=known_by)

    def labelled(self, predictions: pl.DataFrame, columns: Sequence[str] | None, *, known_by: datetime) -> pl.DataFrame:
        """These rows, with the labels of this log known by then; columns: only these of them."""
        labels = self._labels.known_by(known_by, ids=predictions["prediction_id"])
        return projected(predictions.with_columns(labels), columns)

    def find(self, prediction_id: PredictionId) -> tuple[PredictionRecord, int] | None:
        """The whole request of a prediction, and which of its rows it is; None if it is not here."""
        request, row = _split(prediction_id)

        def read() -> tuple[PredictionRecord, int] | None:
            with self._lock:
                view = self._refresh()
                fresh = self._fresh.get(request)
                tables = self._tails[fresh[0]].tables if fresh else []
                stored = self._stored([request], view)
            for table in tables:
                rows = table.filter(pl.col("request_id") == request)
                if rows.height:
                    return (record_of(rows), row) if row < rows.height else None
            for _, segment, offset, count in stored:
                rows = self._segments.rows(segment, offset, count)
                if rows["request_id"][0] == request:
                    return (record_of(rows), row) if row < rows.height else None
            return None

        return self._again(read) if row >= 0 else None

    def labels_of(self, prediction_id: PredictionId) -> list[Kept]:
        """Every label kept for a prediction, oldest first."""
        return self._labels.of(prediction_id)

    def add_labels(self, labels: Sequence[GroundTruth]) -> LabelReceipt:
        """See ports/predictions."""
        return self._labels.add(labels, self._known)

    def labels_aside(self, since: datetime | None = None) -> list[GroundTruth]:
        """See ports/predictions."""
        return self._labels.aside(self._known, since=since)

    def add_keyed_labels(self, labels: Sequence[KeyedTruth]) -> LabelReceipt:
        """See ports/predictions."""
        checked_keys(labels)
        if not labels:
            return LabelReceipt()
        self._try_waiting()
        return self._settle(labels)

    def labels_waiting(self) -> list[KeyedTruth]:
        """See ports/predictions."""
        return self._keyed.waiting()

    def add_feedback(self, feedback: Sequence[Feedback]) -> FeedbackReceipt:
        """See ports/predictions."""
        return self._feedback.add(feedback, self._known)

    def feedback(
        self, since: datetime | None, until: datetime | None, *, prediction_id: PredictionId | None
    ) -> list[Feedback]:
        """See ports/predictions."""
        return self._feedback.words(since, until, prediction_id=prediction_id)

    def has_predictions(self) -> bool:
        """Whether at least one row is here."""

        def look() -> bool:
            with self._lock:
                return bool(self._refresh().segments) or any(tail.tables for tail in self._tails.values())

        return self._again(look)

    def compact(self) -> int:
        """See ports/predictions. Journals of killed writers are taken too: those that nobody holds a lock on."""
        if not self._journals.is_dir():
            return 0
        with locked(self._folder):
            self._segments.recover()
            moved = sum(self._compacted())
            for segment, table in self._segments.merge(
                time_column="at", arrange=lambda some: pl.concat(some).sort(ORDER)
            ):
                with self._lock:
                    self._entries[segment.name] = _entries(table)
        self._try_waiting()
        for book in (self._labels, self._keyed, self._feedback):
            book.compact()
        return moved

    def _settle(self, labels: Sequence[KeyedTruth]) -> LabelReceipt:
        receipts: list[LabelReceipt] = []
        meant = self._keyed.settle(
            labels,
            self._meant,
            keep=lambda found: receipts.append(self._labels.add(truths(labels, found), self._known)),
        )
        waiting = dict.fromkeys(label.key for label, names in zip(labels, meant, strict=True) if not names)
        return msgspec.structs.replace(receipts[0], waiting=tuple(waiting))

    def _try_waiting(self) -> None:
        """Look for the predictions of outcomes that wait, unless nothing was written since this process last looked in vain."""
        waiting = self._keyed.waiting()
        if not waiting:
            return
        with self._lock:
            state = (self._again(self._refresh), len(self._fresh))
        if state != self._tried:
            self._settle(waiting)
            self._tried = state

    def _meant(self, labels: Sequence[KeyedTruth]) -> list[list[PredictionId]]:
        """For each outcome the predictions that it is about."""
        low, high = span(labels)
        names = ["request_id", "row", "at", "key"]
        inside = _within(low, high) & pl.col("key").is_in(list({label.key for label in labels}))

        def read() -> pl.DataFrame:
            with self._lock:
                view = self._refresh()
                tables = [table for tail in self._tails.values() for table in tail.tables]
            stored = [
                self._segments.read(segment, columns=names, where=inside)
                for segment in view.segments
                if segment.until >= low and segment.since < high
            ]
            return pl.concat([pl.DataFrame(schema=KEYED), *stored, *(t.select(names).filter(inside) for t in tables)])

        rows = self._again(read)
        return nearest(rows.with_columns(prediction_id=pl.concat_str("request_id", pl.lit("."), "row")), labels)

    def parts(self) -> list[LogPart]:
        """See ports/predictions."""

        def look() -> list[LogPart]:
            with self._lock:
                view = self._refresh()
                return parts_of(view.segments, {stem: tail.tables for stem, tail in self._tails.items()})

        return [*self._again(look), *aside_in(self._segments.folder, self._journals)]

    def set_aside(self) -> list[LogPart]:
        """See ports/predictions. A journal whose writer lives stays: what it appends would be lost with it."""
        if not self._journals.is_dir():
            return []
        with locked(self._folder), contextlib.ExitStack() as held:
            for path in damaged_files(self._segments, self._journals):
                if path.parent != self._journals or _take_over(path, held):
                    put_aside(path)
        return list(aside_in(self._segments.folder, self._journals))

    def _compacted(self) -> Iterator[int]:
        with contextlib.ExitStack() as held:
            orphans = {name for name in listing(self._journals) if _take_over(self._journals / name, held)}
            with self._lock:
                view = self._again(self._refresh)
            counted = {journal.path.name for journal in view.journals}
            moved = {segment.stem for segment in view.segments}
            for name in listing(self._journals):
                path = self._journals / name
                journal = Journal(path, finished=path.suffix == ".closed")
                if name in counted and (journal.finished or name in orphans):
                    yield self._move(journal)
                elif path.stem in moved or (path.suffix == ".new" and name in orphans):
                    path.unlink(
                        missing_ok=True
                    )  # its writer, or an earlier compactor, was killed just before it would have done this
            sync_folder(self._journals)

    def _move(self, journal: Journal) -> int:
        """Turn one journal into a segment. A table that was taken up in one piece is used as it is; several are read again as one."""
        with self._lock:
            self._again(self._refresh)
            tail = self._tails[journal.stem]
            table = tail.tables[0] if len(tail.tables) == 1 else self._whole(journal, tail)
            if table.height:
                segment = self._segments.write(journal.stem, table, time_column="at")
                self._entries[segment.name] = _entries(table)
            journal.path.unlink(missing_ok=True)
            del self._tails[journal.stem]
            self._fresh = {request: place for request, place in self._fresh.items() if place[0] != journal.stem}
        return table.height

    def _whole(self, journal: Journal, tail: Tail) -> pl.DataFrame:
        bodies, _ = read_frames(journal.path, KIND, sealed=journal.finished, newest=VERSION)
        batches = [without(batch, tail.repeated) for batch in _decoded(bodies, journal.path)]
        return table_of(batches, self._deployment)

    def _view(self) -> View:
        """Journals are listed before segments: one that becomes a segment in between is seen twice, and the segment counts."""
        names = listing(self._journals)
        segments = self._segments.segments()
        moved = {segment.stem for segment in segments}
        journals = [
            Journal(self._journals / name, name.endswith(".closed"))
            for name in names
            if name.endswith((".open", ".closed"))
        ]
        return View(tuple(journal for journal in journals if journal.stem not in moved), tuple(segments))

    def _refresh(self) -> View:
        """Take up what was written since the last look, in the order of writing. Raises FileNotFoundError when files move meanwhile."""
        view = self._view()
        if self._tails.keys() - {
            journal.stem for journal in view.journals
        }:  # another process made segments of some: begin anew
            self._tails.clear()
            self._fresh.clear()
        read: list[tuple[str, Batch]] = []
        ends: dict[str, int] = {}
        for journal in view.journals:
            after = self._tails[journal.stem].end if journal.stem in self._tails else 0
            bodies, ends[journal.stem] = read_frames(
                journal.path, KIND, after=after, sealed=journal.finished, newest=VERSION
            )
            read += [(journal.stem, batch) for batch in _decoded(bodies, journal.path)]
        try:
            self._absorb(sorted(read, key=lambda item: item[1].written), view)
        except BaseException:  # taken up by half: begin anew with the next look
            self._tails.clear()
            self._fresh.clear()
            raise
        for stem, end in ends.items():
            self._tails.setdefault(stem, Tail()).end = end
        return view

    def _absorb(self, read: list[tuple[str, Batch]], view: View) -> None:
        """Add batches to the tails, without requests that are here already."""
        requests = [request for _, batch in read for block in batch.blocks for request in block.request]
        if not requests:
            return
        stored = set(self._confirmed(requests, view)) if view.segments else set()
        new: dict[str, list[Batch]] = {}
        for stem, batch in read:
            repeated = self._tails.setdefault(stem, Tail()).repeated
            records = sorted(
                (place, request, rows) for block in batch.blocks for place, request, rows in records_in(block)
            )
            for place, request, rows in records:
                if request in stored or request in self._fresh:
                    repeated.add((batch.written, place))
                else:
                    self._fresh[request] = (stem, rows)
            new.setdefault(stem, []).append(without(batch, repeated))
        for stem, batches in new.items():
            table = table_of(batches, self._deployment)
            if table.height:
                _push(self._tails[stem].tables, table)

    def _confirmed(self, requests: Sequence[str], view: View) -> Iterator[str]:
        """Those of these requests that a segment holds; each hit of the index is looked up, for it is by hash."""
        for asked, segment, offset, _ in self._stored(requests, view):
            if self._segments.rows(segment, offset, 1)["request_id"][0] == requests[asked]:
                yield requests[asked]

    def _known(self, ids: Sequence[str]) -> list[bool]:
        """Which prediction ids are in the log."""
        parts = [_split(PredictionId(name)) for name in ids]

        def look() -> list[bool]:
            with self._lock:
                view = self._refresh()
                counts = {request: self._fresh[request][1] for request, _ in parts if request in self._fresh}
                for asked, _, _, rows in self._stored([request for request, _ in parts], view):
                    counts.setdefault(parts[asked][0], rows)
            return [0 <= row < counts.get(request, 0) for request, row in parts]

        return self._again(look) if ids else []

    def _stored(self, requests: Sequence[str], view: View) -> list[tuple[int, Segment, int, int]]:
        """Where segments hold these requests: (place in `requests`, segment, offset, rows); by hash, so whoever must be certain looks."""
        if merged := set(self._numbered) - set(view.segments):
            self._drop(merged)
        for segment in sorted(set(view.segments) - set(self._numbered), key=lambda new: new.name):
            entries = self._entries.pop(segment.name, None)
            if entries is None:
                entries = _entries(self._segments.read(segment, columns=["request_id", "row"]))
            self._index.add(entries.with_columns(segment=pl.lit(len(self._numbered), pl.UInt32)))
            self._numbered.append(segment)
        found = self._index.find(requests).select("asked", "segment", "offset", "rows")
        return [(asked, self._numbered[segment], offset, rows) for asked, segment, offset, rows in found.iter_rows()]

    def _drop(self, merged: set[Segment]) -> None:
        """Take segments out of the index."""
        kept = [(number, segment) for number, segment in enumerate(self._numbered) if segment not in merged]
        renumber = {number: place for place, (number, _) in enumerate(kept)}
        entries = self._index.table().filter(pl.col("segment").is_in(list(renumber)))
        self._index = HashIndex(ENTRY)
        self._index.add(entries.with_columns(pl.col("segment").replace_strict(renumber, return_dtype=pl.UInt32)))
        self._numbered = [segment for _, segment in kept]

    def _part(
        self, segment: Segment, low: int | None, high: int | None, wanted: set[str] | None
    ) -> pl.DataFrame | None:
        """A segment's rows in the span, with the wanted columns that it has; None if it has no such row."""
        if (low is not None and segment.until < low) or (high is not None and segment.since >= high):
            return None
        inside = (low is None or segment.since >= low) and (high is None or segment.until < high)
        held = None if wanted is None else [name for name in self._segments.schema(segment) if name in wanted]
        return self._segments.read(segment, columns=held, where=None if inside else _within(low, high))

    def _again(self, work: Callable[[], T]) -> T:
        """Repeat a reading whose files were moved by a compactor or finished by a writer meanwhile."""
        for _ in range(TRIES):
            try:
                return work()
            except FileNotFoundError:
                continue
        raise StoreUnavailable(
            f"files of deployment {self._deployment!r} move faster than they can be read", remedy="try again"
        )


def _only(table: pl.DataFrame, wanted: set[str] | None) -> pl.DataFrame:
    return table if wanted is None else table.select([name for name in table.columns if name in wanted])


def _take_over(path: Path, held: contextlib.ExitStack) -> bool:
    """Lock a file that its writer no longer holds; False if the writer lives."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise translated(exc, f"journal {str(path)!r} cannot be read") from exc
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _push(tables: list[pl.DataFrame], table: pl.DataFrame) -> None:
    """Add a table, and put those of the same columns together as soon as they are of like size: few tables, each row copied seldom."""
    tables.append(table)
    while len(tables) > 1 and tables[-2].height <= 2 * tables[-1].height and tables[-2].schema == tables[-1].schema:
        last = tables.pop()
        tables[-1] = pl.concat([tables[-1], last]).sort(ORDER)


def _decoded(bodies: Sequence[bytes], path: Path) -> list[Batch]:
    try:
        return [unpack(body) for body in bodies]
    except (msgspec.MsgspecError, ValueError) as exc:
        raise StoreCorrupt(
            f"journal {str(path)!r} is damaged",
            cause=str(exc),
            remedy=f"mv {str(path)!r} elsewhere to go on without it",
        ) from exc


def _within(low: int | None, high: int | None) -> pl.Expr:
    at = pl.col("at")
    after = pl.lit(True) if low is None else at >= pl.lit(low, pl.Int64).cast(TIME)
    before = pl.lit(True) if high is None else at < pl.lit(high, pl.Int64).cast(TIME)
    return after & before


def _split(prediction_id: str) -> tuple[str, int]:
    """Request and row of a prediction; row -1 if this is no prediction id."""
    request, _, row = prediction_id.rpartition(".")
    plain = row.isascii() and row.isdigit() and len(row) < 10 and (row == "0" or row[0] != "0")
    return request, int(row) if plain else -1


def _entries(table: pl.DataFrame) -> pl.DataFrame:
    """Hash, rows and offset of each request of a stored table, whose rows stand together."""
    firsts = (
        table.select(h=hashes(table["request_id"]), first=pl.col("row") == 0).with_row_index("offset").filter("first")
    )
    ends = firsts["offset"].shift(-1).fill_null(table.height)
    return firsts.select("h", (ends - firsts["offset"]).cast(pl.UInt32).alias("rows"), pl.col("offset").cast(pl.UInt32))
