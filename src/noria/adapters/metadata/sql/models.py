"""Versions and aliases in SQL. An alias is its newest move; no row of it is ever changed.

What repeats or contradicts an earlier write is rules.py. Called through ports.models.ModelStore.
"""

from msgspec.structs import replace

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.connection import Connection, Database
from noria.domain.model import AliasMove, ModelVersion
from noria.errors import NotFound
from noria.wire.nouns import pack, unpack


class SqlModels:
    """ports.models.ModelStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def register(self, version: ModelVersion) -> ModelVersion:
        rules.check_version(version)
        doc = pack(version)

        def work(connection: Connection) -> ModelVersion:
            # Under this number, else of this run: a repetition is found by the number first.
            row = connection.execute(
                "SELECT doc FROM versions WHERE project = ? AND model = ? AND (number = ? OR run = ?) ORDER BY number != ?",
                (self._project, version.model, version.number, version.run_id, version.number),
            ).fetchone()
            if row is not None:
                return rules.same_version(_version(row[0]), version)
            connection.execute(
                "INSERT INTO versions (project, model, number, run, doc) VALUES (?, ?, ?, ?, ?)",
                (self._project, version.model, version.number, version.run_id, doc),
            )
            return version

        return self._database.write(work)

    def get(self, model: str, number: int) -> ModelVersion:
        return self._database.read(lambda connection: self._get(connection, model, number))

    def versions(self, model: str) -> list[ModelVersion]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT doc FROM versions WHERE project = ? AND model = ? ORDER BY number", (self._project, model)
            ).fetchall()
        )
        return [_version(row[0]) for row in rows]

    def models(self) -> list[str]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT DISTINCT model FROM versions WHERE project = ? ORDER BY model", (self._project,)
            ).fetchall()
        )
        return [row[0] for row in rows]

    def move_alias(self, move: AliasMove) -> None:
        rules.micros(move.at, what="a move of an alias")

        def work(connection: Connection) -> None:
            self._get(connection, move.model, move.number)
            history = self._history(connection, move.model, move.alias)
            if any(rules.same_move(earlier, move) for earlier in history):
                return
            previous = history[-1].number if history else None
            connection.execute(
                "INSERT INTO alias_moves (project, model, alias, number, doc) VALUES (?, ?, ?, ?, ?)",
                (self._project, move.model, move.alias, move.number, pack(replace(move, previous=previous))),
            )

        self._database.write(work)

    def alias(self, model: str, alias: str) -> int | None:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT number FROM alias_moves WHERE project = ? AND model = ? AND alias = ? ORDER BY ordinal DESC LIMIT 1",
                (self._project, model, alias),
            ).fetchone()
        )
        return row[0] if row else None

    def alias_history(self, model: str, alias: str | None = None) -> list[AliasMove]:
        return self._database.read(lambda connection: self._history(connection, model, alias))

    def _history(self, connection: Connection, model: str, alias: str | None) -> list[AliasMove]:
        chosen = "" if alias is None else " AND alias = ?"
        rows = connection.execute(
            f"SELECT doc FROM alias_moves WHERE project = ? AND model = ?{chosen} ORDER BY ordinal",
            (self._project, model) if alias is None else (self._project, model, alias),
        ).fetchall()
        return [unpack(row[0], AliasMove, what="a stored move of an alias") for row in rows]

    def _get(self, connection: Connection, model: str, number: int) -> ModelVersion:
        row = connection.execute(
            "SELECT doc FROM versions WHERE project = ? AND model = ? AND number = ?", (self._project, model, number)
        ).fetchone()
        if row is None:
            known = connection.execute(
                "SELECT model || '/' || number FROM versions WHERE project = ? ORDER BY model, number LIMIT 1000",
                (self._project,),
            ).fetchall()
            raise NotFound.of("version", f"{model}/{number}", [ref for (ref,) in known])
        return _version(row[0])


def _version(doc: bytes) -> ModelVersion:
    return unpack(doc, ModelVersion, what="a stored version")
