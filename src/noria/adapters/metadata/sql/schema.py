"""The tables, in SQLAlchemy Core: what the migrations lead to (a test holds the two together), and what Alembic compares against.

Times are integers, microseconds since 1970 in UTC. `doc` columns are MessagePack of the noun; the other columns are what is searched by.
Reading and writing is ledger.py, runs.py, ... Called by migrations/env.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()


def _project() -> Column[int]:
    return Column("project", Integer, ForeignKey("projects.id"), nullable=False, primary_key=True)


projects = Table(
    "projects",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    UniqueConstraint("name", name="projects_name"),
)

ledger = Table(
    "ledger",
    METADATA,
    _project(),
    Column("seq", BigInteger, primary_key=True),
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("hash", Text, nullable=False),
    Index("ledger_id", "project", "id", unique=True),
    Index("ledger_kind", "project", "kind", "seq"),
)

heads = Table(
    "heads",
    METADATA,
    _project(),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)

cursors = Table(
    "cursors",
    METADATA,
    _project(),
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("project", Integer, ForeignKey("projects.id"), nullable=False),
    Column("id", Text, nullable=False),
    Column("experiment", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("made", LargeBinary, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Index("runs_id", "project", "id", unique=True),
    Index("runs_newest", "project", "started_at", "number"),
    Index("runs_experiment", "project", "experiment", "started_at", "number"),
)

series = Table(
    "series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("project", Integer, ForeignKey("projects.id"), nullable=False),
    Column("run", Integer, ForeignKey("runs.number"), nullable=False),
    Column("key", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("bits", BigInteger, nullable=False),
    UniqueConstraint("run", "key", name="series_key"),
)
"""One series a run and key, with its last point. bits: the double's 64 bits as an integer, since SQLite cannot keep NaN."""

points = Table(
    "points",
    METADATA,
    Column("series", Integer, ForeignKey("series.id"), primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("bits", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)
"""A point's project is that of its series: 8 bytes of each point are not spent on repeating it."""

versions = Table(
    "versions",
    METADATA,
    _project(),
    Column("model", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("run", Text, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Index("versions_run", "project", "model", "run", unique=True),
)

alias_moves = Table(
    "alias_moves",
    METADATA,
    Column("ordinal", Integer, primary_key=True),
    Column("project", Integer, ForeignKey("projects.id"), nullable=False),
    Column("model", Text, nullable=False),
    Column("alias", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Index("alias_moves_alias", "project", "model", "alias", "ordinal"),
)

deployments = Table(
    "deployments",
    METADATA,
    _project(),
    Column("name", Text, primary_key=True),
    Column("generation", BigInteger, primary_key=True),
    Column("doc", LargeBinary, nullable=False),
)

steps = Table(
    "steps",
    METADATA,
    _project(),
    Column("cache_key", Text, primary_key=True),
    Column("step", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("finished", BigInteger),
    Column("doc", LargeBinary, nullable=False),
    Index("steps_finished", "project", "step", "finished"),
)
"""finished: counts the commits of a project, so that the newest one of a step can be told."""

windows = Table(
    "windows",
    METADATA,
    _project(),
    Column("deployment", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Index("windows_until", "project", "deployment", "until"),
)
