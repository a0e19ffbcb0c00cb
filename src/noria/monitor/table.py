"""See any table as named columns of plain arrays: pandas, polars, Arrow, a dict of arrays, or a CSV or Parquet file.

Neither pandas nor polars is imported here unless the table is theirs; what the columns say is two_tables.py. Called by two_tables and watch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import isnan
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from noria.errors import EmptyTable, ExtraMissing, InputInvalid, SourceUnreadable
from noria.monitoring.profile import Coded

Kind = Literal["number", "text", "time", "empty", "other"]
"""What can be compared is a number or a text. empty: not one value, so it fits either. other: lists, bytes and the like."""

_MISSING_TYPES = frozenset({"NAType", "NaTType", "NoneType"})
_EXTRA = "pip install 'noria[data]'"


@dataclass(frozen=True, eq=False)
class Column:
    """One column. values: shape (rows,), float64 (missing is NaN), objects that are str or None, or datetime64[us] in UTC. dtype: for people."""

    name: str
    kind: Kind
    dtype: str
    values: NDArray[Any]

    @cached_property
    def coded(self) -> Coded:
        """A column of texts, read once for all that ask."""
        return Coded.of(self.values.tolist())

    def as_kind(self, kind: Kind) -> "Column":
        """An empty column seen as one of another kind: all of it missing."""
        if self.kind != "empty" or kind == "empty":
            return self
        missing: dict[Kind, Any] = {"number": np.nan, "text": None, "time": np.datetime64("NaT", "us")}
        dtype: dict[Kind, str] = {"number": "float64", "time": "datetime64[us]"}
        values = np.full(self.values.size, missing.get(kind), dtype=dtype.get(kind, "O"))
        return Column(name=self.name, kind=kind, dtype=self.dtype, values=values)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name, all of one length. name: how a message calls it."""

    name: str
    rows: int
    columns: Mapping[str, Column]

    def take(self, rows: NDArray[Any]) -> "Table":
        """The rows of a mask or of positions."""
        kept = {c.name: Column(name=c.name, kind=c.kind, dtype=c.dtype, values=c.values[rows]) for c in self}
        return Table(name=self.name, rows=int(np.arange(self.rows)[rows].size), columns=kept)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns.values())


def open_table(source: Any, name: str) -> Table:
    """See a table as columns. name: 'reference', say, for messages.

    source: a path (.parquet, .csv, .csv.gz, .csv.zip), a mapping of name to values, a pandas or polars frame, or anything with
    `__arrow_c_stream__` or `__dataframe__`. Raises SourceUnreadable, EmptyTable, InputInvalid, and ExtraMissing when reading it needs polars.

    >>> table = open_table({"price": [1, None, 3], "channel": ["web", "store", None]}, "orders")
    >>> [(c.name, c.kind) for c in table]
    [('price', 'number'), ('channel', 'text')]
    """
    if isinstance(source, str | Path):
        source = _read(Path(source))
    pairs = [(written(key), array, dtype) for key, array, dtype in _pairs(source, name)]
    names = [n for n, _, _ in pairs]
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise InputInvalid(
            f"the {name} table has two columns called {twice[0]!r}", remedy="rename one of them: names must differ"
        )
    columns = {n: _column(n, array, dtype) for n, array, dtype in pairs}
    sizes = {c.values.size for c in columns.values()}
    if len(sizes) > 1:
        raise InputInvalid(
            f"the columns of the {name} table have different lengths: {min(sizes)} to {max(sizes)} rows",
            remedy="hand in columns of one length",
        )
    rows = sizes.pop() if sizes else 0
    if rows == 0:
        raise EmptyTable(
            f"the {name} table has no rows",
            cause=f"it has {len(columns)} columns and nothing below them" if columns else "it is empty",
            remedy="check that it was written completely and covers the time that you meant",
        )
    return Table(name=name, rows=rows, columns=columns)


def _read(path: Path) -> Any:
    try:
        from noria.data.source import read_source
    except ImportError as exc:
        raise ExtraMissing("reading a CSV or Parquet file needs polars", cause=str(exc), remedy=_EXTRA) from exc
    return read_source(path, allow_empty=True)


def _pairs(source: Any, name: str) -> Iterator[tuple[str, NDArray[Any], str]]:
    """Name, array and type of each column."""
    library = type(source).__module__.partition(".")[0]
    if isinstance(source, Mapping):
        for key, values in source.items():
            array = _array(values)
            if array.ndim != 1:
                raise InputInvalid(
                    f"column {str(key)!r} of the {name} table has {array.ndim} dimensions",
                    remedy="hand in one value a row for each name",
                )
            yield str(key), array, _dtype_name(values, array)
    elif library == "pandas" and hasattr(source, "iloc") and hasattr(source, "columns"):
        for position, key in enumerate(source.columns):
            series = source.iloc[:, position]
            yield str(key), _from_pandas(series), str(series.dtype)
    else:
        for series in _polars(source, name).get_columns():
            yield series.name, _from_polars(series), str(series.dtype)


def _polars(source: Any, name: str) -> Any:
    """The table as a polars frame, opened through whatever way it offers."""
    streams, interchanges = hasattr(source, "__arrow_c_stream__"), hasattr(source, "__dataframe__")
    lazy = type(source).__module__.startswith("polars") and hasattr(source, "collect")
    if not (streams or interchanges or lazy):
        raise InputInvalid(
            f"the {name} table is a {type(source).__name__}, which is no table",
            remedy="hand in a pandas, polars or Arrow table, a dict of arrays, or the path of a CSV or Parquet file",
        )
    try:
        import polars as pl
    except ImportError as exc:
        raise ExtraMissing(
            f"reading a {type(source).__name__} needs polars",
            cause=str(exc),
            remedy=f"{_EXTRA}, or hand in a dict of arrays",
        ) from exc
    try:
        if lazy:
            return source.collect()
        if isinstance(source, pl.DataFrame):
            return source
        return pl.DataFrame(source) if streams else pl.from_dataframe(source)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OSError) as exc:
        raise SourceUnreadable(
            f"the {name} table cannot be read as Arrow",
            cause=(str(exc).splitlines() or [type(exc).__name__])[0],
            remedy="hand in a dict of arrays, or write it to Parquet",
        ) from exc


def _from_polars(series: Any) -> NDArray[Any]:
    import polars as pl

    dtype = series.dtype
    plain = series
    if dtype.is_decimal() or dtype == pl.Boolean:
        plain = series.cast(pl.Float64)
    elif dtype in (pl.String, pl.Categorical, pl.Enum):
        plain = series.cast(pl.String)
    elif isinstance(dtype, pl.Datetime):
        plain = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else series
    elif dtype == pl.Date:
        plain = series.cast(pl.Datetime("us"))
    elif dtype == pl.Duration:
        plain = series.cast(pl.Duration("us")).cast(pl.Int64).cast(pl.Float64) / 1e6
    elif not dtype.is_numeric():
        return _objects(series.to_list())
    return np.asarray(plain.to_numpy())


def _from_pandas(series: Any) -> NDArray[Any]:
    kind = getattr(series.dtype, "kind", "O")
    if isinstance(series.dtype, np.dtype) and kind != "O":
        return np.asarray(series.to_numpy())
    if kind in "biuf" and not hasattr(series, "cat"):
        return np.asarray(series.to_numpy(dtype="float64", na_value=np.nan))
    if kind == "M":
        naive = series.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(series.dt, "tz", None) else series
        return np.asarray(naive.to_numpy(dtype="datetime64[us]"))
    return np.asarray(series.to_numpy(dtype=object))


def _array(values: Any) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values
    if type(values).__module__.startswith("pandas") and hasattr(values, "to_numpy"):
        return _from_pandas(values)
    if type(values).__module__.startswith("polars") and hasattr(values, "to_numpy"):
        return _from_polars(values)
    if hasattr(values, "__array__"):
        return np.asarray(values)
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        return np.asarray(values, dtype=object)
    return _objects(list(values))


def _objects(values: list[Any]) -> NDArray[Any]:
    """A list as one dimension of objects, whatever it holds: numpy alone would stack inner lists and make texts of mixed values."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _dtype_name(values: Any, array: NDArray[Any]) -> str:
    return str(getattr(values, "dtype", "" if array.dtype.kind == "O" else array.dtype))


def _column(name: str, array: NDArray[Any], dtype: str) -> Column:
    """Decide what a column is by its values. An array of objects is what all of them are; one text among them makes it text."""
    kind: Kind
    code = array.dtype.kind
    if code in "biuf":
        values = array.astype(np.float64, copy=False)
        kind = "empty" if code == "f" and np.isnan(values).all() else "number"
    elif code == "M":
        kind, values = "time", array.astype("datetime64[us]")
    elif code == "m":
        kind, values = "number", np.where(np.isnat(array), np.nan, array / np.timedelta64(1, "s"))
    elif code in "UT":
        kind, values = "text", _texts(array.tolist())
    elif code == "O":
        kind, values = _from_objects(array)
    else:
        kind, values = "other", array
    return Column(name=name, kind=kind, dtype=dtype if dtype not in ("", "object") else kind, values=values)


def _from_objects(array: NDArray[Any]) -> tuple[Kind, NDArray[Any]]:
    items = array.tolist()
    try:
        distinct = set(items)
    except TypeError:  # lists and the like
        distinct = set()
    kinds = set(map(type, distinct))
    if kinds <= {str, type(None)} and str in kinds:
        return "text", array if _is_writable(distinct) else _texts(items)
    kinds = set(map(type, items))
    kinds = {k for k in kinds if k.__name__ not in _MISSING_TYPES}
    if not kinds or (all(issubclass(k, float) for k in kinds) and all(_is_missing(v) for v in items)):
        return "empty", array
    if all(k.__module__ == "uuid" for k in kinds) or any(issubclass(k, str) for k in kinds):
        plain = all(issubclass(k, str | Real | Decimal) or k.__module__ in ("datetime", "uuid") for k in kinds)
        return ("text", _texts(items)) if plain else ("other", array)
    if all(issubclass(k, Real | Decimal | np.generic) for k in kinds) and not any(
        issubclass(k, np.datetime64) for k in kinds
    ):
        return "number", np.array([np.nan if _is_missing(v) else float(v) for v in items], dtype=np.float64)
    if all(k.__name__ in ("datetime", "date", "Timestamp", "datetime64") for k in kinds):
        return "time", np.array([_moment(v) for v in items], dtype="datetime64[us]")
    return "other", array


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in _MISSING_TYPES or (isinstance(value, float) and isnan(value))


def _texts(items: list[Any]) -> NDArray[Any]:
    texts = [None if _is_missing(v) else v if type(v) is str else str(v) for v in items]
    return _objects(texts if _is_writable(texts) else [None if v is None else written(v) for v in texts])


def _is_writable(texts: Iterable[str | None]) -> bool:
    """Whether all texts have a form in UTF-8: half of a surrogate pair, as a broken decoder leaves it, has none."""
    try:
        "".join({t for t in texts if t is not None}).encode()
    except UnicodeEncodeError:
        return False
    return True


def written(text: str) -> str:
    """A text as it can be written.

    >>> written("a\\ud800")
    'a\\\\ud800'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _moment(value: Any) -> np.datetime64:
    if _is_missing(value):
        return np.datetime64("NaT", "us")
    offset = value.utcoffset() if hasattr(value, "utcoffset") else None
    if offset is not None:
        value = value.replace(tzinfo=None) - offset
    return np.datetime64(value, "us")
