"""All the ports over one SQL database, and the number under which it knows a project. Called by sqlite/open and postgres/open."""

from collections.abc import Callable

from noria.adapters.metadata.sql.artifacts import SqlArtifacts
from noria.adapters.metadata.sql.catalog import SqlCatalog
from noria.adapters.metadata.sql.connection import Connection, Database
from noria.adapters.metadata.sql.counts import SqlCounts
from noria.adapters.metadata.sql.deployments import SqlDeployments
from noria.adapters.metadata.sql.experiments import SqlExperiments
from noria.adapters.metadata.sql.feed import SqlFeed
from noria.adapters.metadata.sql.journal import SqlJournal
from noria.adapters.metadata.sql.leases import SqlLeases
from noria.adapters.metadata.sql.ledger import SqlLedger
from noria.adapters.metadata.sql.models import SqlModels
from noria.adapters.metadata.sql.run_index import SqlRunIndex
from noria.adapters.metadata.sql.runs import SqlRuns
from noria.adapters.metadata.sql.series import SqlSeries
from noria.adapters.metadata.sql.trained import SqlTrained


class SqlMetadata:
    """ports.metadata.Metadata: one project of one database. let_go: called once, when it is closed."""

    def __init__(self, database: Database, project: str, number: int, *, let_go: Callable[[], None]) -> None:
        self._let_go: Callable[[], None] | None = let_go
        self._database = database
        self.ledger = SqlLedger(database, project, number)
        self.runs = SqlRuns(database, number)
        self.experiments = SqlExperiments(database, number)
        self.index = SqlRunIndex(database, number)
        self.series = SqlSeries(database, number)
        self.trained = SqlTrained(database, number)
        self.artifacts = SqlArtifacts(database, number)
        self.models = SqlModels(database, number)
        self.catalog = SqlCatalog(database, number)
        self.feed = SqlFeed(database, number)
        self.deployments = SqlDeployments(database, number)
        self.journal = SqlJournal(database, number)
        self.counts = SqlCounts(database, number)
        self.leases = SqlLeases(database, number)

    def projects(self) -> list[str]:
        """Names of all projects of this database."""
        rows = self._database.read(lambda connection: connection.execute("SELECT name FROM projects").fetchall())
        return sorted(row[0] for row in rows)

    def waiting(self) -> int:
        """Writes that wait for the thread that writes."""
        return self._database.waiting()

    def close(self) -> None:
        """Finish what is under way and let go of the database."""
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()


def find_project(connection: Connection, name: str) -> int | None:
    """The number of a project, if it was ever opened."""
    row = connection.execute("SELECT id FROM projects WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else None


def make_project(connection: Connection, name: str) -> int:
    """Give a project its number, or find the one that somebody else gave it meanwhile."""
    rows = connection.execute(
        "INSERT INTO projects (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
        (name,),
    ).fetchall()
    return int(rows[0][0])
