"""Registered models, the feed and its webhooks: tables beside those of schema.py, in the same metadata. Reached by migrations/env.

Versions, tags and aliases name their model by its number, so that renaming one changes one row. Times are microseconds since 1970. Tags: `head`
is the first 64 characters, `text` the whole where that is longer (as in run_tables).
Writing is models.py, catalog.py and feed.py; searching is search.py.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, PrimaryKeyConstraint, Table, UniqueConstraint

from noria.adapters.metadata.sql.columns import NUMBER, TEXT, numbered
from noria.adapters.metadata.sql.schema import METADATA


def _project() -> Column[int]:
    return Column("project", NUMBER, ForeignKey("projects.id"), nullable=False)


def _model() -> Column[int]:
    return Column("model", NUMBER, ForeignKey("models.number"), nullable=False)


def _time(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, TEXT, nullable=False)


models = Table(
    "models",
    METADATA,
    numbered("number"),
    _project(),
    _text("name"),
    _time("created_at"),
    _time("updated_at"),
    Column("highest", BigInteger, nullable=False),
    _text("description"),
    Index("models_name", "project", "name", unique=True),
)
"""highest: the highest number that a version of it was ever given."""

model_tags = Table(
    "model_tags",
    METADATA,
    _project(),
    _model(),
    _text("key"),
    _text("head"),
    Column("text", TEXT),
    PrimaryKeyConstraint("model", "key"),
    Index("model_tags_text", "project", "key", "head", "model"),
    sqlite_with_rowid=False,
)

versions = Table(
    "model_versions",
    METADATA,
    numbered("id"),
    _project(),
    _model(),
    Column("number", BigInteger, nullable=False),
    Column("run", TEXT),
    _text("source"),
    _time("created_at"),
    _time("updated_at"),
    Column("made", TEXT),
    Column("doc", LargeBinary, nullable=False),
    UniqueConstraint("model", "number", name="model_versions_number"),
    Index("model_versions_newest", "project", "created_at"),
    Index("model_versions_run", "project", "run"),
)
"""made: digest of the version as it was registered, so that a repetition is known after description or tags have changed (null: as the doc).

The doc's `model` is what it was called then; the name is models.name. updated_at: created_at until something was changed.
"""

version_tags = Table(
    "model_version_tags",
    METADATA,
    _project(),
    Column("version", NUMBER, ForeignKey("model_versions.id"), nullable=False),
    _text("key"),
    _text("head"),
    Column("text", TEXT),
    PrimaryKeyConstraint("version", "key"),
    Index("model_version_tags_text", "project", "key", "head", "version"),
    sqlite_with_rowid=False,
)
"""For search only: what a version's tags are says its doc."""

deleted_versions = Table(
    "deleted_versions",
    METADATA,
    _model(),
    Column("number", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "number"),
    sqlite_with_rowid=False,
)
"""Numbers that are never given again."""

model_aliases = Table(
    "model_aliases",
    METADATA,
    _model(),
    _text("alias"),
    Column("number", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "alias"),
    sqlite_with_rowid=False,
)
"""Where each alias points now."""

alias_moves = Table(
    "model_alias_moves",
    METADATA,
    numbered("ordinal"),
    _model(),
    _text("alias"),
    Column("number", BigInteger),
    _time("at"),
    Column("cause", TEXT),
    Column("doc", LargeBinary, nullable=False),
    Index("model_alias_moves_alias", "model", "alias", "ordinal"),
    Index("model_alias_moves_at", "model", "alias", "at"),
    Index("model_alias_moves_cause", "model", "alias", "cause"),
)
"""How they came to point there; no row is ever changed. number: null where the alias was taken away."""

feed_heads = Table(
    "feed_heads",
    METADATA,
    _project(),
    Column("seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("project"),
)
"""The newest change of each project. Its row is locked from a change to its COMMIT: numbers become visible in their order."""

changes = Table(
    "changes",
    METADATA,
    _project(),
    Column("seq", BigInteger, nullable=False),
    _time("at"),
    _text("kind"),
    _text("subject"),
    Column("detail", LargeBinary, nullable=False),
    PrimaryKeyConstraint("project", "seq"),
    sqlite_with_rowid=False,
)

webhooks = Table(
    "webhooks",
    METADATA,
    numbered("number"),
    _project(),
    _text("id"),
    Column("told", BigInteger, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Index("webhooks_id", "project", "id", unique=True),
)
"""told: the newest change that it was told of."""
