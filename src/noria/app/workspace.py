"""The workspace: one project with its stores opened by name. What SDK, commands, servers and the loop hold. Composition only, no rules."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import TracebackType
from typing import Self, cast
from weakref import finalize

from msgspec import structs

from noria.app.alerting_receivers import Receiver, receivers
from noria.app.flavors import Flavors
from noria.app.looks import Looks
from noria.app.plugins import load
from noria.app.settings import Settings, resolve
from noria.app.stores import open_blobs
from noria.errors import Conflict
from noria.ports.artifacts import ArtifactIndex
from noria.ports.blobs import BlobStore
from noria.ports.catalog import ModelCatalog
from noria.ports.clock import Clock
from noria.ports.counts import CountStore
from noria.ports.deployments import DeploymentStore
from noria.ports.executor import Executor
from noria.ports.experiments import ExperimentStore
from noria.ports.feed import Feed
from noria.ports.flavor import Flavor
from noria.ports.index import RunIndex
from noria.ports.journal import StepJournal
from noria.ports.leases import LeaseStore
from noria.ports.ledger import Ledger
from noria.ports.metadata import Metadata
from noria.ports.models import ModelStore
from noria.ports.predictions import PredictionLog
from noria.ports.runs import RunStore
from noria.ports.series import SeriesStore
from noria.ports.tables import TableStore
from noria.ports.telemetry import Telemetry
from noria.ports.trained import TrainedModelStore


class SystemClock:
    """The machine's own time, in UTC."""

    def now(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC)


class Workspace(AbstractContextManager["Workspace"]):
    """One project. Each store is opened when it is first used, so a command pays only for what it touches.

    >>> with Workspace.ephemeral("sketch") as workspace:
    ...     workspace.models.models()
    []
    """

    def __init__(self, settings: Settings, home: Path, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.project = settings.project
        self.home = home
        self.clock: Clock = clock or SystemClock()
        self._scratch: Callable[[], object] | None = None

    @classmethod
    def open(cls, start: Path | None = None, *, clock: Clock | None = None) -> Self:
        """Open the project that a folder belongs to (the current one by default)."""
        settings, home = resolve(start)
        return cls(settings, home, clock=clock)

    @classmethod
    def ephemeral(
        cls, project: str = "default", *, clock: Clock | None = None, settings: Settings | None = None
    ) -> Self:
        """A project that lives in memory (opened bundles in a temporary folder) and is gone when it is closed. For trying out and for tests.

        settings: what holds besides the project's name and its stores.
        """
        from noria.app.settings import Stores

        stores = Stores(metadata="memory", blobs="memory", tables="memory", predictions="memory")
        scratch = mkdtemp(prefix="noria-")
        settings = structs.replace(settings or Settings(), project=project, stores=stores)
        workspace = cls(settings, Path(scratch), clock=clock)
        workspace._scratch = finalize(workspace, rmtree, scratch, ignore_errors=True)
        return workspace

    @property
    def is_ephemeral(self) -> bool:
        """Whether nothing of this project outlives the process."""
        return self._scratch is not None

    def reset(self) -> None:
        """Forget everything an ephemeral project holds. Whoever holds one of the former stores may finish with it; nobody else sees it again.

        Raises Conflict for a project that is kept.
        """
        if not self.is_ephemeral:
            raise Conflict(
                f"project {self.project!r} is kept on disk and cannot be reset",
                remedy="noria up --ephemeral, for tests",
            )
        stores = self.settings.stores
        self.__dict__.pop("looks", None)
        self.__dict__.update(
            metadata=load("metadata", stores.metadata).open_store("", project=self.project),
            blobs=load("blobs", stores.blobs).open_store(""),
            tables=load("tables", stores.tables).open_store(""),
            predictions=load("predictions", stores.predictions).open_store(""),
        )

    @cached_property
    def metadata(self) -> Metadata:
        """The metadata store with its ports."""
        stores = self.settings.stores
        location = stores.metadata_location or ("" if stores.metadata == "memory" else str(self.home / "meta.db"))
        return cast(Metadata, load("metadata", stores.metadata).open_store(location, project=self.project))

    @property
    def ledger(self) -> Ledger:
        """The project's ledger."""
        return self.metadata.ledger

    @property
    def runs(self) -> RunStore:
        """The project's runs."""
        return self.metadata.runs

    @property
    def experiments(self) -> ExperimentStore:
        """The project's experiments."""
        return self.metadata.experiments

    @property
    def index(self) -> RunIndex:
        """The project's runs, to be searched."""
        return self.metadata.index

    @property
    def series(self) -> SeriesStore:
        """The project's metric series."""
        return self.metadata.series

    @property
    def trained(self) -> TrainedModelStore:
        """The project's trained models."""
        return self.metadata.trained

    @property
    def artifacts(self) -> ArtifactIndex:
        """The project's files, by path."""
        return self.metadata.artifacts

    @property
    def catalog(self) -> ModelCatalog:
        """The project's registered models."""
        return self.metadata.catalog

    @property
    def feed(self) -> Feed:
        """The project's changes and webhooks."""
        return self.metadata.feed

    @property
    def models(self) -> ModelStore:
        """The project's models."""
        return self.metadata.models

    @property
    def deployments(self) -> DeploymentStore:
        """The project's deployments."""
        return self.metadata.deployments

    @property
    def journal(self) -> StepJournal:
        """The project's steps."""
        return self.metadata.journal

    @property
    def counts(self) -> CountStore:
        """The project's monitoring counts."""
        return self.metadata.counts

    @property
    def leases(self) -> LeaseStore:
        """Who does what only one process may do."""
        return self.metadata.leases

    @cached_property
    def blobs(self) -> BlobStore:
        """Content by digest."""
        stores = self.settings.stores
        return open_blobs(stores.blobs, stores.blobs_location, home=self.home, project=self.project)

    @cached_property
    def tables(self) -> TableStore:
        """Dataset versions."""
        return cast(TableStore, load("tables", self.settings.stores.tables).open_store(str(self.home / "tables")))

    @cached_property
    def predictions(self) -> PredictionLog:
        """The prediction log."""
        return cast(
            PredictionLog,
            load("predictions", self.settings.stores.predictions).open_store(str(self.home / "predictions")),
        )

    @cached_property
    def executor(self) -> Executor:
        """Where steps run."""
        return cast(Executor, load("executors", self.settings.executor).open_executor(workers=self.settings.workers))

    @cached_property
    def receivers(self) -> Sequence[Receiver]:
        """Who is told of alerts."""
        return receivers(self.settings.notify, home=self.home)

    @cached_property
    def telemetry(self) -> Telemetry:
        """Noria's measurements of itself."""
        return cast(Telemetry, load("telemetry", "memory").open_telemetry())

    @cached_property
    def looks(self) -> Looks:
        """What watching saw last of each deployment."""
        return Looks(None if self.is_ephemeral else self.home)

    @cached_property
    def flavors(self) -> Mapping[str, Flavor]:
        """Every flavor, opened by name when it is asked for; those that run code only if the settings allow it."""
        return Flavors(allow_code=self.settings.packaging.allow_code)

    def projects(self) -> list[str]:
        """Every project of the metadata store."""
        return self.metadata.projects()

    def waiting(self) -> int:
        """Writes that wait for their transaction in the metadata store."""
        return self.metadata.waiting()

    def close(self) -> None:
        """Let go of everything that was opened."""
        for name in ("executor", "metadata"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
        if self._scratch is not None:
            self._scratch()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
