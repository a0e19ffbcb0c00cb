"""Datasets: what the columns must be, what was expected of the rows, and one immutable version. Making versions is data/."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest

DataType = Literal["bool", "int64", "float32", "float64", "string", "datetime", "date"]
Severity = Literal["refuse", "quarantine", "warn"]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a schema. `categories` closes the set of values; None leaves it open."""

    name: str
    dtype: DataType
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What a table's columns must be. `time_column` orders the rows; `key` names the columns that identify one."""

    columns: tuple[Column, ...]
    time_column: str | None = None
    key: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """One claim about the rows, and what follows when rows break it.

    rule: 'not_null' | 'between' | 'one_of' | 'unique' | 'matches' | 'row_count_at_least'. tolerance: share of rows in [0, 1] that may break it.
    """

    rule: Literal["not_null", "between", "one_of", "unique", "matches", "row_count_at_least"]
    column: str = ""
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    pattern: str = ""
    tolerance: float = 0.0
    severity: Severity = "refuse"


class ExpectationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one expectation found. failed: rows that broke it; examples: a few of the values, as text."""

    expectation: Expectation
    passed: bool
    failed: int
    rows: int
    examples: tuple[str, ...] = ()


class ExpectationReport(msgspec.Struct, frozen=True, kw_only=True):
    """All expectations over one table; quarantined rows are kept aside, counted here."""

    results: tuple[ExpectationResult, ...]
    rows: int
    quarantined: int = 0

    @property
    def passed(self) -> bool:
        """Whether no expectation of severity 'refuse' failed."""
        return all(r.passed or r.expectation.severity != "refuse" for r in self.results)


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable table: its address covers every row, every column and the schema.

    digest: of the content. parents: digests of the versions it was made from. source: where it came from, for people.
    """

    dataset: str
    number: int
    digest: Digest
    schema: Schema
    rows: int
    bytes_stored: int
    created_at: datetime
    source: str = ""
    parents: tuple[Digest, ...] = ()
    expectations: ExpectationReport | None = None
    since: datetime | None = None
    until: datetime | None = None


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A table cut by time: train before `at`, test from `at` on. Rows whose label was not known at `known_by` are in neither."""

    train: Digest
    test: Digest
    at: datetime
    known_by: datetime
    train_rows: int
    test_rows: int
