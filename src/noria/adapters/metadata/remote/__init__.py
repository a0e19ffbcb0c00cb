"""All metadata ports over HTTP: the client is an adapter, the server is server/control/store (ADR 4). Standard library only.

What crosses is wire/calls: MessagePack there and back, errors as JSON. Opened by app/plugins.
"""

from typing import cast

from noria.adapters.metadata import rules
from noria.adapters.metadata.remote.loop import (
    RemoteCounts,
    RemoteDeployments,
    RemoteJournal,
    RemoteLeases,
    RemoteLedger,
)
from noria.adapters.metadata.remote.record import (
    RemoteArtifacts,
    RemoteExperiments,
    RemoteIndex,
    RemoteRuns,
    RemoteSeries,
    RemoteTrained,
)
from noria.adapters.metadata.remote.registry import RemoteCatalog, RemoteFeed, RemoteModels
from noria.adapters.metadata.remote.server import Server


def open_store(location: str, *, project: str) -> "RemoteMetadata":
    """Open a project on a server. location: its address, such as 'http://127.0.0.1:7700', or 'https://KEY@host' if the server asks for a key.

    Asks the server once, so that a wrong address or project is told now. Raises SettingInvalid, StoreUnavailable, NotFound for another project.
    """
    metadata = RemoteMetadata(Server(location, rules.project_of(project)))
    try:
        metadata.ledger.head()
    except BaseException:
        metadata.close()
        raise
    return metadata


class RemoteMetadata:
    """ports.metadata.Metadata, over one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.ledger = RemoteLedger(server)
        self.runs = RemoteRuns(server)
        self.index = RemoteIndex(server)
        self.series = RemoteSeries(server)
        self.experiments = RemoteExperiments(server)
        self.trained = RemoteTrained(server)
        self.artifacts = RemoteArtifacts(server)
        self.models = RemoteModels(server)
        self.catalog = RemoteCatalog(server)
        self.feed = RemoteFeed(server)
        self.deployments = RemoteDeployments(server)
        self.journal = RemoteJournal(server)
        self.counts = RemoteCounts(server)
        self.leases = RemoteLeases(server)

    def projects(self) -> list[str]:
        """Names of all projects that the server's database holds."""
        return cast(list[str], self._server.call("metadata.projects"))

    def waiting(self) -> int:
        """Writes that wait in the server's store."""
        return cast(int, self._server.call("metadata.waiting"))

    def close(self) -> None:
        """Close the connections of all threads."""
        self._server.close()
