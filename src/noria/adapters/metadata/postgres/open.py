"""Open a store in PostgreSQL: connect, check whose database it is, migrate it, find the project. Called by the package's open_store.

Holding it open is database.py; the migrations are sql/migrations.
"""

from noria.adapters.metadata import rules
from noria.adapters.metadata.postgres.connection import Connection, connect
from noria.adapters.metadata.postgres.database import Database
from noria.adapters.metadata.postgres.faults import can_repeat, is_lost, translate
from noria.adapters.metadata.postgres.location import Location, parse
from noria.adapters.metadata.postgres.writer import LOCKS, PATIENCE_S, Patience
from noria.adapters.metadata.sql.held import held, let_go
from noria.adapters.metadata.sql.metadata import SqlMetadata, find_project, make_project
from noria.adapters.metadata.sql.migrations import NEWEST, REVISIONS
from noria.errors import SettingInvalid, StoreNewer

_OURS = {"alembic_version", "projects", "ledger", "heads"}
"""Tables of every Noria store since its first revision."""


def open_metadata(location: str, *, project: str, patience_s: float = PATIENCE_S) -> SqlMetadata:
    """Open or make the store at a URL. patience_s: how long to go on trying while the database does not answer."""
    name, place = rules.project_of(project), parse(location)
    with held(("postgres", place.conninfo, name), lambda: _database(place, name, patience_s)) as database:
        return SqlMetadata(database, name, database.project, let_go=lambda: let_go(database))


def _database(location: Location, project: str, patience_s: float) -> Database:
    """Check and migrate, then hold it. Begins again while the database does not answer yet, or no longer."""
    patience = Patience(patience_s)
    while True:
        connection = None
        try:
            connection = connect(location)
            number = prepare(connection, location, project)
            return Database(location, project=number, patience_s=patience_s)
        except Exception as error:
            problem = translate(error, location)
            passing = can_repeat(error) or is_lost(error, connection.raw if connection else None)
            if passing and getattr(problem, "retryable", False) and patience.left():
                continue
            if problem is error:
                raise
            raise problem from error
        finally:
            if connection is not None:
                connection.close()


def prepare(connection: Connection, location: Location, project: str) -> int:
    """Bring the database to the newest revision and give the project's number."""
    if _revision(connection, location) != NEWEST:
        from noria.adapters.metadata.sql.migrations.upgrade import upgrade_postgres

        upgrade_postgres(connection.raw, lock=LOCKS, still_ours=lambda: _revision(connection, location))
    number = find_project(connection, project)
    return make_project(connection, project) if number is None else number


def _revision(connection: Connection, location: Location) -> str | None:
    """Which migration the database has last seen, None for an empty one. Refuses other programs' databases and stores of a newer Noria."""
    schema = connection.execute("SELECT current_schema()").fetchone()[0]
    if schema is None:
        raise SettingInvalid(
            f"the user of '{location.shown}' has no schema to make tables in",
            remedy="GRANT ALL ON SCHEMA public TO the user, or let it own the database",
        )
    rows = connection.execute(
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()"
    ).fetchall()
    tables = {row[0] for row in rows}
    if not tables:
        return None
    if not tables >= _OURS:
        raise SettingInvalid(
            f"'{location.shown}' is no Noria store",
            cause=f"the database holds tables of another program, such as '{min(tables)}'",
            remedy="give Noria a database of its own: createdb noria",
        )
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    revision = str(row[0]) if row else ""
    if revision not in REVISIONS:
        raise StoreNewer(
            f"store '{location.shown}' has schema revision '{revision}'; this Noria knows '{NEWEST}' at most",
            cause="a newer Noria has migrated it; nothing was changed now",
        )
    return revision
