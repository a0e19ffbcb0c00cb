"""The Parquet table store against the laws of its port, and what only files can suffer."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from noria.adapters.tables.parquet import open_store
from noria.domain.dataset import DatasetVersion
from noria.errors import StoreCorrupt
from noria.ports.tables import TableStore
from noria.testing.tables_suite import AT, SCHEMA, TableStoreSuite, a_table


class TestParquetTables(TableStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> TableStore:
        return open_store(str(tmp_path / "tables"))


def content_file(folder: Path, version: DatasetVersion) -> Path:
    return folder / "content" / f"{version.digest.removeprefix('blake3:')}.parquet"


def test_another_process_sees_what_was_written(tmp_path: Path) -> None:
    version = open_store(str(tmp_path)).write("flights", a_table(), schema=SCHEMA, at=AT)

    again = open_store(str(tmp_path))

    assert again.versions("flights") == [version]
    assert pl.DataFrame(again.read(version.digest)).height == 5


def test_processes_writing_at_once_number_without_gaps_or_doubles(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from noria.adapters.tables.parquet import open_store\n"
        "from noria.testing.tables_suite import AT, SCHEMA, a_table\n"
        "store = open_store(sys.argv[1])\n"
        "for n in range(1, 13):\n"
        "    store.write('flights', a_table(n, first=int(sys.argv[2]) * (n % 2)), schema=SCHEMA, at=AT)\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(i)]) for i in (1, 2)]
    assert [w.wait(60) for w in workers] == [0, 0]

    versions = open_store(str(tmp_path)).versions("flights")

    assert [v.number for v in versions] == list(range(1, 19))  # 6 sizes are the same in both, 6 differ
    assert len({v.digest for v in versions}) == 18


def test_changed_bytes_are_noticed_on_reading(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    version = store.write("flights", a_table(), schema=SCHEMA, at=AT)
    other = a_table().with_columns(pl.lit(1.5).alias("x"))
    other.write_parquet(content_file(tmp_path, version))

    assert pl.DataFrame(store.read(version.digest, columns=["id"])).height == 5  # this column is as it was
    with pytest.raises(StoreCorrupt, match="not what was written") as caught:
        store.read(version.digest)
    assert "x" in caught.value.cause


@pytest.mark.parametrize("harm", ["truncate", "remove"])
def test_a_damaged_file_is_reported_and_written_again_from_its_source(tmp_path: Path, harm: str) -> None:
    store = open_store(str(tmp_path))
    version = store.write("flights", a_table(), schema=SCHEMA, at=AT)
    path = content_file(tmp_path, version)
    path.write_bytes(path.read_bytes()[:200]) if harm == "truncate" else path.unlink()

    with pytest.raises(StoreCorrupt):
        store.read(version.digest)
    store.write("flights", a_table(), schema=SCHEMA, at=AT)

    assert pl.DataFrame(store.read(version.digest)).height == 5


def test_a_damaged_manifest_is_reported(tmp_path: Path) -> None:
    open_store(str(tmp_path)).write("flights", a_table(), schema=SCHEMA, at=AT)
    (tmp_path / "datasets" / "flights" / "000001.json").write_text("{")

    with pytest.raises(StoreCorrupt):
        open_store(str(tmp_path)).versions("flights")


def test_what_a_killed_writer_left_is_swept_and_a_live_one_is_not(tmp_path: Path) -> None:
    open_store(str(tmp_path))
    dead, alive = tmp_path / "content" / ".new-1-dead", tmp_path / "content" / ".new-2-alive"
    dead.write_bytes(b"half")
    program = (
        "import fcntl, sys; h = open(sys.argv[1], 'wb'); fcntl.flock(h, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(alive)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        open_store(str(tmp_path))

        assert (dead.exists(), alive.exists()) == (False, True)
        holder.communicate("\n")
