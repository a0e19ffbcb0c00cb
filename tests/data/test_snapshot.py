"""Snapshots: a source becomes a version, or is refused whole."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from noria.adapters.tables.memory import MemoryTables
from noria.data.snapshot import snapshot
from noria.domain.dataset import Column, Expectation, Schema
from noria.errors import EmptyTable, ExpectationFailed, SchemaMismatch

AT = datetime(2013, 3, 1, tzinfo=UTC)
SCHEMA = Schema(
    columns=(
        Column(name="id", dtype="int64"),
        Column(name="carrier", dtype="string", categories=("AA", "UA")),
        Column(name="delay", dtype="float64"),
    ),
    key=("id",),
)
GOOD = "id,carrier,delay\n1,AA,3.5\n2,UA,-2\n3,AA,0\n"
RULES = (Expectation(rule="between", column="delay", minimum=-60, maximum=600, severity="quarantine"),)


def a_csv(folder: Path, text: str) -> Path:
    path = folder / "flights.csv"
    path.write_text(text)
    return path


def test_a_good_source_becomes_a_version(tmp_path: Path) -> None:
    tables = MemoryTables()

    version = snapshot(tables, "flights", a_csv(tmp_path, GOOD), schema=SCHEMA, expectations=RULES, at=AT)

    assert (version.number, version.rows, version.created_at) == (1, 3, AT)
    assert version.source.endswith("flights.csv")
    assert version.expectations is not None
    assert version.expectations.passed
    assert tables.datasets() == ["flights"]
    assert snapshot(tables, "flights", a_csv(tmp_path, GOOD), schema=SCHEMA, expectations=RULES, at=AT) == version


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("id,carrier\n1,AA\n", SchemaMismatch, "column 'delay' is missing"),
        (GOOD + "4,AA,late\n", SchemaMismatch, "column 'delay' is string, the schema says float64"),
        (GOOD + "4,ZZ,1\n", SchemaMismatch, "unseen categories ZZ"),
        (GOOD + "4,AA,NaN\n", SchemaMismatch, "column 'delay' has 1 missing values"),
        (GOOD + "4,AA,\n", SchemaMismatch, "column 'delay' has 1 missing values"),
        ("id,carrier,delay\n", EmptyTable, "has no rows"),
        ("", EmptyTable, "has no rows"),
    ],
    ids=["missing column", "changed type", "unseen category", "NaN in a required field", "null", "no rows", "no bytes"],
)
def test_a_bad_source_is_refused_and_nothing_is_stored(
    tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    tables = MemoryTables()
    before = snapshot(tables, "flights", a_csv(tmp_path, GOOD), schema=SCHEMA, at=AT)

    with pytest.raises(error) as caught:
        snapshot(tables, "flights", a_csv(tmp_path, text), schema=SCHEMA, expectations=RULES, at=AT)

    assert words in str(caught.value)
    assert "remedy:" in str(caught.value)
    assert tables.datasets() == ["flights"]
    assert tables.versions("flights") == [before]


def test_a_refused_expectation_names_rows_and_stores_nothing(tmp_path: Path) -> None:
    tables = MemoryTables()
    rules = [Expectation(rule="between", column="delay", minimum=0), Expectation(rule="unique", column="id"), *RULES]

    with pytest.raises(ExpectationFailed) as caught:
        snapshot(tables, "flights", a_csv(tmp_path, GOOD), schema=SCHEMA, expectations=rules, at=AT)

    assert "'delay between 0 and inf' fails for 1 of 3 rows (row 1: -2.0)" in caught.value.problem
    assert "1 of 3 expectations" in caught.value.problem
    assert tables.datasets() == []


def test_bad_rows_are_kept_apart_with_their_reasons(tmp_path: Path) -> None:
    tables = MemoryTables()
    rules = [*RULES, Expectation(rule="one_of", column="carrier", values=("AA", "UA"), severity="quarantine")]

    version = snapshot(
        tables,
        "flights",
        a_csv(tmp_path, GOOD + "4,ZZ,9999\n5,AA,\n".replace("5,AA,\n", "")),
        schema=SCHEMA,
        expectations=rules,
        at=AT,
    )

    assert (version.rows, version.expectations.quarantined if version.expectations else 0) == (3, 1)
    (aside,) = tables.versions("flights.quarantine")
    (row,) = tables.read(aside.digest).to_dicts()
    assert row == {
        "id": 4,
        "carrier": "ZZ",
        "delay": 9999.0,
        "quarantine_reason": "delay between -60 and 600; carrier one of AA, UA",
    }


def test_a_table_of_bad_rows_only_is_refused(tmp_path: Path) -> None:
    tables = MemoryTables()

    with pytest.raises(EmptyTable, match="all 1 would be quarantined"):
        snapshot(
            tables,
            "flights",
            a_csv(tmp_path, "id,carrier,delay\n1,AA,9999\n"),
            schema=SCHEMA,
            expectations=RULES,
            at=AT,
        )

    assert tables.datasets() == []


def test_frames_are_snapshotted_with_their_parents() -> None:
    tables = MemoryTables()
    frame = pl.DataFrame({"delay": [1.5], "carrier": ["AA"], "id": [1]})
    first = snapshot(tables, "raw", frame, schema=SCHEMA, at=AT, source_name="by hand")

    second = snapshot(tables, "clean", frame, schema=SCHEMA, at=AT, parents=[first.digest])

    assert (first.source, second.parents) == ("by hand", (first.digest,))
