"""All metadata ports in one SQLite file: durable when answered, several processes at once. What they decide is rules.py. Opened by app/plugins.

SQLite itself is reached by the standard library; SQLAlchemy and Alembic are imported only when the file has to be made or migrated.
"""

from noria.ports.metadata import Metadata


def open_store(location: str, *, project: str) -> Metadata:
    """Open or make a store. location: path of the file; missing folders are made for this user alone.

    Runs the migrations that the file lacks. Raises SettingInvalid for what is no Noria store, StoreNewer, StoreUnavailable, StoreCorrupt, DiskFull.
    """
    from noria.adapters.metadata.sqlite.open import open_metadata

    return open_metadata(location, project=project)
