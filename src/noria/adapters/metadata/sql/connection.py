"""What the queries of this folder need of a database: a connection that takes SQL with `?` for values, and transactions around some work.

Filled by sqlite/database and postgres/database. SQL here is what both understand; where they differ, `dialect` says which one it is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, TypeVar

T = TypeVar("T")
Dialect = Literal["sqlite", "postgres"]


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows changed."""
        ...

    def fetchone(self) -> Any:
        """The next row as a tuple, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows left."""
        ...


class Connection(Protocol):
    """Inside one transaction."""

    def execute(self, sql: str, values: Sequence[object] = (), /) -> Rows:
        """Run one statement; each `?` outside of quotes is a value."""
        ...

    def executemany(self, sql: str, rows: Iterable[Sequence[object]], /) -> Rows:
        """Run one statement for each row of values."""
        ...


Work = Callable[[Connection], T]


class Database(Protocol):
    """Transactions. Work may run more than once and must touch nothing but its connection."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks where the two differ."""
        ...

    def write(self, work: Work[T]) -> T:
        """Run some work in a transaction; the answer means durable."""
        ...

    def read(self, query: Work[T]) -> T:
        """Run queries on one unchanging view of the store, which holds all that was answered before."""
        ...
