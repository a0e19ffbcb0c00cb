"""What a log on the disk consists of, and files that cannot be read set aside under their own names. Called by deployment_log.py."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl

from noria.adapters.predictions.batches import unpack
from noria.adapters.predictions.frames import listing, read_frames, sync_folder, translated
from noria.adapters.predictions.journal import KIND, VERSION
from noria.adapters.predictions.segments import SUFFIX, Segment, SegmentFolder, parsed
from noria.domain.log_part import LogPart
from noria.errors import StoreCorrupt

DAMAGED = ".damaged"


def parts_of(segments: Sequence[Segment], tails: Mapping[str, Sequence[pl.DataFrame]]) -> list[LogPart]:
    """Segments by their stems, and journals as far as they were read: a journal that became a segment is still the same part."""
    found = [
        LogPart(name=s.stem, since=_moment(s.since), until=_moment(s.until), rows=s.rows) for s in segments if s.rows
    ]
    for stem, tables in tails.items():
        times = [(table["at"].min(), table["at"].max()) for table in tables if table.height]
        if times:
            since, until = min(low for low, _ in times), max(high for _, high in times)  # type: ignore[type-var]
            rows = sum(table.height for table in tables)
            found.append(LogPart(name=stem, since=since, until=until, rows=rows))  # type: ignore[arg-type]
    return sorted(found, key=lambda part: (part.since, part.name))


def aside_in(*folders: Path) -> Iterator[LogPart]:
    """The files that were set aside, and whose place nothing has taken since. Of a journal it is not known what it held: its times are the file's."""
    for folder in folders:
        names = set(listing(folder))
        for name in sorted(names):
            plain = name.removesuffix(DAMAGED)
            if plain == name or plain in names:
                continue
            segment = parsed(plain) if plain.endswith(SUFFIX) else None
            if segment is not None:
                since, until, rows = _moment(segment.since), _moment(segment.until), segment.rows
            else:
                since = until = _written(folder / name)
                rows = 0
            yield LogPart(name=plain, since=since, until=until, rows=rows, damaged="its bytes are not those written")


def damaged_files(segments: SegmentFolder, journals: Path) -> Iterator[Path]:
    """Segments whose bytes do not have the digest in their name, or that are called like none, and journals with what is not a frame."""
    files = [segments.folder / name for name in listing(segments.folder) if name.endswith(SUFFIX)]
    files += [journals / name for name in listing(journals) if name.endswith((".open", ".closed"))]
    for path in files:
        try:
            if path.suffix == SUFFIX:
                segments.check(path.name)
            else:
                for body in read_frames(path, KIND, sealed=path.suffix == ".closed", newest=VERSION)[0]:
                    unpack(body)
        except (StoreCorrupt, msgspec.MsgspecError, ValueError):
            yield path
        except FileNotFoundError:  # it became part of another file meanwhile
            continue


def put_aside(path: Path) -> None:
    """Give a file the name under which nobody reads it. Raises StoreUnavailable."""
    try:
        os.replace(path, path.with_name(path.name + DAMAGED))
        sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise translated(exc, f"damaged file {str(path)!r} cannot be set aside") from exc


def _moment(since_epoch: int) -> datetime:
    return datetime.fromtimestamp(since_epoch / 1e6, UTC)


def _written(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)
