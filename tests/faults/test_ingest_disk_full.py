"""A disk that fills up while a source is taken in: the snapshot is refused, what was stored before is intact, nothing half is left."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from noria.adapters.tables.parquet import open_store
from noria.data.schema import infer_schema
from noria.data.snapshot import snapshot
from noria.domain.dataset import Expectation
from noria.errors import DiskFull, NoriaError

pytestmark = pytest.mark.faults
AT = datetime(2013, 3, 1, tzinfo=UTC)


def a_table(rows: int, seed: int = 0) -> pl.DataFrame:
    """Numbers that do not compress, so that the size on the disk is known: 8 bytes a row."""
    return pl.DataFrame(
        {"x": pl.int_range(rows, eager=True).hash(seed).cast(pl.Int64, strict=False, wrap_numerical=True)}
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, where this may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def files_in(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_full_disk_loses_nothing_and_leaves_nothing_half(small_disk: Path) -> None:
    tables = open_store(str(small_disk))
    small, large = a_table(10_000), a_table(1_000_000, seed=1)
    schema = infer_schema(small)
    first = snapshot(tables, "numbers", small, schema=schema, at=AT)
    before = files_in(small_disk)

    with pytest.raises(DiskFull) as caught:
        snapshot(tables, "numbers", large, schema=schema, at=AT)

    assert caught.value.retryable
    assert files_in(small_disk) == before
    again = open_store(str(small_disk))
    assert again.versions("numbers") == [first]
    assert again.read(first.digest).equals(small)


def test_after_space_was_made_the_same_snapshot_succeeds(small_disk: Path) -> None:
    filler = small_disk / "filler"
    tables = open_store(str(small_disk))
    table = a_table(100_000)
    filler.write_bytes(bytes(1_900_000))
    with pytest.raises(DiskFull):
        snapshot(tables, "numbers", table, schema=infer_schema(table), at=AT)

    filler.unlink()
    version = snapshot(tables, "numbers", table, schema=infer_schema(table), at=AT)

    assert (version.number, version.rows) == (1, 100_000)
    assert tables.read(version.digest).equals(table)


def test_rows_set_aside_do_not_outlive_a_refused_version_as_a_version_of_the_dataset(small_disk: Path) -> None:
    tables = open_store(str(small_disk))
    table = a_table(1_000_000)
    rule = Expectation(rule="between", column="x", minimum=float(table["x"].quantile(0.01) or 0), severity="quarantine")

    with pytest.raises(DiskFull):
        snapshot(tables, "numbers", table, schema=infer_schema(table), expectations=[rule], at=AT)

    assert tables.versions("numbers") == []


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    program = "\n".join(
        [
            "import resource, sys",
            "from pathlib import Path",
            "sys.path.insert(0, sys.argv[2])",
            "import test_ingest_disk_full as here",
            f"resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))",
            "here.take_in_too_much(Path(sys.argv[1]))",
        ]
    )

    child = subprocess.run(
        [sys.executable, "-c", program, tmp_path, Path(__file__).parent],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ},
    )

    assert child.stdout.strip() == "DiskFull", child.stderr
    assert files_in(tmp_path) == set()


def take_in_too_much(folder: Path) -> None:
    """Run in a process whose files may have 100 kB."""
    table = a_table(100_000)
    try:
        snapshot(open_store(str(folder)), "numbers", table, schema=infer_schema(table), at=AT)
    except NoriaError as error:
        print(type(error).__name__)
