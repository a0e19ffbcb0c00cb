"""The tables, in SQLAlchemy Core: what the migrations lead to (a test holds the two together), and what Alembic compares against.

Times are integers, microseconds since 1970 in UTC. `doc` columns are MessagePack of the noun; the other columns are what is searched by.
Reading and writing is ledger.py, runs.py, ... The other tables stand in run_tables, point_tables and registry_tables.
Called by migrations/env.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, MetaData, Table, UniqueConstraint

from noria.adapters.metadata.sql.columns import NUMBER, TEXT, numbered

METADATA = MetaData()


def _project() -> Column[int]:
    return Column("project", NUMBER, ForeignKey("projects.id"), nullable=False, primary_key=True)


projects = Table(
    "projects",
    METADATA,
    numbered("id"),
    Column("name", TEXT, nullable=False),
    UniqueConstraint("name", name="projects_name"),
)

ledger = Table(
    "ledger",
    METADATA,
    _project(),
    Column("seq", BigInteger, primary_key=True),
    Column("id", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("hash", TEXT, nullable=False),
    Index("ledger_id", "project", "id", unique=True),
    Index("ledger_kind", "project", "kind", "seq"),
)

heads = Table(
    "heads",
    METADATA,
    _project(),
    Column("seq", BigInteger, nullable=False),
    Column("hash", TEXT, nullable=False),
)

cursors = Table(
    "cursors",
    METADATA,
    _project(),
    Column("name", TEXT, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

deployments = Table(
    "deployments",
    METADATA,
    _project(),
    Column("name", TEXT, primary_key=True),
    Column("generation", BigInteger, primary_key=True),
    Column("doc", LargeBinary, nullable=False),
)

steps = Table(
    "steps",
    METADATA,
    _project(),
    Column("cache_key", TEXT, primary_key=True),
    Column("step", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("finished", BigInteger),
    Column("doc", LargeBinary, nullable=False),
    Index("steps_finished", "project", "step", "finished"),
)
"""finished: counts the commits of a project, so that the newest one of a step can be told."""

leases = Table(
    "leases",
    METADATA,
    _project(),
    Column("name", TEXT, primary_key=True),
    Column("doc", LargeBinary, nullable=False),
)

windows = Table(
    "windows",
    METADATA,
    _project(),
    Column("deployment", TEXT, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Index("windows_until", "project", "deployment", "until"),
)

sketches = Table(
    "sketches",
    METADATA,
    _project(),
    Column("deployment", TEXT, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("doc", LargeBinary, nullable=False),
)

counted_parts = Table(
    "counted_parts",
    METADATA,
    _project(),
    Column("deployment", TEXT, primary_key=True),
    Column("part", TEXT, primary_key=True),
    Column("held", BigInteger, nullable=False),
)
"""held: rows that the part of the log had when it was counted."""
