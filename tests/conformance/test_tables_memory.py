"""The memory table store against the laws of its port."""

import pytest

from noria.adapters.tables.memory import open_store
from noria.ports.tables import TableStore
from noria.testing.tables_suite import TableStoreSuite


class TestMemoryTables(TableStoreSuite):
    @pytest.fixture
    def store(self) -> TableStore:
        return open_store("")
