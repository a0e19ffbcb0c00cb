"""Alembic's entry: run the revisions on the connection that upgrade.py holds. No connection of its own, no logging set up."""

from alembic import context

from noria.adapters.metadata.sql import point_tables, registry_tables, run_tables
from noria.adapters.metadata.sql.schema import METADATA

TABLES = (run_tables, point_tables, registry_tables)
"""Imported for what they add to METADATA."""

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
