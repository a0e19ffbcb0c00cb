"""Runs and what belongs to them: tables beside those of schema.py, in the same metadata. Reached by migrations/env."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table

from noria.adapters.metadata.sql.columns import NUMBER, TEXT, numbered
from noria.adapters.metadata.sql.schema import METADATA

runs = Table(
    "runs",
    METADATA,
    numbered("number"),
    Column("project", NUMBER, ForeignKey("projects.id"), nullable=False),
    Column("id", TEXT, nullable=False),
    Column("experiment", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("made", LargeBinary, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Index("runs_id", "project", "id", unique=True),
    Index("runs_newest", "project", "started_at", "number"),
    Index("runs_experiment", "project", "experiment", "started_at", "number"),
)
