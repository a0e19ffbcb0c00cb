"""The history of the schema, run by Alembic when a store is opened. A revision once released is never edited; a new one is added to both lists here.

What they lead to is ../schema.py. `REVISIONS` spares the import of Alembic for a file that is up to date (a test compares it with versions/).
"""

REVISIONS: tuple[str, ...] = ("0001", "0002", "0003", "0004", "0005", "0006")
"""All revisions, oldest first."""
NEWEST = REVISIONS[-1]
