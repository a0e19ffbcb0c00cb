"""Open a store file: make its folder, check whose it is, migrate it, find the project. Called by the package's open_store.

Holding it open is database.py; the migrations are migrations/.
"""

import os
import sqlite3
from pathlib import Path
from time import monotonic, sleep

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.held import held, let_go
from noria.adapters.metadata.sql.metadata import SqlMetadata, find_project, make_project
from noria.adapters.metadata.sql.migrations import NEWEST, REVISIONS
from noria.adapters.metadata.sqlite.connection import connect
from noria.adapters.metadata.sqlite.database import Database
from noria.adapters.metadata.sqlite.faults import is_busy, translate
from noria.adapters.metadata.sqlite.writer import PATIENCE_S
from noria.errors import SettingInvalid, StoreCorrupt, StoreNewer, StoreUnavailable

APPLICATION_ID = 0x4E6F7269
"""'Nori' in ASCII: stands in the file's header, so that no other program's database is taken for ours."""
_MAGIC = b"SQLite format 3\x00"


def open_metadata(location: str, *, project: str, patience_s: float = PATIENCE_S) -> SqlMetadata:
    """Open or make the store at a path. patience_s: how long a writer tries while another process holds the lock."""
    name = rules.project_of(project)
    path = _path(location)
    with held(path, lambda: _database(path, patience_s)) as database:
        number = database.read(lambda connection: find_project(connection, name))
        if number is None:
            number = database.write(lambda connection: make_project(connection, name))
        return SqlMetadata(database, name, number, let_go=lambda: let_go(database))


def _path(location: str) -> Path:
    if not location:
        raise SettingInvalid("a SQLite store needs a path", remedy="give one such as '.noria/meta.db'")
    path = Path(os.path.abspath(location))
    if path.is_dir():
        raise SettingInvalid(f"'{path}' is a folder, not a store", remedy=f"name the file: '{path / 'meta.db'}'")
    try:
        for folder in reversed([parent for parent in path.parents if not parent.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
        # Made here, so that it belongs to this user alone from its first moment; SQLite gives its -wal and -shm files the same rights.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"store '{path}' cannot be opened", cause=str(error), remedy="look at the rights of the file and its folder"
        ) from error
    return path.resolve()


def _database(path: Path, patience_s: float) -> Database:
    """Check and migrate the file, then hold it."""
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if start and start != _MAGIC:
        raise StoreCorrupt(
            f"'{path}' is no Noria store",
            cause="it does not begin as a SQLite database does: it is another kind of file, or its beginning was overwritten",
            remedy="give the path of a store, or of a file that does not exist yet; or restore it from a backup",
        )
    try:
        connection = connect(path, wait_s=patience_s)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    try:
        _check(connection, path)
        _use_wal(connection, patience_s)
        if _revision(connection) != NEWEST:
            from noria.adapters.metadata.sql.migrations.upgrade import upgrade

            upgrade(connection, application_id=APPLICATION_ID)
        return Database(path, patience_s=patience_s)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    finally:
        connection.close()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse other programs' databases and stores of a newer Noria."""
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and (owner or tables):
        raise SettingInvalid(
            f"'{path}' is no Noria store",
            cause="it is a SQLite database of another program",
            remedy="give another path",
        )
    revision = _revision(connection)
    if revision is not None and revision not in REVISIONS:
        raise StoreNewer(
            f"store '{path}' has schema revision '{revision}'; this Noria knows '{NEWEST}' at most",
            cause="a newer Noria has migrated it; nothing was changed now",
        )


def _revision(connection: sqlite3.Connection) -> str | None:
    """Which migration the file has last seen, or None for a new one."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if not found:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _use_wal(connection: sqlite3.Connection, patience_s: float) -> None:
    """Switch to the write-ahead log, once in a file's life. While another process does the same, SQLite says busy without waiting."""
    deadline = monotonic() + patience_s
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() >= deadline:
                raise
            sleep(0.005)
            continue
        if mode != "wal":
            raise SettingInvalid(
                f"the file system refuses SQLite's write-ahead log (mode '{mode}')",
                cause="it is a network file system, perhaps",
                remedy="keep the store on a local disk",
            )
        return
