"""Both prediction logs under the suite of the port, and one against the other on sequences of operations that nobody thought of."""

from pathlib import Path

import pytest

from noria.adapters.predictions import memory, parquet
from noria.testing.predictions_suite import PredictionLogSuite


class TestMemory(PredictionLogSuite):
    @pytest.fixture
    def log(self):
        return memory.open_store("")


class TestParquet(PredictionLogSuite):
    @pytest.fixture
    def log(self, tmp_path: Path):
        return parquet.open_store(str(tmp_path))
