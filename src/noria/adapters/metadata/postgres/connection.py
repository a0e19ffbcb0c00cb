"""One connection to PostgreSQL that takes the SQL of sql/: `?` for values, Python's numbers as 64 bits, answers in binary.

When it is opened and closed is database.py and writer.py.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql as names
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper, NumericBinaryLoader
from psycopg.types.string import StrBinaryDumper, StrDumper

from noria.adapters.metadata.postgres.location import Location
from noria.adapters.metadata.sql.connection import Rows
from noria.errors import SettingInvalid, StoreNewer

_SETTINGS = (
    "SELECT current_setting('server_encoding'), current_setting('server_version_num')::int,"
    # Nobody waits for ever behind a server that hangs in the middle of a transaction.
    " CASE current_setting('lock_timeout') WHEN '0' THEN set_config('lock_timeout', '30s', false) END"
)
OLDEST = 150000


class _Whole(NumericBinaryLoader):
    """Sums of 64-bit numbers come as NUMERIC; they are numbers as everywhere else."""

    def load(self, data: Any) -> Any:
        value: Decimal = super().load(data)
        return int(value) if value == value.to_integral_value() else float(value)


class Connection:
    """sql.connection.Connection, within a transaction that `begin` began. wrote: whether a statement since then may have changed something."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw
        self.wrote = False

    def execute(self, sql: str, values: Sequence[object] = (), /) -> Rows:
        """Run one statement."""
        said, writes = _said(sql)
        self.wrote = self.wrote or writes
        return self.raw.cursor(binary=True).execute(said, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]], /) -> Rows:
        """Run one statement for each row, all of them sent without waiting for each other's answers."""
        self.wrote = True
        cursor = self.raw.cursor()
        cursor.executemany(_said(sql)[0], rows)
        return cursor

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]], /) -> None:
        """COPY."""
        self.wrote = True
        statement = names.SQL("COPY {} ({}) FROM STDIN").format(
            names.Identifier(table), names.SQL(", ").join(map(names.Identifier, columns))
        )
        with self.raw.cursor().copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def begin(self, script: str) -> tuple[Any, ...]:
        """Several statements in one round trip; gives the first row of the last one, or nothing."""
        self.wrote = False
        cursor = self.raw.cursor()
        cursor.execute(script, prepare=False)
        while cursor.nextset():
            pass
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row or ()

    def end(self, how: str) -> None:
        """COMMIT or ROLLBACK."""
        self.raw.execute(how, prepare=False)

    def close(self) -> None:
        """Close it; closing a broken one is no error."""
        self.raw.close()


def connect(location: Location) -> Connection:
    """A connection without transactions of its own. Raises psycopg's errors, SettingInvalid for a database that cannot be used."""
    raw = psycopg.connect(location.conninfo, autocommit=True)
    try:
        raw.prepared_max = 512
        for number in (int, bool):
            raw.adapters.register_dumper(number, Int8Dumper)
            raw.adapters.register_dumper(number, Int8BinaryDumper)
        raw.adapters.register_dumper(str, StrBinaryDumper)
        raw.adapters.register_dumper(str, StrDumper)
        raw.adapters.register_loader("numeric", _Whole)
        row = raw.execute(_SETTINGS).fetchone() or ("", 0)
        if row[0] != "UTF8":
            raise SettingInvalid(
                f"database '{location.shown}' keeps text as '{row[0]}'",
                remedy="createdb --encoding UTF8 --template template0",
            )
        if row[1] < OLDEST:
            raise SettingInvalid(
                f"the server of '{location.shown}' is PostgreSQL {row[1] // 10000}", remedy="use PostgreSQL 15 or newer"
            )
    except BaseException:
        raw.close()
        raise
    return Connection(raw)


def check_revision(found: object, location: Location, *, known: str) -> None:
    """Asked in every transaction: has a newer Noria migrated the database since it was opened? Then what this one knows of it is wrong."""
    if found != known:
        raise StoreNewer(
            f"store '{location.shown}' has schema revision '{found}' by now; this process works with '{known}'",
            cause="a newer Noria has migrated it meanwhile; nothing of this was written",
            remedy="pip install --upgrade noria, then start this process again",
        )


@lru_cache(maxsize=2048)
def _said(sql: str) -> tuple[str, bool]:
    """A statement as psycopg takes it, and whether it may write.

    >>> _said("SELECT '?', 5 % 2 FROM t WHERE a = ?")
    ("SELECT '?', 5 %% 2 FROM t WHERE a = %s", False)
    """
    parts = sql.split("'")
    parts[::2] = [
        part.replace("?", "%s") if '"' not in part else _outside(part)
        for part in (p.replace("%", "%%") for p in parts[::2])
    ]
    parts[1::2] = [part.replace("%", "%%") for part in parts[1::2]]
    return "'".join(parts), not sql.lstrip().startswith("SELECT")


def _outside(part: str) -> str:
    """Marks outside of quoted names."""
    return '"'.join(p if at % 2 else p.replace("?", "%s") for at, p in enumerate(part.split('"')))
