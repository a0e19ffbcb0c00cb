"""Bring a database to the newest revision, in one transaction under a lock: of two processes that start at once, the second finds nothing left to do.

After a crash the database is as it was. Which revision it has is the question of sqlite/open and postgres/open, who call this.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from noria.adapters.metadata.sql.migrations import NEWEST


def upgrade(connection: sqlite3.Connection, *, application_id: int, to: str = NEWEST) -> None:
    """Run what a SQLite file lacks. Raises what SQLite raised: sqlite3.Error."""

    def prepare(bound: Connection) -> None:
        bound.exec_driver_sql("BEGIN IMMEDIATE")
        bound.exec_driver_sql(f"PRAGMA application_id = {application_id}")

    _run("sqlite://", connection, prepare, to=to)


def upgrade_postgres(connection: Any, *, lock: int, still_ours: Callable[[], object], to: str = NEWEST) -> None:
    """Run what a PostgreSQL database lacks, on a psycopg connection. still_ours: looks again when the lock is held, and raises if not.

    Everybody's transactions hold a light lock on alembic_version: those that run are waited for, new ones wait, and then see the new revision.
    Raises what psycopg raised: psycopg.Error.
    """

    def prepare(bound: Connection) -> None:
        bound.exec_driver_sql("SET LOCAL lock_timeout = 0")  # another server's migration takes its time
        bound.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock}, 0)")
        bound.exec_driver_sql("SET LOCAL lock_timeout = '30s'")  # while this waits, everybody waits behind it
        if still_ours() is not None:
            bound.exec_driver_sql("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")

    connection.autocommit = False
    try:
        _run("postgresql+psycopg://", connection, prepare, to=to)
    finally:
        if not connection.closed:
            connection.rollback()  # what a failed one left open; nothing otherwise
            connection.autocommit = True


def _run(url: str, connection: Any, prepare: Callable[[Connection], None], *, to: str) -> None:
    config = Config()
    # Alembic reads options with interpolation: a percent sign in a path must be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    engine = create_engine(url, creator=lambda: connection, poolclass=StaticPool)
    try:
        with engine.connect() as bound, bound.begin():
            prepare(bound)
            config.attributes["connection"] = bound
            command.upgrade(config, to)
    except DBAPIError as error:
        raise error.orig or error from error
