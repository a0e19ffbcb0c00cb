"""Bring a file to the newest revision, in one transaction under SQLite's write lock: two processes that start at once cannot both do it.

Which revision it has is open.py's question. Called by it.
"""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from noria.adapters.metadata.sql.migrations import NEWEST


def upgrade(connection: sqlite3.Connection, *, application_id: int) -> None:
    """Run what is missing. After a crash the file is as it was. Another process that waits here finds nothing left to do.

    Raises what SQLite raised: sqlite3.Error.
    """
    config = Config()
    # Alembic reads options with interpolation: a percent sign in a path must be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    try:
        with engine.connect() as bound, bound.begin():
            bound.exec_driver_sql("BEGIN IMMEDIATE")
            bound.exec_driver_sql(f"PRAGMA application_id = {application_id}")
            config.attributes["connection"] = bound
            command.upgrade(config, NEWEST)
    except DBAPIError as error:
        raise error.orig or error from error
