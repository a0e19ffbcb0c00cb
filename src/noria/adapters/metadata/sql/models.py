"""Versions and aliases in SQL. An alias's history is never changed; where it points now stands beside it.

What repeats or contradicts an earlier write is rules_registry.py; the names of models are catalog.py. Called through ports.models.ModelStore.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from noria.adapters.metadata import rules, rules_registry
from noria.adapters.metadata.sql import catalog, search
from noria.adapters.metadata.sql.catalog import MOST_NAMES
from noria.adapters.metadata.sql.connection import Connection, Database, listed, portions
from noria.adapters.metadata.sql.feed import tell
from noria.domain.model import AliasMove, ModelVersion, Packaged
from noria.domain.query import Page, Query
from noria.wire.nouns import pack, unpack


class SqlModels:
    """ports.models.ModelStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def register(self, version: ModelVersion) -> ModelVersion:
        rules_registry.check_version(version)
        made, doc, at = rules_registry.made(version), pack(version), rules.micros(version.created_at)
        updated_at = rules.micros(version.updated_at or version.created_at, what=f"version {version.ref}")

        def work(connection: Connection) -> ModelVersion:
            model = catalog.number_of(connection, self._project, version.model)
            if model is None:
                model = catalog.insert(connection, self._project, version.model, at=version.created_at)
            row = _row(connection, model, version.number)
            if row is not None:
                stored = _version(row[1], version.model)
                if (row[2] or rules_registry.made(stored)) != made:
                    raise rules_registry.taken_number(version, deleted=False)
                return stored
            if _was_deleted(connection, model, version.number):
                raise rules_registry.taken_number(version, deleted=True)
            number = connection.execute(
                "INSERT INTO model_versions (project, model, number, run, source, created_at, updated_at, made, doc)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (self._project, model, version.number, version.run_id, version.source, at, updated_at, made, doc),
            ).fetchall()[0][0]
            self._write_tags(connection, number, version)
            connection.execute(
                "UPDATE models SET updated_at = ?, highest = CASE WHEN highest < ? THEN ? ELSE highest END WHERE number = ?",
                (at, version.number, version.number, model),
            )
            tell(
                connection,
                self._project,
                "version.created",
                version.ref,
                at=version.created_at,
                detail=rules_registry.version_detail(version),
            )
            return version

        return self._database.write(work)

    def get(self, model: str, number: int) -> ModelVersion:
        return self._database.read(lambda connection: self._get(connection, model, number)[1])

    def versions(self, model: str) -> list[ModelVersion]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT v.doc FROM model_versions v JOIN models m ON m.number = v.model"
                " WHERE m.project = ? AND m.name = ? ORDER BY v.number",
                (self._project, model),
            ).fetchall()
        )
        return [_version(row[0], model) for row in rows]

    def search(self, query: Query) -> Page[ModelVersion]:
        def work(connection: Connection) -> Page[ModelVersion]:
            found = search.find(
                connection, query, kind="versions", project=self._project, dialect=self._database.dialect
            )
            held: dict[int, ModelVersion] = {}
            for some in portions(found.numbers):
                marks, values = listed(some)
                rows = connection.execute(
                    "SELECT v.id, v.doc, m.name FROM model_versions v JOIN models m ON m.number = v.model"
                    f" WHERE v.id IN ({marks})",
                    values,
                ).fetchall()
                held.update({number: _version(doc, name) for number, doc, name in rows})
            return Page([held[number] for number in found.numbers], found.next)

        return self._database.read(work)

    def amend(
        self,
        model: str,
        number: int,
        *,
        at: datetime,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        packaged: Packaged | None = None,
    ) -> ModelVersion:
        def work(connection: Connection) -> ModelVersion:
            row, stored = self._get(connection, model, number)
            changed = rules_registry.amended_version(
                stored, at=at, description=description, tags=tags, packaged=packaged
            )
            connection.execute(
                "UPDATE model_versions SET updated_at = ?, made = ?, doc = ? WHERE id = ?",
                (rules.micros(at), row[2] or rules_registry.made(stored), pack(changed), row[0]),
            )
            if changed.tags != stored.tags:
                self._write_tags(connection, row[0], changed)
            for kind, detail in rules_registry.tag_changes(stored, tags or {}):
                tell(connection, self._project, kind, changed.ref, at=at, detail=detail)
            return changed

        return self._database.write(work)

    def delete(self, model: str, number: int, *, at: datetime) -> None:
        moment = rules.micros(at, what=f"the deletion of {model}/{number}")

        def work(connection: Connection) -> None:
            row, version = self._get(connection, model, number)
            rules_registry.check_unserved(model, catalog.deployments(connection, self._project), number=number)
            of = catalog.expect(connection, self._project, model)
            pointing = connection.execute(
                "SELECT alias FROM model_aliases WHERE model = ? AND number = ? ORDER BY alias", (of, number)
            ).fetchall()
            for (alias,) in pointing:
                self._move(connection, of, rules_registry.move_by_deletion(model, alias, number, at=at))
            connection.execute("DELETE FROM model_version_tags WHERE version = ?", (row[0],))
            connection.execute("DELETE FROM model_versions WHERE id = ?", (row[0],))
            connection.execute("INSERT INTO deleted_versions (model, number) VALUES (?, ?)", (of, number))
            connection.execute("UPDATE models SET updated_at = ? WHERE number = ?", (moment, of))
            tell(connection, self._project, "version.deleted", version.ref, at=at)

        self._database.write(work)

    def next_number(self, model: str) -> int:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT highest FROM models WHERE project = ? AND name = ?", (self._project, model)
            ).fetchone()
        )
        return int(row[0]) + 1 if row else 1

    def models(self) -> list[str]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT name FROM models WHERE project = ? ORDER BY name", (self._project,)
            ).fetchall()
        )
        return [row[0] for row in rows]

    def move_alias(self, move: AliasMove) -> None:
        rules_registry.check_move(move)

        def work(connection: Connection) -> None:
            if move.number is not None:
                self._get(connection, move.model, move.number)
            model = catalog.expect(connection, self._project, move.model)
            column, value = ("at", rules.micros(move.at)) if move.cause is None else ("cause", move.cause)
            rows = connection.execute(
                f"SELECT doc FROM model_alias_moves WHERE model = ? AND alias = ? AND {column} = ? ORDER BY ordinal",
                (model, move.alias, value),
            ).fetchall()
            if not any(rules_registry.same_move(_move(row[0], move.model), move) for row in rows):
                self._move(connection, model, move)

        self._database.write(work)

    def alias(self, model: str, alias: str) -> int | None:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT a.number FROM model_aliases a JOIN models m ON m.number = a.model"
                " WHERE m.project = ? AND m.name = ? AND a.alias = ?",
                (self._project, model, alias),
            ).fetchone()
        )
        return row[0] if row else None

    def aliases(self, model: str) -> dict[str, int]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT a.alias, a.number FROM model_aliases a JOIN models m ON m.number = a.model"
                " WHERE m.project = ? AND m.name = ? ORDER BY a.alias",
                (self._project, model),
            ).fetchall()
        )
        return dict(rows)

    def alias_history(self, model: str, alias: str | None = None) -> list[AliasMove]:
        chosen = "" if alias is None else " AND a.alias = ?"
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT a.doc FROM model_alias_moves a JOIN models m ON m.number = a.model"
                f" WHERE m.project = ? AND m.name = ?{chosen} ORDER BY a.ordinal",
                (self._project, model) if alias is None else (self._project, model, alias),
            ).fetchall()
        )
        return [_move(row[0], model) for row in rows]

    def _move(self, connection: Connection, model: int, move: AliasMove) -> None:
        """Write a move that was not made before, after whatever the alias pointed to; where it points now follows."""
        at = connection.execute(
            "SELECT number FROM model_aliases WHERE model = ? AND alias = ?", (model, move.alias)
        ).fetchone()
        previous = at[0] if at else None
        if rules_registry.moves_nothing(move, now=previous):
            return
        connection.execute(
            "INSERT INTO model_alias_moves (model, alias, number, at, cause, doc) VALUES (?, ?, ?, ?, ?, ?)",
            (
                model,
                move.alias,
                move.number,
                rules.micros(move.at),
                move.cause,
                pack(replace(move, previous=previous)),
            ),
        )
        if move.number is None:
            connection.execute("DELETE FROM model_aliases WHERE model = ? AND alias = ?", (model, move.alias))
        else:
            connection.execute(
                "INSERT INTO model_aliases (model, alias, number) VALUES (?, ?, ?)"
                " ON CONFLICT (model, alias) DO UPDATE SET number = excluded.number",
                (model, move.alias, move.number),
            )
        kind, subject, detail = rules_registry.alias_change(move, previous=previous)
        tell(connection, self._project, kind, subject, at=move.at, detail=detail)

    def _get(self, connection: Connection, model: str, number: int) -> tuple["_Row", ModelVersion]:
        of = catalog.number_of(connection, self._project, model)
        row = None if of is None else _row(connection, of, number)
        if row is None:
            known = connection.execute(
                "SELECT m.name || '/' || v.number FROM model_versions v JOIN models m ON m.number = v.model"
                " WHERE m.project = ? ORDER BY m.name, v.number LIMIT ?",
                (self._project, MOST_NAMES),
            ).fetchall()
            raise rules_registry.missing_version(model, number, [ref for (ref,) in known])
        return row, _version(row[1], model)

    def _write_tags(self, connection: Connection, version_id: int, version: ModelVersion) -> None:
        connection.execute("DELETE FROM model_version_tags WHERE version = ?", (version_id,))
        connection.executemany(
            'INSERT INTO model_version_tags (project, version, "key", head, text) VALUES (?, ?, ?, ?, ?)',
            [(self._project, version_id, *tag) for tag in catalog.searched(version.tags)],
        )


_Row = tuple[int, bytes, str | None]
"""Id, document and what was made of a version."""


def _row(connection: Connection, model: int, number: int) -> _Row | None:
    row: _Row | None = connection.execute(
        "SELECT id, doc, made FROM model_versions WHERE model = ? AND number = ?", (model, number)
    ).fetchone()
    return row


def _was_deleted(connection: Connection, model: int, number: int) -> bool:
    row = connection.execute("SELECT 1 FROM deleted_versions WHERE model = ? AND number = ?", (model, number))
    return row.fetchone() is not None


def _version(doc: bytes, model: str) -> ModelVersion:
    """A version under the name that its model has now."""
    return replace(unpack(doc, ModelVersion, what="a stored version"), model=model)


def _move(doc: bytes, model: str) -> AliasMove:
    return replace(unpack(doc, AliasMove, what="a stored move of an alias"), model=model)
