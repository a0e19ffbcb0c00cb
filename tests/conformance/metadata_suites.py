"""Every suite of the metadata ports, for any adapter: a test module gives the fixture `metadata`, an empty store of PROJECT, and imports them all.

from tests.conformance.metadata_suites import *
"""

import pytest

from noria.testing.artifacts_suite import ArtifactsSuite
from noria.testing.catalog_suite import CatalogSuite
from noria.testing.counts_suite import CountsSuite
from noria.testing.deployments_suite import DeploymentsSuite
from noria.testing.experiments_suite import ExperimentsSuite
from noria.testing.feed_suite import FeedSuite
from noria.testing.index_suite import IndexSuite
from noria.testing.journal_suite import JournalSuite
from noria.testing.leases_suite import LeasesSuite
from noria.testing.ledger_suite import LedgerSuite
from noria.testing.models_suite import ModelsSuite
from noria.testing.runs_suite import RunsSuite
from noria.testing.series_suite import SeriesSuite
from noria.testing.trained_suite import TrainedSuite

__all__ = [
    "TestArtifacts",
    "TestCatalog",
    "TestCounts",
    "TestDeployments",
    "TestExperiments",
    "TestFeed",
    "TestIndex",
    "TestJournal",
    "TestLeases",
    "TestLedger",
    "TestModels",
    "TestRuns",
    "TestSeries",
    "TestTrained",
]


class TestLedger(LedgerSuite):
    @pytest.fixture
    def ledger(self, metadata):
        return metadata.ledger


class TestRuns(RunsSuite):
    pass


class TestIndex(IndexSuite):
    pass


class TestSeries(SeriesSuite):
    @pytest.fixture
    def runs(self, metadata):
        return metadata.runs

    @pytest.fixture
    def series(self, metadata):
        return metadata.series


class TestExperiments(ExperimentsSuite):
    pass


class TestTrained(TrainedSuite):
    pass


class TestArtifacts(ArtifactsSuite):
    pass


class TestModels(ModelsSuite):
    pass


class TestCatalog(CatalogSuite):
    pass


class TestFeed(FeedSuite):
    pass


class TestDeployments(DeploymentsSuite):
    @pytest.fixture
    def deployments(self, metadata):
        return metadata.deployments


class TestJournal(JournalSuite):
    @pytest.fixture
    def journal(self, metadata):
        return metadata.journal


class TestCounts(CountsSuite):
    @pytest.fixture
    def counts(self, metadata):
        return metadata.counts


class TestLeases(LeasesSuite):
    @pytest.fixture
    def leases(self, metadata):
        return metadata.leases
