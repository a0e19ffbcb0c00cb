"""Reading sources: what is read, and what is said when it cannot be."""

import gzip
import zipfile
from pathlib import Path

import polars as pl
import pytest

from noria.data.source import read_source
from noria.domain.dataset import Column, Schema
from noria.errors import EmptyTable, SourceUnreadable

TEXT = "id,zip,when,delay\n1,00501,2013-01-01T10:00:00Z,3.5\n2,90210,2013-01-02T11:30:00Z,NA\n"
FRAME_TYPES = {"id": pl.Int64, "zip": pl.String, "when": pl.Datetime("us", "UTC"), "delay": pl.Float64}


def a_csv(folder: Path, text: str = TEXT, name: str = "a.csv") -> Path:
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", text)
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip", "A.CSV"])
def test_a_csv_is_read_packed_or_not(tmp_path: Path, name: str) -> None:
    frame = read_source(a_csv(tmp_path, name=name), null_values=["NA"])

    assert dict(frame.schema) == FRAME_TYPES
    assert frame["delay"].to_list() == [3.5, None]


def test_text_columns_of_the_schema_are_text_whatever_they_hold(tmp_path: Path) -> None:
    schema = Schema(columns=(Column(name="id", dtype="string"), Column(name="when", dtype="string")))

    frame = read_source(a_csv(tmp_path), schema=schema)

    assert frame["id"].to_list() == ["1", "2"]
    assert frame["when"][0] == "2013-01-01T10:00:00Z"


NAIVE, AWARE = pl.Datetime("us"), pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", "", "0"], pl.Int64),
        (["9223372036854775807"], pl.Int64),
        (["9223372036854775808"], pl.Float64),
        (["1", "2.5", "1e3", "NaN"], pl.Float64),
        (["0.5", "-0.5"], pl.Float64),
        (["007", "1"], pl.String),
        (["true", "False"], pl.Boolean),
        (["true", "1"], pl.String),
        (["2013-01-01", "2013-12-31"], pl.Date),
        (["2013-01-01", "2013-02-30"], pl.String),
        (["01/02/2013"], pl.String),
        (["2013-01-01T10:00:00Z", "2013-01-01 10:00:00.25+02:00"], AWARE),
        (["2013-01-01 10:00", "2013-01-01 11:30"], NAIVE),
        (["2013-01-01 10:00:00", "2013-01-01T10:00:00.000001"], NAIVE),
        (["2013-01-01 10:00:00.0000001"], pl.String),
        (["2013-01-01T10:00:00Z", "2013-01-01T10:00:00"], pl.String),
        (["", ""], pl.String),
        (["1"] * 300 + ["x"], pl.String),
        ([""] * 300 + ["1"], pl.Int64),
    ],
)
def test_a_column_has_the_first_type_that_fits_all_of_its_values(
    tmp_path: Path, values: list[str], kind: pl.DataType
) -> None:
    text = "a,b\n" + "".join(f"{v},z\n" for v in values)

    column = read_source(a_csv(tmp_path, text))["a"]

    assert column.dtype == kind
    assert column.null_count() == values.count("")


def test_a_type_that_changes_in_the_last_row_is_seen(tmp_path: Path) -> None:
    rows = "".join(f"{i},1\n" for i in range(2000))

    assert read_source(a_csv(tmp_path, f"a,b\n{rows}x,1\n"))["a"].dtype == pl.String


def test_parquet_and_frames_are_sources(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    frame.write_parquet(tmp_path / "a.parquet")

    assert read_source(tmp_path / "a.parquet").equals(frame)
    assert read_source(frame) is frame


def broken_sources(folder: Path) -> dict[str, Path]:
    pl.DataFrame({"a": range(1000)}).write_parquet(folder / "whole.parquet")
    (folder / "cut.parquet").write_bytes((folder / "whole.parquet").read_bytes()[:-100])
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "cut.csv.gz").write_bytes(gzip.compress(TEXT.encode())[:-12])
    (folder / "no.csv.gz").write_bytes(b"not gzip")
    (folder / "cut.csv.zip").write_bytes(a_csv(folder, name="ok.csv.zip").read_bytes()[:60])
    with zipfile.ZipFile(folder / "two.csv.zip", "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)
    (folder / "latin.csv").write_bytes("a,b\nM\xfcnchen,1\n".encode("latin-1"))
    (folder / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (folder / "cut.csv").write_text(TEXT[:-12])
    (folder / "folder.csv").mkdir()
    (folder / "a.xlsx").write_bytes(b"")
    names = [
        "cut.parquet",
        "empty.parquet",
        "cut.csv.gz",
        "no.csv.gz",
        "cut.csv.zip",
        "two.csv.zip",
        "latin.csv",
        "ragged.csv",
    ]
    return {name: folder / name for name in [*names, "cut.csv", "folder.csv", "a.xlsx", "absent.csv"]}


def test_what_cannot_be_read_says_which_file_and_why(tmp_path: Path) -> None:
    for name, path in broken_sources(tmp_path).items():
        with pytest.raises(SourceUnreadable) as caught:
            read_source(path)

        assert name in caught.value.problem
        assert caught.value.cause
        assert caught.value.remedy


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    a_csv(tmp_path, name="flights.csv")

    with pytest.raises(SourceUnreadable) as caught:
        read_source(tmp_path / "flight.csv")

    assert "flights.csv" in caught.value.cause


@pytest.mark.parametrize("text", ["", "\n", "a,b\n"])
def test_no_rows_is_an_empty_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(EmptyTable):
        read_source(a_csv(tmp_path, text))

    assert read_source(a_csv(tmp_path, text), allow_empty=True).height == 0
