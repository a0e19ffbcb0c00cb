"""Both prediction logs under the suite of what a log consists of."""

from pathlib import Path

import pytest

from noria.adapters.predictions import memory, parquet
from noria.testing.parts_suite import PartsSuite


class TestMemoryParts(PartsSuite):
    @pytest.fixture
    def log(self):
        return memory.open_store("")


class TestParquetParts(PartsSuite):
    @pytest.fixture
    def log(self, tmp_path: Path):
        return parquet.open_store(str(tmp_path))
