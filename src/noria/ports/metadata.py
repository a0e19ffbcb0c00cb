"""What one metadata adapter offers together, because it keeps it in one database."""

from typing import Protocol

from noria.ports.artifacts import ArtifactIndex
from noria.ports.catalog import ModelCatalog
from noria.ports.counts import CountStore
from noria.ports.deployments import DeploymentStore
from noria.ports.experiments import ExperimentStore
from noria.ports.feed import Feed
from noria.ports.index import RunIndex
from noria.ports.journal import StepJournal
from noria.ports.leases import LeaseStore
from noria.ports.ledger import Ledger
from noria.ports.models import ModelStore
from noria.ports.runs import RunStore
from noria.ports.series import SeriesStore
from noria.ports.trained import TrainedModelStore


class Metadata(Protocol):
    """One project's metadata. An adapter module gives it by `open_store(location, project=...)`; closing it twice is no error."""

    @property
    def ledger(self) -> Ledger:
        """The project's ledger."""
        ...

    @property
    def runs(self) -> RunStore:
        """The project's runs."""
        ...

    @property
    def experiments(self) -> ExperimentStore:
        """The project's experiments."""
        ...

    @property
    def index(self) -> RunIndex:
        """The project's runs, to be searched."""
        ...

    @property
    def series(self) -> SeriesStore:
        """The project's metric series."""
        ...

    @property
    def trained(self) -> TrainedModelStore:
        """The project's trained models."""
        ...

    @property
    def artifacts(self) -> ArtifactIndex:
        """The project's files, by path."""
        ...

    @property
    def catalog(self) -> ModelCatalog:
        """The project's registered models."""
        ...

    @property
    def feed(self) -> Feed:
        """The project's changes and webhooks."""
        ...

    @property
    def models(self) -> ModelStore:
        """The project's models."""
        ...

    @property
    def deployments(self) -> DeploymentStore:
        """The project's deployments."""
        ...

    @property
    def journal(self) -> StepJournal:
        """The project's steps."""
        ...

    @property
    def counts(self) -> CountStore:
        """The project's monitoring counts."""
        ...

    @property
    def leases(self) -> LeaseStore:
        """The project's leases."""
        ...

    def projects(self) -> list[str]:
        """Names of all projects that the database holds, sorted: they share what lies beside it."""
        ...

    def waiting(self) -> int:
        """Writes that wait for their transaction in this process, or in the server's; always 0 where nothing has to wait."""
        ...

    def close(self) -> None:
        """Finish what is under way and let go of the database."""
        ...
