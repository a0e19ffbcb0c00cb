"""Leases: who does what only one process of a project may do.

Revision 0006, after 0005.
"""

from noria.adapters.metadata.sql.migrations.statements import run

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE leases (
    project INTEGER NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (project, name)
);
"""


def upgrade() -> None:
    """Make the table."""
    run(TABLES)
