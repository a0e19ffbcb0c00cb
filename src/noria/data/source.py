"""Read a table from a file or from memory, or say what is wrong with it.

Holding it to a schema is schema.py. Called by snapshot and by projects.
"""

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from noria.domain.arrow import ArrowTable
from noria.domain.dataset import Schema
from noria.errors import EmptyTable, SourceUnreadable
from noria.wire.tables import open_table

FORMATS = (".csv", ".csv.gz", ".csv.zip", ".parquet")
"""What read_source knows, by the end of the file's name. A zip must hold exactly one CSV file."""
_TIMES = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")


def read_source(
    source: Path | ArrowTable,
    *,
    schema: Schema | None = None,
    null_values: Sequence[str] = (),
    allow_empty: bool = False,
) -> pl.DataFrame:
    """The source as a frame: a CSV or Parquet file (see FORMATS), a polars frame, or any Arrow table.

    A CSV column has the first type that fits all of its values: int64, float64, bool, date, datetime (ISO 8601), else text; leading zeros make
    text of a number ('00501'). schema: columns that it calls text are text in any case; types are not forced otherwise (conform does that, and
    names what differs). null_values: texts of a CSV that mean 'missing', beside the empty field.
    Raises SourceUnreadable (missing, truncated, not the format it claims) and EmptyTable (no rows, unless allow_empty).

    >>> read_source(pl.DataFrame({"a": [1, 2]})).height
    2
    """
    if isinstance(source, Path):
        frame = _read_file(source, schema, null_values)
        name = f"'{source}'"
    else:
        frame, name = open_table(source), "the table"
    if frame.height == 0 and not allow_empty:
        raise EmptyTable(
            f"{name} has no rows",
            cause=f"it has {frame.width} columns and nothing below them" if frame.width else "it is empty",
            remedy="check that the source was written completely and covers the time that you meant",
        )
    return frame


def _read_file(path: Path, schema: Schema | None, null_values: Sequence[str]) -> pl.DataFrame:
    name = path.name.lower()
    if not name.endswith(FORMATS):
        raise SourceUnreadable(
            f"'{path}' has no format that can be read",
            cause=f"known are {', '.join(FORMATS)}",
            remedy="convert it to Parquet, or hand in a polars DataFrame",
        )
    if not path.is_file():
        raise SourceUnreadable(
            f"'{path}' is {'a folder' if path.is_dir() else 'not there'}",
            cause=_neighbours(path),
            remedy="check the path; relative ones start at the folder the command runs in",
        )
    try:
        if name.endswith(".parquet"):
            return pl.read_parquet(path)
        return _read_csv(_text_of(path), path, schema, null_values)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise SourceUnreadable(
            f"'{path}' cannot be read as {'Parquet' if name.endswith('.parquet') else 'CSV'}",
            cause=f"{_first_line(error)} ({path.stat().st_size:,} bytes)",
            remedy="copy or export it again: it may be truncated or of another format than its name says",
        ) from error


def _text_of(path: Path) -> bytes:
    """The CSV inside the file, unpacked."""
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.decompress(path.read_bytes())
    if not name.endswith(".zip"):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.namelist() if m.lower().endswith(".csv") and not m.startswith("__MACOSX")]
        if len(members) != 1:
            raise zipfile.BadZipFile(f"the archive holds {len(members)} CSV files, expected one")
        return archive.read(members[0])


def _read_csv(text: bytes, path: Path, schema: Schema | None, null_values: Sequence[str]) -> pl.DataFrame:
    if not text.strip():
        return pl.DataFrame()
    header = next(csv.reader(io.StringIO(text[: _line_end(text)].decode("utf-8-sig"))))
    _refuse_truncated(text, path, len(header))
    as_text = {c.name for c in schema.columns if c.dtype == "string"} if schema else set()
    # All as text first: a parser that guesses types from the first rows fails, or lies, at the first row that differs; and polars' own search
    # through all rows takes 42 s for a year of flights, where this takes 0.7.
    table = pl.read_csv(io.BytesIO(text), null_values=list(null_values), infer_schema=False)
    return pl.DataFrame([c if c.name in as_text else _typed(c) for c in table.get_columns()])


def _typed(column: pl.Series) -> pl.Series:
    """The column in the first type that fits all of its values; text where none does."""
    values = column.drop_nulls()
    if values.is_empty():
        return column
    sample = values.head(200)
    for read in (_whole_numbers, _numbers, _truth_values, _dates, _times):
        if read(sample).null_count() == 0:
            typed = read(column)
            if typed.null_count() == column.null_count():
                return typed
    return column


def _whole_numbers(texts: pl.Series) -> pl.Series:
    return _without_codes(texts).cast(pl.Int64, strict=False)


def _numbers(texts: pl.Series) -> pl.Series:
    return _without_codes(texts).cast(pl.Float64, strict=False)


def _without_codes(texts: pl.Series) -> pl.Series:
    """Digits after a needless zero are a code: '00501' is a place, 501 is not."""
    return texts.set(texts.str.contains(r"^[+-]?0[0-9]"), None)


def _truth_values(texts: pl.Series) -> pl.Series:
    lower = texts.str.to_lowercase()
    return (lower == "true").set(~lower.is_in(["true", "false"]), None)


def _dates(texts: pl.Series) -> pl.Series:
    return texts.str.to_date("%Y-%m-%d", strict=False)


def _times(texts: pl.Series) -> pl.Series:
    """ISO 8601 to the microsecond, all with a zone or all without; '01/02/2013' is in January or in February, and stays text."""
    iso = texts.set(texts.str.contains(r"\.[0-9]{7}"), None).str.replace("T", " ", literal=True)
    for layout in _TIMES[:-1]:
        times = iso.str.to_datetime(layout, strict=False, time_unit="us")
        if times.null_count() == texts.null_count():
            return times
    return iso.str.to_datetime(_TIMES[-1], strict=False, time_unit="us")


def _refuse_truncated(text: bytes, path: Path, width: int) -> None:
    """A last line that is not ended and too short is a cut file; the parser alone would fill it up with nulls."""
    if text.endswith((b"\n", b"\r")) or width < 2:
        return
    last = text[text.rfind(b"\n") + 1 :].decode(errors="replace")
    fields = len(next(csv.reader(io.StringIO(last)), []))
    if 0 < fields < width and text.count(b'"') % 2 == 0:
        raise SourceUnreadable(
            f"'{path}' ends in the middle of a line",
            cause=f"the last line has {fields} of {width} fields and no line end",
            remedy="copy or export it again, then repeat the command: nothing was stored",
        )


def _line_end(text: bytes) -> int:
    end = text.find(b"\n")
    return len(text) if end < 0 else end


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"the folder '{folder}' does not exist"
    files = sorted(p.name for p in folder.iterdir() if p.name.lower().endswith(FORMATS))
    return f"'{folder}' holds {', '.join(files[:6])}" if files else f"'{folder}' holds no CSV or Parquet file"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
