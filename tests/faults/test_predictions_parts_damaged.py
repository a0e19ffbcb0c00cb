"""Files of the prediction log that are damaged or there twice: set aside by name, the rest is read, and put back they are part of it again."""

from pathlib import Path

import pytest

from noria.adapters.predictions import parquet
from noria.errors import StoreCorrupt
from noria.testing.predictions_suite import Stage, a_record, frame, kept


def files(home: Path, folder: str) -> list[Path]:
    return sorted((home / "flights" / folder).iterdir())


def two_parts(home: Path, stage: Stage) -> Path:
    """A log of two files; gives the first."""
    log = parquet.open_store(str(home))
    kept(log, [a_record(n) for n in range(300)], stage=stage, name="first")
    kept(log, [a_record(n, minutes=9) for n in range(300, 400)], stage=stage, name="second")
    return files(home, "segments" if stage == "compacted" else "journal")[0]


@pytest.mark.parametrize("stage", ["closed", "compacted"])
def test_a_damaged_file_is_set_aside_and_the_rest_is_read(tmp_path: Path, stage: Stage) -> None:
    broken = two_parts(tmp_path, stage)
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200] + b"?" + whole[201:])
    log = parquet.open_store(str(tmp_path))
    with pytest.raises(StoreCorrupt):
        log.scan("flights")

    (aside,) = log.set_aside("flights")

    assert (aside.name, bool(aside.damaged)) == (broken.name, True)
    assert frame(log.scan("flights")).height == 100
    assert [part.rows for part in log.parts("flights") if not part.damaged] == [100]
    assert log.set_aside("flights") == [aside]
    broken.write_bytes(whole)
    for reader in (log, parquet.open_store(str(tmp_path))):
        assert frame(reader.scan("flights")).height == 400
        assert [part.rows for part in reader.parts("flights")] == [300, 100]


def test_a_file_that_is_called_like_no_segment_is_set_aside(tmp_path: Path) -> None:
    two_parts(tmp_path, "compacted")
    (tmp_path / "flights" / "segments" / "odd.parquet").write_bytes(b"x")
    log = parquet.open_store(str(tmp_path))

    assert [part.name for part in log.set_aside("flights")] == ["odd.parquet"]
    assert frame(log.scan("flights")).height == 400


def test_a_live_journal_is_left_to_its_writer(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    writer = log.writer("flights", name="w")
    writer.write([a_record(n) for n in range(50)])
    writer.write([a_record(n) for n in range(50, 60)])
    (file,) = files(tmp_path, "journal")
    content = bytearray(file.read_bytes())
    content[300] ^= 1
    file.write_bytes(content)

    assert log.set_aside("flights") == []
    assert file.exists()
    writer.close()
    assert [part.rows for part in log.set_aside("flights")] == [0]


def test_the_same_segment_under_two_names_is_one(tmp_path: Path) -> None:
    one = two_parts(tmp_path, "compacted")
    one.with_name("restored-" + one.name).write_bytes(one.read_bytes())
    log = parquet.open_store(str(tmp_path))

    assert frame(log.scan("flights")).height == 400
    assert sum(part.rows for part in log.parts("flights")) == 400
