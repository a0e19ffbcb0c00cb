"""Runs and their metric series in SQL: a document a run, a row a series with its last point, a row a point.

What repeats or contradicts an earlier write is rules.py. Called through ports.runs.RunStore.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from json import dumps

from msgspec.structs import replace

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.connection import Connection, Database
from noria.domain.ids import RunId
from noria.domain.run import Artifact, Metric, ParamValue, Run, RunStatus
from noria.wire.nouns import pack, unpack

Row = tuple[int, bytes]
"""Number and document of a run."""


class SqlRuns:
    """ports.runs.RunStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def create(self, run: Run) -> Run:
        kept, points = rules.new_run(run)
        made, doc, started_at = pack(run), pack(kept), rules.micros(run.started_at)

        def work(connection: Connection) -> Run:
            earlier = connection.execute(
                "SELECT made FROM runs WHERE project = ? AND id = ?", (self._project, run.id)
            ).fetchone()
            if earlier is not None:
                rules.same_run(_run(earlier[0]), run)
                return self._with_metrics(connection, [self._row(connection, run.id)])[0]
            cursor = connection.execute(
                "INSERT INTO runs (project, id, experiment, status, started_at, made, doc) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._project, run.id, run.experiment, run.status, started_at, made, doc),
            )
            self._add_points(connection, int(cursor.lastrowid or 0), points)
            return run

        return self._database.write(work)

    def get(self, run_id: RunId) -> Run:
        return self._database.read(
            lambda connection: self._with_metrics(connection, [self._row(connection, run_id)])[0]
        )

    def find(
        self, *, experiment: str | None = None, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[Run]:
        where, values = self._where(experiment, status)
        return self._database.read(
            lambda connection: self._with_metrics(
                connection,
                connection.execute(
                    f"SELECT number, doc FROM runs WHERE {where} ORDER BY started_at DESC, number DESC LIMIT ? OFFSET ?",
                    (*values, max(limit, 0), max(offset, 0)),
                ).fetchall(),
            )
        )

    def count(self, *, experiment: str | None = None, status: RunStatus | None = None) -> int:
        where, values = self._where(experiment, status)
        return int(
            self._database.read(
                lambda connection: connection.execute(f"SELECT count(*) FROM runs WHERE {where}", values).fetchone()[0]
            )
        )

    def experiments(self) -> list[str]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT DISTINCT experiment FROM runs WHERE project = ? ORDER BY experiment", (self._project,)
            ).fetchall()
        )
        return [row[0] for row in rows]

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        self._change(run_id, lambda run: rules.with_params(run, params))

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        def work(connection: Connection) -> None:
            self._add_points(connection, self._row(connection, run_id)[0], points)

        self._database.write(work)

    def history(self, run_id: RunId, key: str) -> list[Metric]:
        def query(connection: Connection) -> list[tuple[int, int, int]]:
            number = self._row(connection, run_id)[0]
            return connection.execute(
                "SELECT p.step, p.at, p.bits FROM series s JOIN points p ON p.series = s.id"
                " WHERE s.run = ? AND s.key = ? ORDER BY p.step, p.at, p.bits",
                (number, key),
            ).fetchall()

        return [
            Metric(key=key, value=rules.bits_float(bits), step=step, at=rules.moment(at))
            for step, at, bits in self._database.read(query)
        ]

    def set_tags(self, run_id: RunId, tags: Mapping[str, str]) -> None:
        self._change(run_id, lambda run: rules.with_tags(run, tags))

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        self._change(run_id, lambda run: rules.with_artifacts(run, artifacts))

    def finish(self, run_id: RunId, *, status: RunStatus, at: datetime, error: str = "") -> Run:
        return self._change(run_id, lambda run: rules.finished(run, status=status, at=at, error=error))

    def _change(self, run_id: RunId, change: Callable[[Run], Run]) -> Run:
        """Read a run's document, change it, write it, all in one transaction."""

        def work(connection: Connection) -> Run:
            number, doc = self._row(connection, run_id)
            changed = change(_run(doc))
            connection.execute(
                "UPDATE runs SET status = ?, doc = ? WHERE number = ?", (changed.status, pack(changed), number)
            )
            return replace(changed, metrics=_metrics(connection, [number]).get(number, {}))

        return self._database.write(work)

    def _row(self, connection: Connection, run_id: str) -> Row:
        row: Row | None = connection.execute(
            "SELECT number, doc FROM runs WHERE project = ? AND id = ?", (self._project, run_id)
        ).fetchone()
        if row is None:
            raise rules.missing_run(run_id)
        return row

    def _where(self, experiment: str | None, status: str | None) -> tuple[str, tuple[object, ...]]:
        given = [("project", self._project), ("experiment", experiment), ("status", status)]
        chosen = [(column, value) for column, value in given if value is not None]
        return " AND ".join(f"{column} = ?" for column, _ in chosen), tuple(value for _, value in chosen)

    def _with_metrics(self, connection: Connection, rows: Sequence[Row]) -> list[Run]:
        metrics = _metrics(connection, [number for number, _ in rows])
        return [replace(_run(doc), metrics=metrics.get(number, {})) for number, doc in rows]

    def _add_points(self, connection: Connection, run: int, points: Sequence[Metric]) -> None:
        """Add points of any keys; the last point of each series moves on only if a later one came."""
        by_key: dict[str, list[tuple[int, int, int]]] = {}
        for point in points:
            by_key.setdefault(point.key, []).append(rules.point_key(point))
        for key, keys in by_key.items():
            number = connection.execute(
                'INSERT INTO series (project, run, "key", step, at, bits) VALUES (?, ?, ?, ?, ?, ?)'
                ' ON CONFLICT (run, "key") DO UPDATE SET (step, at, bits) ='
                " (SELECT step, at, bits UNION ALL SELECT excluded.step, excluded.at, excluded.bits"
                " ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1) RETURNING id",
                (self._project, run, key, *max(keys)),
            ).fetchall()[0][0]
            connection.executemany(
                "INSERT INTO points (series, step, at, bits) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(number, *point) for point in keys],
            )


def _metrics(connection: Connection, runs: Sequence[int]) -> dict[int, dict[str, float]]:
    """The last value of each series of these runs."""
    found: dict[int, dict[str, float]] = {}
    rows = connection.execute(
        'SELECT run, "key", bits FROM series WHERE run IN (SELECT value FROM json_each(?)) ORDER BY id', (dumps(runs),)
    )
    for run, key, bits in rows:
        found.setdefault(run, {})[key] = rules.bits_float(bits)
    return found


def _run(doc: bytes) -> Run:
    return unpack(doc, Run, what="a stored run")
