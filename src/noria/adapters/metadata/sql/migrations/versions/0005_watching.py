"""Windows of counts stand in tiers of minutes, hours and days; sketches beside them, and which parts of the log are counted.

Revision 0005, after 0004. Windows of before keep their lengths: they stand in tier 0.
"""

from noria.adapters.metadata.sql.migrations.statements import run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE windows RENAME TO old_windows;
DROP INDEX windows_until;
CREATE TABLE windows (
    project INTEGER NOT NULL REFERENCES projects (id),
    deployment TEXT NOT NULL,
    number BIGINT NOT NULL,
    step BIGINT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (project, deployment, number, step, since)
);
INSERT INTO windows (project, deployment, number, step, since, until, doc)
    SELECT project, deployment, number, 0, since, until, doc FROM old_windows;
DROP TABLE old_windows;
CREATE INDEX windows_until ON windows (project, deployment, until);
CREATE TABLE sketches (
    project INTEGER NOT NULL REFERENCES projects (id),
    deployment TEXT NOT NULL,
    number BIGINT NOT NULL,
    step BIGINT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (project, deployment, number, step, since)
);
CREATE TABLE counted_parts (
    project INTEGER NOT NULL REFERENCES projects (id),
    deployment TEXT NOT NULL,
    part TEXT NOT NULL,
    held BIGINT NOT NULL,
    PRIMARY KEY (project, deployment, part)
);
"""


def upgrade() -> None:
    """Make the tables; windows are copied as they are."""
    run(TABLES)
