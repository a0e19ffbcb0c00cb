"""A book: small rows that are added for ever and found by a text id. Frames first, Parquet segments when there are many. Many processes, one order.

What the rows mean is labels.py's, keyed.py's and feedback.py's business. Called by these.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

import msgspec
import polars as pl

from noria.adapters.predictions.columns import TIME
from noria.adapters.predictions.frames import Appender, listing, locked, read_frames, sync_folder, translated
from noria.adapters.predictions.index import HashIndex, hashes
from noria.adapters.predictions.segments import Segment, SegmentFolder

COMPACT_BYTES = 1 << 20
WRITTEN = "_written"
OTHER = "_other"
"""The second hash in a slim index."""


class Book:
    """Rows of one schema in one folder, with a column `at` (us since 1970) and, behind the others, `_written`: the order of writing.

    A frame is the msgpack of [written of the first row, column, column, ...] in the order of the schema. What was appended is on the disk.
    """

    def __init__(self, folder: Path, *, kind: bytes, schema: Mapping[str, Any], by: str, slim: bool = False) -> None:
        """kind: 4 bytes that mark its files. by: the text column that rows are found by; the index knows it by its hash.

        slim: keep 128 bits of hash in memory in place of that text, for very many rows: two of 10^8 texts share them with a chance of 10^-23.
        """
        self._folder = folder
        self._kind = kind
        self._columns = dict(schema)
        self._schema = {**schema, WRITTEN: pl.Int64}
        self._by = by
        self._slim = slim
        self._segments = SegmentFolder(folder)
        self._lock = RLock()
        self._forget()

    def _forget(self) -> None:
        held = {name: dtype for name, dtype in self._schema.items() if name != self._by} | {OTHER: pl.UInt64}
        self._index = HashIndex(held if self._slim else self._schema)
        self._ends: dict[str, int] = {}
        self._names: set[str] = set()
        self._last = 0

    @contextlib.contextmanager
    def reading(self) -> Iterator[HashIndex]:
        """The rows as they are now, by the hash of their id; nothing is taken up by this process meanwhile."""
        with self._lock:
            self._refresh()
            yield self._index

    @contextlib.contextmanager
    def writing(self) -> Iterator[HashIndex]:
        """As `reading`, and nobody else appends meanwhile, in any process."""
        with self._lock, locked(self._folder):
            self._refresh()
            yield self._index

    def append(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Add rows, within `writing` only; times as us since 1970. Raises DiskFull, StoreUnavailable; nothing of them was kept then."""
        batch = [max(time.time_ns(), self._last + 1), *(list(columns[name]) for name in self._columns)]
        with self._appender() as file:
            file.append(msgspec.msgpack.encode(batch))
            self._ends[file.path.stem] = file.end
        self._take([self._table([batch])])

    def find(self, ids: Sequence[str]) -> pl.DataFrame:
        """Rows of these ids, in the order of writing. Within `reading` or `writing`."""
        asked = pl.Series(self._by, list(dict.fromkeys(ids)), dtype=pl.String)
        rows = self.placed(asked)
        if self._slim:
            rows = rows.with_columns(asked.gather(rows["asked"]))
        return rows.drop("asked").sort(WRITTEN)

    def placed(self, ids: pl.Series) -> pl.DataFrame:
        """Rows of these ids with `asked`, the place in `ids`; a slim book leaves out the id itself. Within `reading` or `writing`."""
        rows = self._index.find(ids)
        if not self._slim:
            return rows
        other = hashes(ids, seed=1).gather(rows["asked"])
        return rows.filter(pl.col(OTHER) == other).drop(OTHER)

    def everything(self) -> pl.DataFrame:
        """All rows in the order of writing; a slim book reads its files for that."""
        with self._lock:
            self._refresh()
            if not self._slim:
                return self._index.table().drop("h").sort(WRITTEN)
            while True:
                try:
                    stored = [self._stored(segment) for segment in self._segments.segments()]
                    moved = {segment.stem for segment in self._segments.segments()}
                    fresh = [self._whole(path) for path in self._journals() if path.stem not in moved]
                except FileNotFoundError:  # compacted by another process meanwhile
                    continue
                return pl.concat([pl.DataFrame(schema=self._schema), *stored, *fresh]).sort(WRITTEN)

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
            list(self._segments.merge(time_column="at", arrange=lambda frames: pl.concat(frames).sort(WRITTEN)))
            self._names = {segment.name for segment in self._segments.segments()}

    def _refresh(self) -> None:
        """Take up what this or another process wrote since the last look."""
        while True:
            try:
                journals = self._journals()
                segments = self._segments.segments()
                if {segment.name for segment in segments} != self._names:
                    self._forget()
                    self._load(segments)
                    self._names = {segment.name for segment in segments}
                moved = {segment.stem for segment in segments}
                for path in journals:
                    if path.stem not in moved:
                        bodies, end = read_frames(path, self._kind, after=self._ends.get(path.stem, 0))
                        self._take([self._table([msgspec.msgpack.decode(body, type=list[Any]) for body in bodies])])
                        self._ends[path.stem] = end
                return
            except FileNotFoundError:  # compacted by another process between two looks
                self._forget()

    def _load(self, segments: Sequence[Segment]) -> None:
        """Take up all segments at once; of a slim book one text column at a time is in memory, not all of them."""
        self._index.load(self._noted(self._held(self._stored(segment))) for segment in segments)

    def _stored(self, segment: Segment) -> pl.DataFrame:
        """A segment's rows, with columns that the schema got later as null."""
        rows = self._segments.read(segment)
        later = [
            pl.lit(None, dtype=dtype).alias(name) for name, dtype in self._schema.items() if name not in rows.columns
        ]
        return rows.with_columns(later).select(list(self._schema)) if later else rows

    def _noted(self, rows: pl.DataFrame) -> pl.DataFrame:
        self._last = max(self._last, rows[WRITTEN].max() or 0)  # type: ignore[assignment]
        return rows

    def _take(self, frames: list[pl.DataFrame]) -> None:
        for frame in frames:
            if frame.height:
                self._index.add(self._noted(self._held(frame)))

    def _held(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What the index keeps of rows."""
        found = frame.with_columns(hashes(frame[self._by]))
        return found.with_columns(hashes(frame[self._by], seed=1).alias(OTHER)).drop(self._by) if self._slim else found

    @contextlib.contextmanager
    def _appender(self) -> Iterator[Appender]:
        """The newest journal, positioned behind its last whole frame: whoever was killed while writing behind it held the lock that we hold."""
        moved = {segment.stem for segment in self._segments.segments()}
        journals = [path for path in self._journals() if path.stem not in moved]
        path = journals[-1] if journals else self._folder / f"{self._folder.name}-{time.time_ns()}.open"
        end = self._ends.get(path.stem, 0)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise translated(exc, f"journal {str(path)!r} cannot be opened") from exc
        file = Appender(descriptor, path=path, end=end, durable=True)
        try:
            os.ftruncate(descriptor, end)
            if not end:
                file.begin(self._kind)
                sync_folder(self._folder)
            yield file
        finally:
            file.close()

    def _move(self, path: Path) -> None:
        frame = self._whole(path)
        if frame.height:
            self._names.add(self._segments.write(path.stem, frame, time_column="at").name)
        self._remove(path)

    def _whole(self, path: Path) -> pl.DataFrame:
        """All rows of a journal."""
        bodies, _ = read_frames(path, self._kind)
        return self._table([msgspec.msgpack.decode(body, type=list[Any]) for body in bodies])

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._ends.pop(path.stem, None)
        sync_folder(self._folder)

    def _journals(self) -> list[Path]:
        return [self._folder / name for name in listing(self._folder) if name.endswith(".open")]

    def _table(self, batches: Sequence[Sequence[Any]]) -> pl.DataFrame:
        """Frames as one table. Each is [written, column, ...]; columns that a schema got later are missing in frames of before, and null."""
        columns = {
            name: pl.Series(
                name,
                [value for batch in batches for value in _column(batch, place)],
                dtype=pl.Int64 if dtype == TIME else dtype,
            ).cast(dtype)
            for place, (name, dtype) in enumerate(self._columns.items(), start=1)
        }
        written = [batch[0] + place for batch in batches for place in range(len(batch[1]))]
        return pl.DataFrame({**columns, WRITTEN: pl.Series(written, dtype=pl.Int64)})


def _column(batch: Sequence[Any], place: int) -> Sequence[Any]:
    return batch[place] if place < len(batch) else [None] * len(batch[1])
