"""All metadata ports in one PostgreSQL database (15 or newer): several servers and projects at once. What they decide is rules.py.

Opened by app/plugins. Needs the extra `postgres` (psycopg).
"""

from noria.errors import ExtraMissing
from noria.ports.metadata import Metadata


def open_store(location: str, *, project: str) -> Metadata:
    """Open or make a store. location: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, with libpq's parameters; PGPASSWORD and .pgpass count too.

    Runs the migrations that the database lacks. Raises ExtraMissing, SettingInvalid for a bad URL, no access or another program's database,
    StoreNewer, StoreUnavailable.
    """
    try:
        from noria.adapters.metadata.postgres.open import open_metadata
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("psycopg"):
            raise
        raise ExtraMissing(
            "a store in PostgreSQL needs the package 'psycopg'",
            cause="it is an optional dependency and is not installed",
            remedy="pip install 'noria[postgres]'",
        ) from error
    return open_metadata(location, project=project)
