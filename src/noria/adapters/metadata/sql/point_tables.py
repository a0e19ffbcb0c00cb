"""Metric points: tables beside those of schema.py, in the same metadata. Reached by migrations/env.

A series is a row with its last point and its count; its points stand packed in chunks that never overlap, and the newest (or latest to come) as
rows in the tail. Nothing here refers to a series by a foreign key: the only writer is series.py, and a check for each point would cost as much as it.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, UniqueConstraint

from noria.adapters.metadata.sql.columns import BYTES, NUMBER, REAL, TEXT, numbered
from noria.adapters.metadata.sql.schema import METADATA

series = Table(
    "series",
    METADATA,
    numbered("id"),
    Column("project", NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("run", NUMBER, ForeignKey("runs.number"), nullable=False),
    Column("key", TEXT, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("bits", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("tail", BigInteger, nullable=False),
    Column("value", REAL),
    Column("is_nan", NUMBER, nullable=False),
    UniqueConstraint("run", "key", name="series_key"),
    Index("series_value", "project", "key", "value", "run"),
)
"""One series a run and key, with its last point. bits: the double's 64 bits as an integer, since SQLite cannot keep NaN. value: the same for
sorting, NULL for NaN. count: all its points; tail: those that stand in `tails`."""

tails = Table(
    "tails",
    METADATA,
    Column("series", NUMBER, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("bits", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Points that are not packed yet. They may lie anywhere among the packed ones, and never repeat one of them."""

chunks = Table(
    "chunks",
    METADATA,
    Column("series", NUMBER, primary_key=True, autoincrement=False),
    Column("first_step", BigInteger, primary_key=True, autoincrement=False),
    Column("first_at", BigInteger, primary_key=True, autoincrement=False),
    Column("first_bits", BigInteger, primary_key=True, autoincrement=False),
    Column("last_step", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("last_bits", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("nans", BigInteger, nullable=False),
    Column("low_step", BigInteger),
    Column("low_at", BigInteger),
    Column("low_bits", BigInteger),
    Column("high_step", BigInteger),
    Column("high_at", BigInteger),
    Column("high_bits", BigInteger),
    Column("pack", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What a chart needs of some thousand points: small rows beside each other, apart from the bytes that hold the points."""

packs = Table(
    "packs",
    METADATA,
    numbered("id"),
    Column("blocks", BYTES, nullable=False),
    Column("body", BYTES, nullable=False),
)
"""The points of a chunk and the extremes of its blocks, as wire/points writes them."""
