"""Both blob stores under the suite of the port."""

from pathlib import Path

import pytest

from noria.adapters.blobs import local, memory
from noria.testing.blobs_suite import BlobStoreSuite


class TestMemory(BlobStoreSuite):
    @pytest.fixture
    def store(self):
        return memory.open_store("")


class TestLocal(BlobStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path):
        return local.open_store(str(tmp_path / "blobs"))
