"""All metadata ports in memory: for tests, `Workspace.ephemeral`, `noria up --ephemeral`. One lock for all; nothing outlives the process.

What counts as a repetition or a contradiction is metadata/rules*.py, what a search finds metadata/matching. Opened by app/plugins.
"""

from threading import RLock

from noria.adapters.metadata import rules
from noria.adapters.metadata.memory.artifacts import MemoryArtifacts
from noria.adapters.metadata.memory.catalog import MemoryCatalog, MemoryModels, Shelves
from noria.adapters.metadata.memory.counts import MemoryCounts
from noria.adapters.metadata.memory.deployments import MemoryDeployments
from noria.adapters.metadata.memory.experiments import MemoryExperiments
from noria.adapters.metadata.memory.feed import MemoryFeed
from noria.adapters.metadata.memory.finding import MemoryIndex, MemorySeries
from noria.adapters.metadata.memory.leases import MemoryLeases
from noria.adapters.metadata.memory.ledger import MemoryLedger
from noria.adapters.metadata.memory.record import Record
from noria.adapters.metadata.memory.runs import MemoryRuns
from noria.adapters.metadata.memory.steps import MemoryJournal
from noria.adapters.metadata.memory.trained import MemoryTrained


def open_store(location: str, *, project: str) -> "MemoryMetadata":
    """A new, empty store. location is only a name here: opening it twice gives two stores.

    >>> open_store("", project="sketch").ledger.head().seq
    0
    """
    return MemoryMetadata(rules.project_of(project))


class MemoryMetadata:
    """ports.metadata.Metadata, over one lock."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._lock = RLock()
        self.ledger = MemoryLedger(project, self._lock)
        self.deployments = MemoryDeployments(self._lock)
        self.journal = MemoryJournal(self._lock)
        self.counts = MemoryCounts(self._lock)
        self.leases = MemoryLeases(self._lock)
        self.feed = MemoryFeed(self._lock)
        self.artifacts = MemoryArtifacts(self._lock)
        self._record = Record(self._lock, feed=self.feed, artifacts=self.artifacts)
        self.runs = MemoryRuns(self._record)
        self.experiments = MemoryExperiments(self._record)
        self.index = MemoryIndex(self._record)
        self.series = MemorySeries(self._record)
        self.trained = MemoryTrained(self._record)
        self._shelves = Shelves(self._lock, feed=self.feed, deployments=self.deployments.all)
        self.catalog = MemoryCatalog(self._shelves)
        self.models = MemoryModels(self._shelves)

    def clear(self) -> None:
        """Forget everything at once: ledger, record, registry, deployments, steps, counts, leases, changes and webhooks."""
        with self._lock:
            for part in (
                self.ledger,
                self.deployments,
                self.journal,
                self.counts,
                self.leases,
                self.feed,
                self.artifacts,
            ):
                part.clear()
            self._record.clear()
            self._shelves.clear()

    def projects(self) -> list[str]:
        """The one project."""
        return [self._project]

    def waiting(self) -> int:
        """None: a write is done at once."""
        return 0

    def close(self) -> None:
        """Nothing is held that must be let go."""
