"""Fix a source as an immutable DatasetVersion: read, cast, validate, quarantine, write. Nothing is stored when it is refused.

Keeping the version is the tables port. Called by projects and by loop/stages/train.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from noria.data.schema import cast, check_values
from noria.data.source import read_source
from noria.data.validate import REASON, describe, part, validate
from noria.domain.arrow import ArrowTable
from noria.domain.dataset import Column, DatasetVersion, Expectation, ExpectationReport, Schema
from noria.domain.ids import Digest
from noria.errors import EmptyTable, ExpectationFailed
from noria.ports.tables import TableStore


def snapshot(
    tables: TableStore,
    dataset: str,
    source: Path | ArrowTable,
    *,
    schema: Schema,
    at: datetime,
    expectations: Sequence[Expectation] = (),
    source_name: str = "",
    null_values: Sequence[str] = (),
    parents: Sequence[Digest] = (),
) -> DatasetVersion:
    """Keep a source as the next version of a dataset, if it is what was agreed on.

    In this order: names and types (`schema.cast`); expectations, where one of severity 'refuse' stops everything; rows that break one of
    severity 'quarantine' are kept apart as a version of '<dataset>.quarantine' with their reasons; the rest must keep what the schema closes
    (nulls, categories, ranges). source_name: where it came from, for people (default: the path). The same content again is the same version.
    Raises SourceUnreadable, EmptyTable, SchemaMismatch, ExpectationFailed, DiskFull; the dataset is then as it was.
    """
    table = cast(read_source(source, schema=schema, null_values=null_values), schema)
    report = validate(table, expectations)
    if not report.passed:
        raise _refusal(dataset, report)
    good, bad = part(table, report)
    if good.height == 0:
        raise EmptyTable(
            f"no row of dataset '{dataset}' is left: all {table.height:,} would be quarantined",
            cause="; ".join(_failed_lines(report)),
            remedy="correct the source, or the expectation that every row breaks",
        )
    check_values(good, schema)
    came_from = source_name or (str(source) if isinstance(source, Path) else "")
    if bad.height:
        tables.write(
            f"{dataset}.quarantine",
            bad,
            schema=_lenient(schema),
            at=at,
            source=came_from,
            parents=parents,
            expectations=report,
        )
    return tables.write(
        dataset,
        good,
        schema=schema,
        at=at,
        source=came_from,
        parents=parents,
        expectations=report if report.results else None,
    )


def _lenient(schema: Schema) -> Schema:
    """The schema of rows set aside: the same types, nothing closed, and the reason."""
    columns = tuple(
        msgspec.structs.replace(c, nullable=True, categories=None, minimum=None, maximum=None) for c in schema.columns
    )
    return Schema(
        columns=(*columns, Column(name=REASON, dtype="string")), time_column=schema.time_column, key=schema.key
    )


def _refusal(dataset: str, report: ExpectationReport) -> ExpectationFailed:
    lines = _failed_lines(report, only="refuse")
    return ExpectationFailed(
        f"dataset '{dataset}' breaks {len(lines)} of {len(report.results)} expectations: {'; '.join(lines)}",
        cause=f"{report.rows:,} rows were checked, nothing was stored",
        remedy="correct the source; or let severity 'quarantine' set such rows aside, or a tolerance allow a share of them",
    )


def _failed_lines(report: ExpectationReport, only: str = "") -> list[str]:
    lines = []
    for r in report.results:
        if r.passed or (only and r.expectation.severity != only):
            continue
        examples = f" ({'; '.join(r.examples)})" if r.examples else ""
        lines.append(f"'{describe(r.expectation)}' fails for {r.failed:,} of {r.rows:,} rows{examples}")
    return lines
