"""The catalog of models, the feed and its webhooks. Never edited once released.

Revision 0004, after 0003. Versions and moves of aliases name their model by its number from here on; a run may be registered more than once.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from alembic import op

from noria.adapters.metadata.sql.migrations.statements import dialect, run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE models (
    number INTEGER NOT NULL PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    highest BIGINT NOT NULL,
    description TEXT NOT NULL
);
CREATE UNIQUE INDEX models_name ON models (project, name);
CREATE TABLE model_tags (
    project INTEGER NOT NULL REFERENCES projects (id),
    model INTEGER NOT NULL REFERENCES models (number),
    "key" TEXT NOT NULL,
    head TEXT NOT NULL,
    text TEXT,
    PRIMARY KEY (model, "key")
) WITHOUT ROWID;
CREATE INDEX model_tags_text ON model_tags (project, "key", head, model);
CREATE TABLE model_versions (
    id INTEGER NOT NULL PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES projects (id),
    model INTEGER NOT NULL REFERENCES models (number),
    number BIGINT NOT NULL,
    run TEXT,
    source TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    made TEXT,
    doc BLOB NOT NULL,
    CONSTRAINT model_versions_number UNIQUE (model, number)
);
CREATE INDEX model_versions_newest ON model_versions (project, created_at);
CREATE INDEX model_versions_run ON model_versions (project, run);
CREATE TABLE model_version_tags (
    project INTEGER NOT NULL REFERENCES projects (id),
    version INTEGER NOT NULL REFERENCES model_versions (id),
    "key" TEXT NOT NULL,
    head TEXT NOT NULL,
    text TEXT,
    PRIMARY KEY (version, "key")
) WITHOUT ROWID;
CREATE INDEX model_version_tags_text ON model_version_tags (project, "key", head, version);
CREATE TABLE deleted_versions (
    model INTEGER NOT NULL REFERENCES models (number),
    number BIGINT NOT NULL,
    PRIMARY KEY (model, number)
) WITHOUT ROWID;
CREATE TABLE model_aliases (
    model INTEGER NOT NULL REFERENCES models (number),
    alias TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (model, alias)
) WITHOUT ROWID;
CREATE TABLE model_alias_moves (
    ordinal INTEGER NOT NULL PRIMARY KEY,
    model INTEGER NOT NULL REFERENCES models (number),
    alias TEXT NOT NULL,
    number BIGINT,
    at BIGINT NOT NULL,
    cause TEXT,
    doc BLOB NOT NULL
);
CREATE INDEX model_alias_moves_alias ON model_alias_moves (model, alias, ordinal);
CREATE INDEX model_alias_moves_at ON model_alias_moves (model, alias, at);
CREATE INDEX model_alias_moves_cause ON model_alias_moves (model, alias, cause);
CREATE TABLE feed_heads (
    project INTEGER NOT NULL REFERENCES projects (id),
    seq BIGINT NOT NULL,
    PRIMARY KEY (project)
);
CREATE TABLE changes (
    project INTEGER NOT NULL REFERENCES projects (id),
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail BLOB NOT NULL,
    PRIMARY KEY (project, seq)
) WITHOUT ROWID;
CREATE TABLE webhooks (
    number INTEGER NOT NULL PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES projects (id),
    id TEXT NOT NULL,
    told BIGINT NOT NULL,
    doc BLOB NOT NULL
);
CREATE UNIQUE INDEX webhooks_id ON webhooks (project, id);
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD = 64


def upgrade() -> None:
    """Make what is new and move what was there."""
    run(TABLES)
    models = _move_versions()
    _move_aliases(models)
    run("DROP TABLE versions; DROP TABLE alias_moves;")


def _move_versions() -> dict[tuple[int, str], int]:
    """Give each model that has versions a row, and move them there; gives the models' numbers."""
    models: dict[tuple[int, str], int] = {}
    # One model after the other: a store's documents need not fit into memory together.
    for project, name in _query("SELECT DISTINCT project, model FROM versions ORDER BY project, model"):
        rows = [
            (number, run_id, bytes(doc), msgspec.msgpack.decode(doc))
            for number, run_id, doc in _query(
                "SELECT number, run, doc FROM versions WHERE project = ? AND model = ? ORDER BY number", project, name
            )
        ]
        times = [_micros(read["created_at"]) for _, _, _, read in rows]
        model = _query(
            "INSERT INTO models (project, name, created_at, updated_at, highest, description)"
            " VALUES (?, ?, ?, ?, ?, '') RETURNING number",
            *(project, name, min(times), max(times), rows[-1][0]),
        )[0][0]
        models[project, name] = model
        for number, run_id, doc, read in rows:
            at = _micros(read["created_at"])
            version = _query(
                "INSERT INTO model_versions (project, model, number, run, source, created_at, updated_at, doc)"
                " VALUES (?, ?, ?, ?, '', ?, ?, ?) RETURNING id",
                *(project, model, number, run_id, at, at, doc),
            )[0][0]
            for key, value in read.get("tags", {}).items():
                whole = value if len(value) > _HEAD else None
                _execute(
                    'INSERT INTO model_version_tags (project, version, "key", head, text) VALUES (?, ?, ?, ?, ?)',
                    *(project, version, key, value[:_HEAD], whole),
                )
    return models


def _move_aliases(models: dict[tuple[int, str], int]) -> None:
    rows = _query("SELECT project, model, alias, number, doc FROM alias_moves ORDER BY ordinal")
    for project, name, alias, number, doc in rows:
        read = msgspec.msgpack.decode(doc)
        model = models[project, name]
        _execute(
            "INSERT INTO model_alias_moves (model, alias, number, at, cause, doc) VALUES (?, ?, ?, ?, ?, ?)",
            *(model, alias, number, _micros(read["at"]), read.get("cause"), bytes(doc)),
        )
        _execute(
            "INSERT INTO model_aliases (model, alias, number) VALUES (?, ?, ?)"
            " ON CONFLICT (model, alias) DO UPDATE SET number = excluded.number",
            *(model, alias, number),
        )


def _query(sql: str, *values: object) -> list[Any]:
    return list(_execute(sql, *values).fetchall())


def _execute(sql: str, *values: object) -> Any:
    """One statement of ours: its only question marks are values."""
    said = sql if dialect() == "sqlite" else sql.replace("?", "%s")
    return op.get_bind().exec_driver_sql(said, values)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
