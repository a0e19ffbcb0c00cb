"""A folder of Parquet segments that carry their own particulars in their names: `<stem>.<since>_<until>_<rows>_<check>.parquet`.

A segment is written once and never changed. since, until: us since 1970 of its first and last row; check: first 16 hexadecimal characters of its
BLAKE3, which every process verifies before it first reads the file. Knows nothing of predictions or labels. Called by parquet.py and labels.py.
"""

import contextlib
import io
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import polars as pl
from blake3 import blake3

from noria.adapters.predictions.frames import listing, make_folder, sync_folder, translated
from noria.errors import StoreCorrupt

ROWS_PER_GROUP = 8192
MERGE_FROM = 8
MERGE_ROWS = 65_536
SUFFIX = ".parquet"

_NAME = re.compile(r"(?P<stem>.+)\.(?P<since>-?\d+)_(?P<until>-?\d+)_(?P<rows>\d+)_(?P<check>[0-9a-f]{16})\.parquet")


class Segment(msgspec.Struct, frozen=True):
    """One file, as its name tells it."""

    name: str
    stem: str
    since: int
    until: int
    rows: int
    check: str


class Intent(msgspec.Struct, frozen=True):
    """A merge under way: once `whole` exists, `parts` no longer count."""

    whole: str
    parts: tuple[str, ...]


class SegmentFolder:
    """Reads from any process; writes (`write`, `merge`, `recover`) only by whoever holds the deployment's lock. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verified: set[str] = set()
        self._schemas: dict[str, dict[str, pl.DataType]] = {}

    def segments(self) -> list[Segment]:
        """Every segment that counts, by (since, name). Raises StoreCorrupt for a file that is not one."""
        while True:
            names = listing(self.folder)
            try:
                dead = {part for intent in self._intents(names) if intent.whole in names for part in intent.parts}
            except FileNotFoundError:  # a merge was just completed
                continue
            found = [self._parsed(name) for name in names if name.endswith(SUFFIX) and name not in dead]
            # The same bytes under two names (a backup that was put back beside what had been there) are one segment.
            once = {(s.since, s.until, s.rows, s.check): s for s in sorted(found, key=lambda s: s.name, reverse=True)}
            return sorted(once.values(), key=lambda segment: (segment.since, segment.name))

    def read(
        self, segment: Segment, *, columns: Sequence[str] | None = None, where: pl.Expr | None = None
    ) -> pl.DataFrame:
        """Rows of a segment. Raises StoreCorrupt naming the file, and FileNotFoundError when the segment was merged into another."""
        lazy = self._open(segment)
        lazy = lazy if where is None else lazy.filter(where)
        return self._collect(lazy if columns is None else lazy.select(columns), segment)

    def rows(self, segment: Segment, offset: int, count: int) -> pl.DataFrame:
        """`count` rows from `offset` on. Raises as `read`."""
        return self._collect(self._open(segment).slice(offset, count), segment)

    def write(self, stem: str, frame: pl.DataFrame, *, time_column: str) -> Segment:
        """Write a table with at least one row as a segment that is on the disk when this returns. Raises DiskFull."""
        segment, content = _rendered(stem, frame, time_column)
        make_folder(self.folder)
        self._store(content, segment.name)
        self._verified.add(segment.name)
        return segment

    def merge(
        self, *, time_column: str, arrange: Callable[[list[pl.DataFrame]], pl.DataFrame]
    ) -> Iterator[tuple[Segment, pl.DataFrame]]:
        """Make large segments of neighbouring small ones of the same columns, and give each with its rows when it is in place.

        A crash at any point loses and doubles nothing: an intent names the parts before the whole appears.
        """
        for group in self._mergeable():
            frame = arrange([self.read(segment) for segment in group])
            segment, content = _rendered(f"merged-{time.time_ns()}", frame, time_column)
            intent = Intent(whole=segment.name, parts=tuple(part.name for part in group))
            noted = f"{segment.stem}.intent"
            self._store(msgspec.json.encode(intent), noted)
            self._store(content, segment.name)
            self._verified.add(segment.name)
            self._complete(intent, noted)
            yield segment, frame

    def recover(self) -> None:
        """Complete or forget what a killed process left: merges under way and temporary files."""
        names = listing(self.folder)
        for noted in [name for name in names if name.endswith(".intent")]:
            intent = self._intent(noted)
            self._complete(intent if intent.whole in names else Intent(whole=intent.whole, parts=()), noted)
        for name in names:
            if name.startswith(".part-"):
                (self.folder / name).unlink(missing_ok=True)

    def schema(self, segment: Segment) -> dict[str, pl.DataType]:
        """Names and types of a segment's columns. Raises as `read`."""
        if segment.name not in self._schemas:
            self._schemas[segment.name] = dict(self._open(segment).collect_schema())
        return self._schemas[segment.name]

    def path(self, segment: Segment) -> Path:
        """Where the file is."""
        return self.folder / segment.name

    def check(self, name: str) -> None:
        """Read a segment's bytes anew. Raises StoreCorrupt if they are not those that were written, FileNotFoundError when it is gone."""
        segment = self._parsed(name)
        self._verified.discard(name)
        self._collect(self._open(segment).head(0), segment)

    def _mergeable(self) -> list[list[Segment]]:
        groups: list[list[Segment]] = []
        for segment in self.segments():
            group = groups[-1] if groups else []
            fits = group and sum(part.rows for part in group) + segment.rows <= MERGE_ROWS
            if fits and self.schema(group[0]) == self.schema(segment):
                group.append(segment)
            else:
                groups.append([segment])
        return [group for group in groups if len(group) >= MERGE_FROM]

    def _complete(self, intent: Intent, noted: str) -> None:
        try:
            for part in intent.parts:
                (self.folder / part).unlink(missing_ok=True)
            sync_folder(self.folder)
            (self.folder / noted).unlink(missing_ok=True)
        except OSError as exc:
            raise translated(exc, f"segments in {str(self.folder)!r} cannot be merged") from exc

    def _store(self, content: bytes, name: str) -> None:
        temporary = self.folder / f".part-{secrets.token_hex(8)}"
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self.folder / name)
            sync_folder(self.folder)
        except OSError as exc:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise translated(exc, f"segment {str(self.folder / name)!r} cannot be written") from exc

    def _open(self, segment: Segment) -> pl.LazyFrame:
        path = self.path(segment)
        try:
            if segment.name not in self._verified:
                if blake3(path.read_bytes()).hexdigest()[:16] != segment.check:
                    raise _damaged(path, "its bytes do not have the digest in its name")
                self._verified.add(segment.name)
            return pl.scan_parquet(path, glob=False)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise translated(exc, f"segment {str(path)!r} cannot be read") from exc

    def _collect(self, lazy: pl.LazyFrame, segment: Segment) -> pl.DataFrame:
        try:
            return lazy.collect()
        except FileNotFoundError:
            raise
        except (OSError, pl.exceptions.PolarsError) as exc:
            raise _damaged(self.path(segment), str(exc)) from exc

    def _intents(self, names: list[str]) -> list[Intent]:
        return [self._intent(name) for name in names if name.endswith(".intent")]

    def _intent(self, name: str) -> Intent:
        path = self.folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=Intent)
        except msgspec.MsgspecError as exc:
            raise _damaged(path, str(exc)) from exc

    def _parsed(self, name: str) -> Segment:
        segment = parsed(name)
        if segment is None:
            raise _damaged(self.folder / name, "its name is not that of a segment")
        return segment


def parsed(name: str) -> Segment | None:
    """What a file's name tells of it; None if it is not that of a segment."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return Segment(
        name=name,
        stem=match["stem"],
        since=int(match["since"]),
        until=int(match["until"]),
        rows=int(match["rows"]),
        check=match["check"],
    )


def _rendered(stem: str, frame: pl.DataFrame, time_column: str) -> tuple[Segment, bytes]:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True, row_group_size=ROWS_PER_GROUP)
    content = buffer.getvalue()
    since, until = frame[time_column].dt.timestamp("us").sort()[[0, -1]].to_list()
    check = blake3(content).hexdigest()[:16]
    name = f"{stem}.{since}_{until}_{frame.height}_{check}{SUFFIX}"
    return Segment(name=name, stem=stem, since=since, until=until, rows=frame.height, check=check), content


def _damaged(path: Path, cause: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"segment {str(path)!r} is damaged",
        cause=cause,
        remedy=f"restore this file from a backup, or go on without it: mv {str(path)!r} elsewhere",
    )
