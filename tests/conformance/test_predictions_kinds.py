"""Both prediction logs under the suite about shadows and failures, and logs that an earlier Noria wrote."""

from pathlib import Path

import msgspec
import polars as pl
import pytest

from noria.adapters.predictions import memory, parquet
from noria.adapters.predictions.batches import Block, pack, unpack
from noria.testing.kinds_suite import KindsSuite
from noria.testing.predictions_suite import a_record, kept


class TestMemoryKinds(KindsSuite):
    @pytest.fixture
    def log(self):
        return memory.open_store("")


class TestParquetKinds(KindsSuite):
    @pytest.fixture
    def log(self, tmp_path: Path):
        return parquet.open_store(str(tmp_path))


def test_a_batch_of_before_is_read_and_says_nothing_of_how_it_was_drawn():
    written = msgspec.msgpack.decode(pack([a_record(1)], deployment="flights"))
    written[1] = [block[: Block.__struct_fields__.index("weight")] for block in written[1]]

    (block,) = unpack(msgspec.msgpack.encode(written)).blocks

    assert (block.weight, block.asked, block.error) == (None, False, "")


def test_a_segment_of_before_is_read(tmp_path):
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(1, weight=0.5)])
    (segment,) = (tmp_path / "flights" / "segments").glob("*.parquet")
    old = pl.read_parquet(segment).drop("weight", "asked", "error")
    folder = parquet.open_store(str(tmp_path / "old"))
    kept(folder, [a_record(2)])
    from noria.adapters.predictions.segments import SegmentFolder

    SegmentFolder(tmp_path / "old" / "flights" / "segments").write("older", old, time_column="at")

    table = pl.DataFrame(parquet.open_store(str(tmp_path / "old")).scan("flights"))

    assert table.select("weight", "asked", "error").rows() == [(None, False, "")] * 2
