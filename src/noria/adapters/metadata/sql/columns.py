"""Column types that mean the same in SQLite and PostgreSQL: for schema.py and the other files of tables.

The migrations' side of it is migrations/statements.
"""

from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary, Text
from sqlalchemy.types import Double

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits in both: SQLite's INTEGER, PostgreSQL's BIGINT."""
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Sorted by code point in both, whatever language PostgreSQL's database speaks."""
BYTES = LargeBinary()
REAL: Double[float] = Double()
"""A double. NaN does not belong here: SQLite would make it NULL (rules.float_bits keeps it)."""


def numbered(name: str) -> Column[int]:
    """A primary key that the database counts up."""
    return Column(name, NUMBER, Identity(), primary_key=True)
