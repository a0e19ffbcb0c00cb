"""The first tables. Never edited once released.

Revision 0001, after nothing.
"""

from noria.adapters.metadata.sql.migrations.statements import run

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE projects (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    CONSTRAINT projects_name UNIQUE (name)
);
CREATE TABLE ledger (
    project INTEGER NOT NULL REFERENCES projects (id),
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (project, seq)
);
CREATE UNIQUE INDEX ledger_id ON ledger (project, id);
CREATE INDEX ledger_kind ON ledger (project, kind, seq);
CREATE TABLE heads (
    project INTEGER NOT NULL PRIMARY KEY REFERENCES projects (id),
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE cursors (
    project INTEGER NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (project, name)
) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER NOT NULL PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES projects (id),
    id TEXT NOT NULL,
    experiment TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    made BLOB NOT NULL,
    doc BLOB NOT NULL
);
CREATE UNIQUE INDEX runs_id ON runs (project, id);
CREATE INDEX runs_newest ON runs (project, started_at, number);
CREATE INDEX runs_experiment ON runs (project, experiment, started_at, number);
CREATE TABLE series (
    id INTEGER NOT NULL PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES projects (id),
    run INTEGER NOT NULL REFERENCES runs (number),
    "key" TEXT NOT NULL,
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    bits BIGINT NOT NULL,
    CONSTRAINT series_key UNIQUE (run, "key")
);
CREATE TABLE points (
    series INTEGER NOT NULL REFERENCES series (id),
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    bits BIGINT NOT NULL,
    PRIMARY KEY (series, step, at, bits)
) WITHOUT ROWID;
CREATE TABLE versions (
    project INTEGER NOT NULL REFERENCES projects (id),
    model TEXT NOT NULL,
    number BIGINT NOT NULL,
    run TEXT NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (project, model, number)
);
CREATE UNIQUE INDEX versions_run ON versions (project, model, run);
CREATE TABLE alias_moves (
    ordinal INTEGER NOT NULL PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES projects (id),
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    number BIGINT NOT NULL,
    doc BLOB NOT NULL
);
CREATE INDEX alias_moves_alias ON alias_moves (project, model, alias, ordinal);
CREATE TABLE deployments (
    project INTEGER NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    generation BIGINT NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (project, name, generation)
);
CREATE TABLE steps (
    project INTEGER NOT NULL REFERENCES projects (id),
    cache_key TEXT NOT NULL,
    step TEXT NOT NULL,
    state TEXT NOT NULL,
    finished BIGINT,
    doc BLOB NOT NULL,
    PRIMARY KEY (project, cache_key)
);
CREATE INDEX steps_finished ON steps (project, step, finished);
CREATE TABLE windows (
    project INTEGER NOT NULL REFERENCES projects (id),
    deployment TEXT NOT NULL,
    number BIGINT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (project, deployment, number, since)
);
CREATE INDEX windows_until ON windows (project, deployment, until);
"""


def upgrade() -> None:
    """Make the tables."""
    run(TABLES)
