"""Runs found in SQL: which they are says search.py, what they hold run_rows.py. Called through ports.index.RunIndex."""

from collections.abc import Sequence

from noria.adapters.metadata.sql import run_rows, search
from noria.adapters.metadata.sql.conditions import serial_number
from noria.adapters.metadata.sql.connection import Connection, Database, listed
from noria.domain.ids import ExperimentId
from noria.domain.query import Page, Query
from noria.domain.run import Run, RunKeys

FEW = 2_000
"""Runs whose keys are gathered one by one; of more, each key of the project is looked for among them."""


class SqlRunIndex:
    """ports.index.RunIndex."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def search(self, query: Query) -> Page[Run]:
        def find(connection: Connection) -> Page[Run]:
            found = search.find(connection, query, kind="runs", project=self._project, dialect=self._database.dialect)
            return Page(run_rows.load(connection, found.numbers), found.next)

        return self._database.read(find)

    def count(self, query: Query) -> int:
        return self._database.read(
            lambda connection: search.count(
                connection, query, kind="runs", project=self._project, dialect=self._database.dialect
            )
        )

    def keys(self, experiments: Sequence[ExperimentId] | None = None) -> RunKeys:
        scope = "r.project = ? AND r.trashed_at IS NULL"
        values: list[object] = [self._project]
        if experiments is not None:
            numbers = [number for each in experiments if (number := serial_number(each)) is not None]
            marks, listed_numbers = listed(numbers)
            scope += f" AND r.experiment IN ({marks})"
            values += listed_numbers

        def query(connection: Connection) -> RunKeys:
            row = connection.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM runs r WHERE {scope} LIMIT {FEW + 1}) counted", values
            ).fetchone()
            gather = self._each_run if row[0] <= FEW else self._each_key
            return RunKeys(
                metrics=gather(connection, "series", scope, values),
                params=gather(connection, "params", scope, values),
                tags=gather(connection, "tags", scope, values),
            )

        return self._database.read(query)

    def _each_run(self, connection: Connection, table: str, scope: str, values: Sequence[object]) -> list[str]:
        rows = connection.execute(
            f'SELECT DISTINCT x."key" FROM runs r JOIN {table} x ON x.run = r.number WHERE {scope}', values
        ).fetchall()
        return sorted(row[0] for row in rows)

    def _each_key(self, connection: Connection, table: str, scope: str, values: Sequence[object]) -> list[str]:
        """From one key of the index to the next, and for each the first run that has it."""
        found: list[str] = []
        key = ""
        while True:
            row = connection.execute(
                f'SELECT min("key") FROM {table} WHERE project = ? AND "key" > ?', (self._project, key)
            ).fetchone()
            if row[0] is None:
                return found
            key = row[0]
            if connection.execute(
                f'SELECT 1 FROM {table} x JOIN runs r ON r.number = x.run WHERE x.project = ? AND x."key" = ? AND {scope}'
                " LIMIT 1",
                (self._project, key, *values),
            ).fetchone():
                found.append(key)
