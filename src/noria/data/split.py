"""Cut a table by time so that no label that was unknown then takes part. Choosing the cut is retraining/ and tuning/. Called by training recipes."""

from datetime import datetime

import msgspec
import polars as pl

from noria.data.schema import infer_schema
from noria.domain.arrow import ArrowTable
from noria.domain.dataset import Schema, Split
from noria.errors import EmptyTable, LeakDetected, SchemaMismatch
from noria.wire.tables import content_digest, open_table


class TimeSplit(msgspec.Struct, frozen=True, kw_only=True):
    """Both halves with the noun that describes them; rows keep their order."""

    train: pl.DataFrame
    test: pl.DataFrame
    split: Split


def split_by_time(
    frame: ArrowTable,
    *,
    time_column: str,
    at: datetime,
    known_column: str,
    known_by: datetime,
    schema: Schema | None = None,
) -> TimeSplit:
    """Train: rows before `at`. Test: rows from `at` on. Rows whose label became known after `known_by` (or never) are in neither.

    at, known_by: aware. schema: for the digests of the halves; inferred without it. Laws: known <= known_by in both halves, every time in
    train < every time in test. Raises LeakDetected if the labels of the test could not be known yet (known_by <= at), or if a label is older
    than its row; EmptyTable if a half has no rows; SchemaMismatch if a column is missing, holds no times, or a row has no time.
    """
    table = open_table(frame)
    _require_times(table, (time_column, known_column))
    if at.tzinfo is None or known_by.tzinfo is None:
        raise SchemaMismatch("a cut needs times with a zone", cause=f"at={at}, known_by={known_by}", remedy="use UTC")
    if known_by <= at:
        raise LeakDetected(
            f"the test rows begin at {at:%Y-%m-%d %H:%M} and labels count up to {known_by:%Y-%m-%d %H:%M}",
            cause="a label of a test row cannot be known before the row exists",
            remedy="move known_by behind the end of the test rows, or move the cut back",
        )
    time, known = pl.col(time_column), pl.col(known_column)
    backwards = table.lazy().select((known < time).sum()).collect().item()
    if backwards:
        raise LeakDetected(
            f"{backwards:,} rows know their label ('{known_column}') before their own time ('{time_column}')",
            cause="such a label could have reached the features of its own row",
            remedy="correct the two columns; 'known' is when the outcome was known, not when it was due",
        )
    usable = known <= known_by  # null, never known: not usable
    train, test = table.filter(usable & (time < at)), table.filter(usable & (time >= at))
    for name, half in (("train", train), ("test", test)):
        if half.height == 0:
            raise EmptyTable(
                f"the cut at {at:%Y-%m-%d %H:%M} leaves no row to {name}",
                cause=f"{table.height:,} rows from {table[time_column].min()!s} to {table[time_column].max()!s}",
                remedy="move the cut inside of the times of the table, or allow labels known later",
            )
    used = schema or infer_schema(table)
    split = Split(
        train=content_digest(train, used),
        test=content_digest(test, used),
        at=at,
        known_by=known_by,
        train_rows=train.height,
        test_rows=test.height,
    )
    return TimeSplit(train=train, test=test, split=split)


def _require_times(table: pl.DataFrame, names: tuple[str, str]) -> None:
    problems = []
    for name in names:
        held = table.schema.get(name)
        if held is None:
            problems.append(f"column {name!r} is missing")
        elif not (isinstance(held, pl.Datetime) and held.time_zone is not None):
            problems.append(f"column {name!r} is {held}, not a time with a zone")
    if not problems and (nulls := table.get_column(names[0]).null_count()):
        problems.append(f"column {names[0]!r} has {nulls:,} rows without a time")
    if problems:
        raise SchemaMismatch(
            f"the table cannot be cut by time: {'; '.join(problems)}",
            cause="a cut needs the time of each row, and when its label was known",
            remedy="take the table from a DatasetVersion, whose times are in UTC",
        )
