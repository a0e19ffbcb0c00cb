"""The memory adapter under every suite of the metadata ports, and emptied by one call."""

import pytest
from msgspec.structs import replace

from noria.adapters.metadata.memory import open_store
from noria.domain.query import Query
from noria.testing.ledger_suite import PROJECT, a_draft
from noria.testing.models_suite import a_version
from noria.testing.runs_suite import a_file, a_run
from tests.conformance.metadata_suites import *  # noqa: F403


@pytest.fixture
def metadata():
    return open_store("", project=PROJECT)


def test_one_call_empties_everything(metadata):
    metadata.ledger.append([a_draft("a")])
    metadata.runs.create(replace(a_run(), metrics={"auc": 0.5}, artifacts=(a_file("model"),)))
    metadata.models.register(a_version())

    metadata.clear()

    fresh = open_store("", project=PROJECT)
    assert metadata.ledger.head() == fresh.ledger.head()
    assert (metadata.index.count(Query(life="all")), metadata.experiments.count(Query(life="all"))) == (0, 0)
    assert (metadata.catalog.count(Query()), metadata.artifacts.under(""), metadata.feed.read()) == (0, [], [])
    assert metadata.runs.create(a_run()).experiment_id == "1"
