"""Batches of records as tables, and rows of a table as the record they came from, bit for bit. Pure. Called by parquet.py and memory.py.

A stored table has the columns of the port and four of its own: `_bundle`, `_written` (ns, the order of writing), `_layout` (JSON of the names of a
request's inputs and outputs) and `_exact` (msgpack of a request whose values are not all of their column's type; on its row 0).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from itertools import repeat
from typing import Any

import msgspec
import polars as pl

from noria.adapters.predictions.batches import Batch, Block, kind_of
from noria.domain.ids import Digest, RolloutId
from noria.domain.prediction import PredictionRecord, Scalar

TIME = pl.Datetime("us", "UTC")
META: dict[str, Any] = {
    "prediction_id": pl.String,
    "request_id": pl.String,
    "row": pl.Int64,
    "key": pl.String,
    "deployment": pl.String,
    "variant": pl.String,
    "model": pl.String,
    "number": pl.Int64,
    "generation": pl.Int64,
    "rollout": pl.String,
    "at": TIME,
    "latency_us": pl.Int64,
    "protocol": pl.String,
    "sampled": pl.Float64,
    "redacted": pl.String,
    "weight": pl.Float64,
    "asked": pl.Boolean,
    "error": pl.String,
}
OWN: dict[str, Any] = {"_bundle": pl.String, "_written": pl.Int64, "_layout": pl.String, "_exact": pl.Binary}
STORED = {name: dtype for name, dtype in META.items() if name != "prediction_id"} | OWN
ORDER = ["at", "request_id", "row"]
INT64 = range(-(2**63), 2**63)
DTYPES: dict[type, Any] = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String}


@dataclass
class _Group:
    """Blocks of the same kind and columns, end to end."""

    block: Block
    columns: list[list[Scalar]]
    request: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    latency: list[int] = field(default_factory=list)
    keys: list[list[str] | None] = field(default_factory=list)
    written: list[int] = field(default_factory=list)


def table_of(batches: Iterable[Batch], deployment: str) -> pl.DataFrame:
    """One row a prediction in the stored columns, ordered by (at, request_id, row). A request_id that comes twice is kept twice.

    A column has the type of its values: float64, int64, text or bool; one with several types is widened (whole numbers to float64, all else to text)
    and the requests that this would change keep their own values in `_exact`.
    """
    groups = _grouped(batches)
    kinds: dict[str, set[type]] = {}
    for group in groups:
        for name, values in zip(_names(group.block), group.columns, strict=True):
            kinds.setdefault(name, set()).update(_kinds(values))
    frames = [_frame(group, kinds, deployment) for group in groups]
    if not frames:
        return pl.DataFrame(schema=STORED)
    return pl.concat(frames, how="diagonal_relaxed").sort(ORDER)


def presented(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Stored tables, each in order, as the one table that the port promises: own columns away, prediction_id first, inputs before outputs.

    A column that has several types among the tables is widened as in `table_of`. Empty tables give their columns.
    """
    whole = pl.concat(_in_order([pl.DataFrame(schema=STORED), *_alike(frames)]), how="diagonal_relaxed")
    inputs = [name for name in whole.columns if name.startswith("in.")]
    outputs = [name for name in whole.columns if name.startswith("out.")]
    # What a segment of before does not say: every request is there, nobody named a variant, nothing failed.
    since = {"sampled": pl.col("sampled").fill_null(1.0), "asked": pl.col("asked").fill_null(False)}
    since["error"] = pl.col("error").fill_null("")
    identity = pl.concat_str("request_id", pl.lit("."), "row").alias("prediction_id")
    meta = [since.get(name, name) for name in META if name != "prediction_id"]
    return whole.select(identity, *meta, *inputs, *outputs)


def together(tables: Sequence[pl.DataFrame], columns: Sequence[str] | None) -> pl.DataFrame:
    """Presented tables of several logs as one, ordered by (at, request_id, row, variant); each must have these four columns."""
    if not tables:
        return projected(presented([]), columns)
    whole = pl.concat(_alike(tables), how="diagonal_relaxed").sort([*ORDER, "variant"])
    outputs = [name for name in whole.columns if name.startswith("out.")]
    return projected(whole.select(pl.exclude(outputs), *outputs), columns)


def projected(table: pl.DataFrame, columns: Sequence[str] | None) -> pl.DataFrame:
    """Only the named columns, each once and as far as the table has them, in the order of the names."""
    return (
        table if columns is None else table.select([name for name in dict.fromkeys(columns) if name in table.columns])
    )


def _alike(frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """The tables with numbers made text in columns that are text in another table; numbers among themselves are widened by polars as we do."""
    dtypes: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, dtype in frame.schema.items():
            dtypes.setdefault(name, set()).add(dtype)
    texts = [name for name, kinds in dtypes.items() if pl.String in kinds and len(kinds) > 1]
    return [
        frame.with_columns(
            _series(name, frame[name].to_list(), {str, float})
            for name in texts
            if name in frame.columns and frame.schema[name] != pl.String
        )
        for frame in frames
    ]


def _in_order(frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """The tables in the order of time; those that overlap are put together and sorted, the others are left as they are."""
    ordered = [frame for frame in frames if not frame.height]
    cluster: list[pl.DataFrame] = []
    for frame in sorted((frame for frame in frames if frame.height), key=lambda frame: frame["at"][0]):
        if cluster and frame["at"][0] > max(held["at"][-1] for held in cluster):
            ordered.append(_sorted(cluster))
            cluster = []
        cluster.append(frame)
    return [*ordered, _sorted(cluster)] if cluster else ordered


def _sorted(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal_relaxed").sort(ORDER)


def record_of(rows: pl.DataFrame) -> PredictionRecord:
    """The record whose rows (all of one request, in order) these are."""
    first = rows.row(0, named=True)
    inputs, outputs = json.loads(first["_layout"])
    if first["_exact"] is not None:
        columns = msgspec.msgpack.decode(first["_exact"], type=list[list[Scalar]])
    else:
        columns = [rows[f"in.{name}"].to_list() for name in inputs] + [
            rows[f"out.{name}"].to_list() for name in outputs
        ]
    keys = rows["key"].to_list()
    return PredictionRecord(
        request_id=first["request_id"],
        deployment=first["deployment"],
        variant=first["variant"],
        model=first["model"],
        number=first["number"],
        bundle=Digest(first["_bundle"]),
        generation=first["generation"],
        at=first["at"].astimezone(UTC),
        latency_us=first["latency_us"],
        protocol=first["protocol"],
        rows=rows.height,
        inputs=dict(zip(inputs, columns, strict=False)),
        outputs=dict(zip(outputs, columns[len(inputs) :], strict=True)),
        rollout=RolloutId(first["rollout"]) if first["rollout"] is not None else None,
        keys=keys if keys[0] is not None else None,
        sampled=1.0 if first.get("sampled") is None else first["sampled"],
        redacted=tuple(json.loads(first.get("redacted") or "[]")),
        weight=first.get("weight"),
        asked=bool(first.get("asked")),
        error=first.get("error") or "",
    )


def _grouped(batches: Iterable[Batch]) -> list[_Group]:
    groups: dict[tuple[Any, ...], _Group] = {}
    for batch in batches:
        for block in batch.blocks:
            kind = kind_of(block)
            group = groups.get((*kind, block.inputs, block.outputs))
            if group is None:
                group = groups[*kind, block.inputs, block.outputs] = _Group(block, [[] for _ in block.columns])
            for column, values in zip(group.columns, block.columns, strict=True):
                column += values
            group.request += block.request
            group.rows += block.rows
            group.at += block.at
            group.latency += block.latency
            group.keys += block.keys
            group.written += [batch.written] * len(block.rows)
    return list(groups.values())


def _names(block: Block) -> list[str]:
    return [f"in.{name}" for name in block.inputs] + [f"out.{name}" for name in block.outputs]


def _kinds(values: list[Scalar]) -> set[type]:
    kinds = set(map(type, values)) - {type(None)}
    if int in kinds and not all(value in INT64 for value in values if type(value) is int):
        kinds.add(float)  # too large for a column of int64: widened, and kept exactly in `_exact`
    return kinds


def _frame(group: _Group, kinds: dict[str, set[type]], deployment: str) -> pl.DataFrame:
    block, rows = group.block, group.rows
    single = all(count == 1 for count in rows)
    frame = pl.DataFrame(
        {
            "request_id": pl.Series(group.request, dtype=pl.String),
            "at": pl.Series(group.at, dtype=pl.Int64).cast(TIME),
            "latency_us": pl.Series(group.latency, dtype=pl.Int64),
            "_written": pl.Series(group.written, dtype=pl.Int64),
            "_exact": _exact(group, kinds),
        }
    )
    if single:
        frame = frame.with_columns(row=pl.lit(0, pl.Int64))
    else:
        each = pl.Series([place for place, count in enumerate(rows) for _ in range(count)], dtype=pl.UInt32)
        frame = frame[each].with_columns(row=pl.Series([row for count in rows for row in range(count)], dtype=pl.Int64))
        frame = frame.with_columns(pl.when(pl.col("row") == 0).then(pl.col("_exact")))
    keys = [key for given, count in zip(group.keys, rows, strict=True) for key in (given or repeat(None, count))]
    constants = {
        "deployment": deployment,
        "variant": block.variant,
        "model": block.model,
        "number": block.number,
        "generation": block.generation,
        "rollout": block.rollout,
        "protocol": block.protocol,
        "sampled": block.sampled,
        "redacted": json.dumps(block.redacted, ensure_ascii=False) if block.redacted else None,
        "weight": block.weight,
        "asked": block.asked,
        "error": block.error,
        "_bundle": block.bundle,
        "_layout": json.dumps([block.inputs, block.outputs], ensure_ascii=False),
    }
    columns = [_series(name, values, kinds[name]) for name, values in zip(_names(block), group.columns, strict=True)]
    return (
        frame.with_columns(
            pl.Series("key", keys, dtype=pl.String),
            *[pl.lit(value, STORED[name]).alias(name) for name, value in constants.items()],
        )
        .select(*STORED)
        .with_columns(*columns)
    )


def _series(name: str, values: list[Scalar], kinds: set[type]) -> pl.Series:
    if len(kinds) <= 1:
        return pl.Series(name, values, dtype=DTYPES[next(iter(kinds))] if kinds else pl.Null)
    if str in kinds:
        return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
    if float in kinds:
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [None if value is None else int(value) for value in values], dtype=pl.Int64)


def _exact(group: _Group, kinds: dict[str, set[type]]) -> pl.Series:
    """Per record, the msgpack of its columns if a cell of the table cannot hold one of its values as it is."""
    mixed = [place for place, name in enumerate(_names(group.block)) if len(kinds[name]) > 1]
    kept: list[bytes | None] = [None] * len(group.rows)
    if mixed:
        start = 0
        for record, count in enumerate(group.rows):
            end = start + count
            if any(not _fits(value, kinds[name]) for name, value in _cells(group, mixed, start, end)):
                kept[record] = msgspec.msgpack.encode([column[start:end] for column in group.columns])
            start = end
    return pl.Series("_exact", kept, dtype=pl.Binary)


def _cells(group: _Group, mixed: list[int], start: int, end: int) -> Iterable[tuple[str, Scalar]]:
    names = _names(group.block)
    for place in mixed:
        for value in group.columns[place][start:end]:
            yield names[place], value


def _fits(value: Scalar, kinds: set[type]) -> bool:
    """Whether a widened column gives the value back as it was."""
    wide = str if str in kinds else float if float in kinds else int
    return value is None or type(value) is wide
