"""The SQLite adapter under every suite of the metadata ports."""

import pytest

from noria.adapters.metadata.sqlite import open_store
from noria.testing.ledger_suite import PROJECT
from tests.conformance.metadata_suites import *  # noqa: F403


@pytest.fixture
def metadata(tmp_path):
    store = open_store(str(tmp_path / "meta.db"), project=PROJECT)
    yield store
    store.close()
