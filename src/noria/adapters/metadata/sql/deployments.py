"""Deployments in SQL, a row a generation. What may follow what is rules.py. Called through ports.deployments.DeploymentStore."""

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.connection import Connection, Database
from noria.domain.deployment import Deployment, Rollout
from noria.errors import NotFound
from noria.wire.nouns import pack, unpack


class SqlDeployments:
    """ports.deployments.DeploymentStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def put(self, deployment: Deployment) -> Deployment:
        doc = pack(deployment)

        def work(connection: Connection) -> Deployment:
            stored = self._newest(connection, deployment.name)
            same = self._at(connection, deployment.name, deployment.generation)
            if rules.next_generation(stored, same, deployment):
                connection.execute(
                    "INSERT INTO deployments (project, name, generation, doc) VALUES (?, ?, ?, ?)",
                    (self._project, deployment.name, deployment.generation, doc),
                )
            return deployment

        return self._database.write(work)

    def get(self, name: str) -> Deployment:
        found = self._database.read(lambda connection: self._newest(connection, name))
        if found is None:
            raise NotFound.of("deployment", name, [deployment.name for deployment in self.all()])
        return found

    def at_generation(self, name: str, generation: int) -> Deployment:
        found = self._database.read(lambda connection: self._at(connection, name, generation))
        if found is None:
            newest = self.get(name).generation
            raise NotFound(f"no generation {generation} of deployment '{name}'", cause=f"its newest is {newest}")
        return found

    def all(self) -> list[Deployment]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT doc FROM deployments d WHERE project = ? AND generation ="
                " (SELECT max(generation) FROM deployments n WHERE n.project = d.project AND n.name = d.name) ORDER BY name",
                (self._project,),
            ).fetchall()
        )
        return [_deployment(row[0]) for row in rows]

    def history(self, name: str) -> list[Deployment]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT doc FROM deployments WHERE project = ? AND name = ? ORDER BY generation", (self._project, name)
            ).fetchall()
        )
        return [_deployment(row[0]) for row in rows]

    def rollouts(self, name: str) -> list[Rollout]:
        return rules.rollouts_of(self.history(name))

    def _newest(self, connection: Connection, name: str) -> Deployment | None:
        row = connection.execute(
            "SELECT doc FROM deployments WHERE project = ? AND name = ? ORDER BY generation DESC LIMIT 1",
            (self._project, name),
        ).fetchone()
        return _deployment(row[0]) if row else None

    def _at(self, connection: Connection, name: str, generation: int) -> Deployment | None:
        row = connection.execute(
            "SELECT doc FROM deployments WHERE project = ? AND name = ? AND generation = ?",
            (self._project, name, generation),
        ).fetchone()
        return _deployment(row[0]) if row else None


def _deployment(doc: bytes) -> Deployment:
    return unpack(doc, Deployment, what="a stored deployment")
