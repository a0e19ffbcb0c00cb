"""The PostgreSQL adapter under every suite of the metadata ports. All tests share a database, in which each has a project to itself."""

import itertools

import pytest

from noria.adapters.metadata.postgres import open_store
from noria.testing.ledger_suite import PROJECT
from tests.conformance.metadata_suites import *  # noqa: F403
from tests.peers.postgres import fixture

server = fixture()
_earlier = itertools.count(1)


@pytest.fixture(scope="module")
def url(server):
    with server.database("suites") as url:
        yield url


@pytest.fixture
def metadata(server, url):
    store = open_store(url, project=PROJECT)
    yield store
    store.close()
    # The next test finds no project of this name, and makes one.
    server.sql("suites", f"UPDATE projects SET name = 'earlier {next(_earlier)}' WHERE name = '{PROJECT}'")
