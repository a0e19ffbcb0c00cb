"""What the queries of this folder need of a database: a connection that takes SQL with `?` for values, and transactions around some work.

Filled by sqlite/database and postgres/database. SQL here is what both understand; where they differ, `dialect` says which one it is.
Writes of a project come one after the other, by SQLite's lock or, in PostgreSQL, by ours: what some work has read stays so until it ends.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol, TypeVar

T = TypeVar("T")
Dialect = Literal["sqlite", "postgres"]
MOST_LISTED = 1024
"""Values in one `IN (...)`: bounds the length of a statement."""


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

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]], /) -> None:
        """Insert many new rows by the fastest way there is (PostgreSQL's COPY). A row whose key is taken fails the work."""
        ...


Work = Callable[[Connection], T]


class Database(Protocol):
    """Transactions. Work may run more than once and must touch nothing but its connection."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks where the two differ."""
        ...

    def write(self, work: Work[T], *, only: str = "") -> T:
        """Run some work in a transaction; the answer means durable.

        only: the id of a run, for work that writes nothing but what belongs to it and tells the feed nothing. PostgreSQL does such work for several
        runs side by side; nothing else happens in the project meanwhile.
        """
        ...

    def read(self, query: Work[T]) -> T:
        """Run queries on one unchanging view of the store, which holds all that was answered before."""
        ...

    def waiting(self) -> int:
        """Writes that wait for their transaction."""
        ...


def listed(values: Collection[object]) -> tuple[str, tuple[object, ...]]:
    """Marks and values for `IN (...)`. The last value is repeated up to a power of two, so that few statements differ; none becomes NULL.

    >>> listed(["a", "b", "c"])
    ('?, ?, ?, ?', ('a', 'b', 'c', 'c'))
    """
    found = tuple(values) or (None,)
    size = 1 << (len(found) - 1).bit_length()
    return ", ".join("?" * size), (*found, *(found[-1],) * (size - len(found)))


def portions(values: Sequence[T], size: int = MOST_LISTED) -> Iterator[Sequence[T]]:
    """Values in portions that fit into one statement.

    >>> [list(some) for some in portions([1, 2, 3], 2)]
    [[1, 2], [3]]
    """
    return (values[start : start + size] for start in range(0, len(values), size))
