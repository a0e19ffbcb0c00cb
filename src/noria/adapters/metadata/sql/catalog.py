"""Registered models in SQL: the names under which versions stand. Renaming one changes one row.

What is refused is rules_registry.py; versions and aliases are models.py. Called through ports.catalog.ModelCatalog, and by models.py.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from noria.adapters.metadata import rules, rules_registry
from noria.adapters.metadata.sql import search
from noria.adapters.metadata.sql.connection import Connection, Database
from noria.adapters.metadata.sql.feed import tell
from noria.domain.deployment import Deployment
from noria.domain.model import RegisteredModel
from noria.domain.query import Page, Query
from noria.wire.nouns import unpack

MOST_NAMES = 1000
"""Names that are looked at to offer near ones."""
_HEAD = 64


class SqlCatalog:
    """ports.catalog.ModelCatalog."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def create(
        self, name: str, *, at: datetime, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        rules_registry.check_model_name(name)

        def work(connection: Connection) -> RegisteredModel:
            if number_of(connection, self._project, name) is not None:
                raise rules_registry.taken_model(name)
            number = insert(connection, self._project, name, at=at, description=description, tags=tags)
            return _model(connection, number)

        return self._database.write(work)

    def get(self, name: str) -> RegisteredModel:
        return self._database.read(lambda connection: _model(connection, expect(connection, self._project, name)))

    def search(self, query: Query) -> Page[RegisteredModel]:
        asked = rules_registry.by_name(query)

        def work(connection: Connection) -> Page[RegisteredModel]:
            found = search.find(connection, asked, kind="models", project=self._project, dialect=self._database.dialect)
            return Page([_model(connection, number) for number in found.numbers], found.next)

        return self._database.read(work)

    def count(self, query: Query) -> int:
        return self._database.read(
            lambda connection: search.count(
                connection, query, kind="models", project=self._project, dialect=self._database.dialect
            )
        )

    def rename(self, name: str, new: str, *, at: datetime) -> RegisteredModel:
        rules_registry.check_model_name(new)

        def work(connection: Connection) -> RegisteredModel:
            number = expect(connection, self._project, name)
            if new == name:
                return _model(connection, number)
            if number_of(connection, self._project, new) is not None:
                raise rules_registry.taken_model(new)
            rules_registry.check_unserved(name, deployments(connection, self._project))
            connection.execute(
                "UPDATE models SET name = ?, updated_at = ? WHERE number = ?",
                (new, rules.micros(at, what=f"the renaming of model '{name}'"), number),
            )
            tell(connection, self._project, "model.renamed", new, at=at, detail={"previous": name})
            return _model(connection, number)

        return self._database.write(work)

    def amend(
        self,
        name: str,
        *,
        at: datetime,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> RegisteredModel:
        def work(connection: Connection) -> RegisteredModel:
            number = expect(connection, self._project, name)
            stored = _model(connection, number)
            changed = rules_registry.amended_model(stored, at=at, description=description, tags=tags)
            connection.execute(
                "UPDATE models SET description = ?, updated_at = ? WHERE number = ?",
                (changed.description, rules.micros(at), number),
            )
            if changed.tags != stored.tags:
                _write_tags(connection, self._project, number, changed.tags)
            return changed

        return self._database.write(work)

    def delete(self, name: str, *, at: datetime) -> None:
        def work(connection: Connection) -> None:
            number = expect(connection, self._project, name)
            rules_registry.check_unserved(name, deployments(connection, self._project))
            connection.execute(
                "DELETE FROM model_version_tags WHERE version IN (SELECT id FROM model_versions WHERE model = ?)",
                (number,),
            )
            for table in ("model_versions", "deleted_versions", "model_aliases", "model_alias_moves", "model_tags"):
                connection.execute(f"DELETE FROM {table} WHERE model = ?", (number,))
            connection.execute("DELETE FROM models WHERE number = ?", (number,))
            tell(connection, self._project, "model.deleted", name, at=at)

        self._database.write(work)


def number_of(connection: Connection, project: int, name: str) -> int | None:
    """The number of a model, if there is one of this name."""
    row = connection.execute("SELECT number FROM models WHERE project = ? AND name = ?", (project, name)).fetchone()
    return int(row[0]) if row else None


def expect(connection: Connection, project: int, name: str) -> int:
    """The number of a model that should be there. Raises NotFound."""
    number = number_of(connection, project, name)
    if number is None:
        known = connection.execute(
            "SELECT name FROM models WHERE project = ? ORDER BY name LIMIT ?", (project, MOST_NAMES)
        ).fetchall()
        raise rules_registry.missing_model(name, [row[0] for row in known])
    return number


def insert(
    connection: Connection,
    project: int,
    name: str,
    *,
    at: datetime,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> int:
    """Make a model of a name that is free, and tell the feed; gives its number."""
    moment = rules.micros(at, what=f"model '{name}'")
    number: int = connection.execute(
        "INSERT INTO models (project, name, created_at, updated_at, highest, description)"
        " VALUES (?, ?, ?, ?, 0, ?) RETURNING number",
        (project, name, moment, moment, description),
    ).fetchall()[0][0]
    _write_tags(connection, project, number, tags or {})
    detail = rules_registry.model_detail(description, tags or {})
    tell(connection, project, "model.created", name, at=at, detail=detail)
    return number


def deployments(connection: Connection, project: int) -> list[Deployment]:
    """The newest generation of each deployment."""
    rows = connection.execute(
        "SELECT doc FROM deployments d WHERE project = ? AND generation ="
        " (SELECT max(generation) FROM deployments n WHERE n.project = d.project AND n.name = d.name)",
        (project,),
    ).fetchall()
    return [unpack(row[0], Deployment, what="a stored deployment") for row in rows]


def searched(tags: Mapping[str, str]) -> Iterator[tuple[str, str, str | None]]:
    """Key, head and, where it is longer than that, the whole of each tag."""
    return ((key, value[:_HEAD], value if len(value) > _HEAD else None) for key, value in tags.items())


def _model(connection: Connection, number: int) -> RegisteredModel:
    name, created_at, updated_at, description = connection.execute(
        "SELECT name, created_at, updated_at, description FROM models WHERE number = ?", (number,)
    ).fetchone()
    tags = connection.execute(
        'SELECT "key", coalesce(text, head) FROM model_tags WHERE model = ? ORDER BY "key"', (number,)
    ).fetchall()
    return RegisteredModel(
        name=name,
        created_at=rules.moment(created_at),
        updated_at=rules.moment(updated_at),
        description=description,
        tags=dict(tags),
    )


def _write_tags(connection: Connection, project: int, model: int, tags: Mapping[str, str]) -> None:
    connection.execute("DELETE FROM model_tags WHERE model = ?", (model,))
    connection.executemany(
        'INSERT INTO model_tags (project, model, "key", head, text) VALUES (?, ?, ?, ?, ?)',
        [(project, model, *tag) for tag in searched(tags)],
    )
