"""Trained models in SQL; their measurements are written by runs.py. Called through ports.trained.TrainedModelStore.

What repeats or contradicts an earlier write is rules_trained.py; which models a query finds is search.py.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from noria.adapters.metadata import rules as times
from noria.adapters.metadata import rules_trained as rules
from noria.adapters.metadata.matching import param_number
from noria.adapters.metadata.rules_runs import active_run, checked_tags, is_foreign, missing_run
from noria.adapters.metadata.sql import purging, run_rows, search
from noria.adapters.metadata.sql.connection import Connection, Database, listed, portions
from noria.adapters.metadata.sql.experiments import bare_experiment
from noria.domain.ids import ExperimentId, TrainedModelId
from noria.domain.query import Page, Query
from noria.domain.run import Metric, Subject
from noria.domain.trained import Measurement, TrainedModel, TrainedStatus
from noria.wire.nouns import pack

_COLUMNS = "number, id, experiment, name, run, kind, status, message, created_at, updated_at, artifact_root, trashed_at"


class SqlTrained:
    """ports.trained.TrainedModelStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def create(self, model: TrainedModel) -> TrainedModel:
        pack(model)  # what memory could not send is refused here as well
        made = run_rows.made_of(model)

        def work(connection: Connection) -> TrainedModel:
            row = connection.execute(
                "SELECT number, made FROM trained WHERE project = ? AND id = ?", (self._project, model.id)
            ).fetchone()
            if row is not None:
                if row[1] != made:
                    raise rules.began_otherwise(model.id)
                return _load(connection, [row[0]])[0]
            if model.run_id is not None:
                self._check_run(connection, model.run_id)
            kept = rules.new_trained(model, bare_experiment(connection, self._project, model.experiment_id))
            self._insert(connection, kept, made)
            return kept

        return self._database.write(work)

    def get(self, model_id: TrainedModelId) -> TrainedModel:
        return self._database.read(lambda connection: self._find(connection, model_id)[1])

    def search(self, query: Query) -> Page[TrainedModel]:
        def find(connection: Connection) -> Page[TrainedModel]:
            found = search.find(
                connection, query, kind="trained", project=self._project, dialect=self._database.dialect
            )
            return Page(_load(connection, found.numbers), found.next)

        return self._database.read(find)

    def finish(
        self, model_id: TrainedModelId, *, status: TrainedStatus, at: datetime, message: str = ""
    ) -> TrainedModel:
        return self._change(
            model_id, lambda model: rules.finished_trained(model, status=status, at=at, message=message)
        )

    def set_tags(self, model_id: TrainedModelId, tags: Mapping[str, str | None], *, at: datetime) -> None:
        changes = dict(checked_tags(tags))
        self._change(model_id, lambda model: rules.trained_with_tags(model, tags, at=at), tags=changes)

    def log_params(self, model_id: TrainedModelId, params: Mapping[str, str], *, at: datetime) -> None:
        self._change(model_id, lambda model: rules.trained_with_params(model, params, at=at))

    def trash(self, model_id: TrainedModelId, *, at: datetime | None) -> None:
        def work(connection: Connection) -> None:
            number, model = self._find(connection, model_id, trashed=True)
            moved = rules.trashed_trained(model, at=at)
            if moved is not None:
                moment = None if moved.trashed_at is None else times.micros(moved.trashed_at)
                connection.execute("UPDATE trained SET trashed_at = ? WHERE number = ?", (moment, number))

        self._database.write(work)

    def purge(self, model_id: TrainedModelId) -> int:
        def work(connection: Connection) -> int:
            rows = connection.execute(
                "SELECT number FROM trained WHERE project = ? AND id = ? AND trashed_at IS NOT NULL",
                (self._project, model_id),
            ).fetchall()
            purging.forget_trained(connection, self._project, [row[0] for row in rows])
            return len(rows)

        return self._database.write(work)

    def _check_run(self, connection: Connection, run_id: str) -> None:
        """Raises NotFound, Conflict."""
        row = connection.execute(
            "SELECT number, trashed_at FROM runs WHERE project = ? AND id = ?", (self._project, run_id)
        ).fetchone()
        if row is None:
            raise missing_run(run_id)
        if row[1] is not None:
            active_run(run_rows.load(connection, [row[0]])[0])

    def _insert(self, connection: Connection, model: TrainedModel, made: bytes) -> None:
        number = connection.execute(
            "INSERT INTO trained (project, id, experiment, run, name, kind, status, message, created_at, updated_at,"
            " artifact_root, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (
                self._project,
                model.id,
                int(model.experiment_id),
                model.run_id,
                model.name,
                model.kind,
                model.status,
                model.status_message,
                times.micros(model.created_at),
                times.micros(model.updated_at),
                model.artifact_root if is_foreign(model.artifact_root) else None,
                made,
            ),
        ).fetchall()[0][0]
        self._add_params(connection, number, model.params, first=0)
        run_rows.put_tags(connection, dict(model.tags), table="trained_tags", owner="model", of=(self._project, number))

    def _add_params(self, connection: Connection, number: int, params: Mapping[str, str], *, first: int) -> None:
        connection.executemany(
            'INSERT INTO trained_params (project, model, "key", place, head, text, number) VALUES (?, ?, ?, ?, ?, ?, ?)',
            [
                (self._project, number, key, place, *run_rows.split(value), param_number(value))
                for place, (key, value) in enumerate(params.items(), start=first)
            ],
        )

    def _change(
        self,
        model_id: TrainedModelId,
        change: Callable[[TrainedModel], TrainedModel],
        *,
        tags: Mapping[str, str | None] | None = None,
    ) -> TrainedModel:
        def work(connection: Connection) -> TrainedModel:
            number, before = self._find(connection, model_id)
            after = change(before)
            connection.execute(
                "UPDATE trained SET status = ?, message = ?, updated_at = ? WHERE number = ?",
                (after.status, after.status_message, times.micros(after.updated_at), number),
            )
            fresh = {key: value for key, value in after.params.items() if key not in before.params}
            self._add_params(connection, number, fresh, first=len(before.params))
            if tags:
                run_rows.put_tags(connection, tags, table="trained_tags", owner="model", of=(self._project, number))
            return after

        return self._database.write(work)

    def _find(self, connection: Connection, model_id: str, *, trashed: bool = False) -> tuple[int, TrainedModel]:
        """A model with its number; one in the trash only if asked for. Raises NotFound."""
        row = connection.execute(
            "SELECT number, trashed_at FROM trained WHERE project = ? AND id = ?", (self._project, model_id)
        ).fetchone()
        if row is None or (row[1] is not None and not trashed):
            raise rules.missing_trained(model_id)
        return row[0], _load(connection, [row[0]])[0]


def _load(connection: Connection, numbers: Sequence[int]) -> list[TrainedModel]:
    """Trained models by their numbers, in that order: one query a table, however many models. What is gone is left out."""
    found: dict[int, TrainedModel] = {}
    for some in portions(numbers):
        marks, values = listed(some)
        params, tags = (
            _texts(connection, "trained_params", marks, values),
            _texts(connection, "trained_tags", marks, values),
        )
        measured: dict[int, list[Measurement]] = {}
        for model, *row in connection.execute(
            'SELECT p.model, m.id, p."key", p.dataset, p.dataset_digest, r.id, p.step, p.at, p.bits'
            " FROM trained_points p JOIN runs r ON r.number = p.run JOIN trained m ON m.number = p.model"
            f" WHERE p.model IN ({marks})",
            values,
        ).fetchall():
            measured.setdefault(model, []).append(_measurement(row))
        for row in connection.execute(f"SELECT {_COLUMNS} FROM trained WHERE number IN ({marks})", values).fetchall():
            number = row[0]
            points = tuple(sorted(measured.get(number, ()), key=rules.measurement_key))
            found[number] = _model(row, params.get(number, {}), tags.get(number, {}), points)
    return [found[number] for number in numbers if number in found]


def _texts(connection: Connection, table: str, marks: str, values: tuple[object, ...]) -> dict[int, dict[str, str]]:
    order = "place" if table == "trained_params" else '"key"'
    found: dict[int, dict[str, str]] = {}
    for model, key, text in connection.execute(
        f'SELECT model, "key", coalesce(text, head) FROM {table} WHERE model IN ({marks}) ORDER BY model, {order}',
        values,
    ).fetchall():
        found.setdefault(model, {})[key] = text
    return found


def _measurement(row: Sequence[Any]) -> Measurement:
    model_id, key, dataset, digest, run_id, step, at, bits = row
    subject = Subject(model_id=model_id, dataset=dataset, dataset_digest=digest)
    point = Metric(key=key, value=times.bits_float(bits), step=step, at=times.moment(at), subject=subject)
    return Measurement(run_id=run_id, point=point)


def _model(
    row: Sequence[Any], params: dict[str, str], tags: dict[str, str], points: tuple[Measurement, ...]
) -> TrainedModel:
    _, model_id, experiment, name, run, kind, status, message, created, updated, root, trashed = row
    return TrainedModel(
        id=model_id,
        experiment_id=ExperimentId(str(experiment)),
        name=name,
        run_id=run,
        kind=kind,
        status=status,
        status_message=message,
        created_at=times.moment(created),
        updated_at=times.moment(updated),
        params=params,
        tags=tags,
        metrics=points,
        artifact_root=f"{experiment}/models/{model_id}/artifacts" if root is None else root,
        trashed_at=None if trashed is None else times.moment(trashed),
    )
