"""Runs in SQL: a narrow row a run, rows for params, tags and datasets, metric points in series.py. Called through ports.runs.RunStore.

What repeats or contradicts an earlier write is rules_runs.py; the form of the rows is run_rows.py; finding runs is run_index.py.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import isnan

from msgspec.structs import replace

from noria.adapters.metadata import rules as times
from noria.adapters.metadata import rules_runs as rules
from noria.adapters.metadata.rules_trained import missing_trained
from noria.adapters.metadata.sql import purging, run_rows
from noria.adapters.metadata.sql.artifacts import checked_files, files_at, files_below, put_files
from noria.adapters.metadata.sql.connection import Connection, Database, listed, portions
from noria.adapters.metadata.sql.experiments import active_named, bare_experiment, make_experiment
from noria.adapters.metadata.sql.points import Batch, keyed
from noria.adapters.metadata.sql.series import add_batch, add_points, seal_points
from noria.domain.change import ChangeKind
from noria.domain.experiment import Experiment
from noria.domain.ids import ExperimentId, RunId
from noria.domain.run import Artifact, DatasetUse, Metric, ModelLink, ParamValue, Run, RunBatch, RunStatus
from noria.wire.metrics import MetricColumns
from noria.wire.nouns import pack


class SqlRuns:
    """ports.runs.RunStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def create(self, run: Run) -> Run:
        pack(run)  # what memory could not send is refused here as well
        made = run_rows.made_of(run)
        points = rules.checked_points(rules.first_points(run))

        def work(connection: Connection) -> Run:
            row = connection.execute(
                "SELECT number, made FROM runs WHERE project = ? AND id = ?", (self._project, run.id)
            ).fetchone()
            if row is not None:
                if row[1] != made:
                    raise rules.began_otherwise(run.id)
                return self._whole(connection, row[0])
            kept = rules.new_run(run, self._experiment_of(connection, run))
            number = self._insert(connection, kept, made)
            if points:
                add_points(connection, self._project, number, points)
            rules.added_artifacts(run.id, {}, run.artifacts)
            files = self._put_files(connection, kept, run.artifacts)
            run_rows.tell_change(connection, self._project, rules.run_change("run.created", kept, at=kept.started_at))
            return replace(kept, metrics=dict(run.metrics), artifacts=files)

        return self._database.write(work)

    def get(self, run_id: RunId) -> Run:
        return self._database.read(lambda connection: self._whole(connection, self._number(connection, run_id)))

    def log(self, batch: RunBatch) -> None:
        points = rules.checked_points(batch.metrics)
        ready = keyed(points)
        params, tags = rules.checked_params(batch.params), rules.checked_tags(dict(batch.tags))
        pack(params)

        def work(connection: Connection) -> None:
            number = self._number(connection, batch.run_id, active=True)
            if params:
                self._add_params(connection, batch.run_id, number, params)
            if tags:
                run_rows.put_tags(connection, tags, table="tags", owner="run", of=(self._project, number))
            if points:
                self._add_points(connection, number, points, ready)

        self._database.write(work, only=batch.run_id)

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        self.log(RunBatch(run_id=run_id, params=dict(params)))

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        columns = rules.checked_points(points)
        ready = keyed(columns)

        def work(connection: Connection) -> None:
            self._add_points(connection, self._number(connection, run_id, active=True), columns, ready)

        self._database.write(work, only=run_id)

    def set_tags(self, run_id: RunId, tags: Mapping[str, str | None]) -> None:
        changes = dict(rules.checked_tags(tags))

        def work(connection: Connection) -> None:
            number = self._number(connection, run_id, active=True)
            run_rows.put_tags(connection, changes, table="tags", owner="run", of=(self._project, number))

        self._database.write(work, only=run_id)

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        def work(connection: Connection) -> None:
            number = self._number(connection, run_id, active=True)
            if artifacts:
                self._put_files(connection, run_rows.load(connection, [number])[0], artifacts)

        self._database.write(work)

    def link(
        self,
        run_id: RunId,
        *,
        inputs: Sequence[DatasetUse] = (),
        models_in: Sequence[ModelLink] = (),
        models_out: Sequence[ModelLink] = (),
    ) -> None:
        def work(connection: Connection) -> None:
            number = self._number(connection, run_id, active=True)
            before = run_rows.load(connection, [number])[0]
            after = rules.linked(before, inputs=inputs, models_in=models_in, models_out=models_out)
            if after.inputs != before.inputs:
                run_rows.put_inputs(connection, self._project, number, after.inputs)
            doc = run_rows.rest_of(after)
            connection.execute("UPDATE runs SET doc = ? WHERE number = ?", (doc, number))

        self._database.write(work)

    def finish(self, run_id: RunId, *, status: RunStatus, at: datetime, error: str = "") -> Run:
        return self._end(run_id, lambda run: rules.finished(run, status=status, at=at, error=error))

    def amend(
        self,
        run_id: RunId,
        *,
        name: str | None = None,
        status: RunStatus | None = None,
        finished_at: datetime | None = None,
    ) -> Run:
        return self._end(run_id, lambda run: rules.amended(run, name=name, status=status, finished_at=finished_at))

    def trash(self, run_ids: Sequence[RunId], *, at: datetime | None) -> None:
        wanted = list(dict.fromkeys(run_ids))
        kind: ChangeKind = "run.restored" if at is None else "run.trashed"

        def work(connection: Connection) -> None:
            held = self._bare(connection, wanted)
            moved: list[tuple[int, Run]] = []
            for run_id in wanted:
                if run_id not in held:
                    raise rules.missing_run(run_id)
                number, run = held[run_id]
                after = rules.trashed_run(run, at=at)
                if after is not None:
                    moved.append((number, after))
            if at is None:
                for experiment in {run.experiment_id for _, run in moved}:
                    rules.active_experiment(bare_experiment(connection, self._project, experiment))
            moment = None if at is None else times.micros(at)
            connection.executemany(
                "UPDATE runs SET trashed_at = ?, went_along = 0 WHERE number = ?",
                [(moment, number) for number, _ in moved],
            )
            for _, run in moved:
                run_rows.tell_change(connection, self._project, rules.run_change(kind, run, at=at))

        self._database.write(work)

    def purge(self, run_ids: Sequence[RunId]) -> int:
        wanted = list(dict.fromkeys(run_ids))

        def work(connection: Connection) -> int:
            held = self._bare(connection, wanted)
            numbers = [number for number, run in held.values() if run.trashed_at is not None]
            purging.forget_runs(connection, self._project, numbers)
            return len(numbers)

        return self._database.write(work)

    def _experiment_of(self, connection: Connection, run: Run) -> Experiment:
        """The experiment that a run names, by id or else by name; made if there is none of that name."""
        if run.experiment_id:
            return bare_experiment(connection, self._project, run.experiment_id)
        if not run.experiment:
            raise rules.no_experiment(run)
        found = active_named(connection, self._project, run.experiment)
        return found or make_experiment(connection, self._project, run.experiment, at=run.started_at)

    def _insert(self, connection: Connection, run: Run, made: bytes) -> int:
        own_root = run.artifact_root if rules.is_foreign(run.artifact_root) else None
        number: int = connection.execute(
            "INSERT INTO runs (project, id, experiment, name, status, who, started_at, finished_at, seed, artifact_root,"
            " went_along, made, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?) RETURNING number",
            (
                self._project,
                run.id,
                int(run.experiment_id),
                run.name,
                run.status,
                run.user,
                times.micros(run.started_at),
                None if run.finished_at is None else times.micros(run.finished_at),
                None if run.seed is None else float(run.seed),
                own_root,
                made,
                run_rows.rest_of(run),
            ),
        ).fetchall()[0][0]
        if run.params:
            run_rows.add_params(connection, run_rows.param_rows(self._project, number, run.params))
        if run.tags:
            run_rows.put_tags(connection, dict(run.tags), table="tags", owner="run", of=(self._project, number))
        if run.inputs:
            run_rows.put_inputs(connection, self._project, number, run.inputs)
        return number

    def _add_params(self, connection: Connection, run_id: RunId, number: int, params: Mapping[str, ParamValue]) -> None:
        held = run_rows.params_of(connection, number)
        # Only id and params are looked at: a whole run would cost more than the write.
        bare = Run(id=run_id, experiment="", name="", status="running", started_at=times.EPOCH, params=held)
        rules.with_params(bare, params)
        fresh = {key: value for key, value in params.items() if key not in held}
        run_rows.add_params(connection, run_rows.param_rows(self._project, number, fresh, first=len(held)))

    def _add_points(self, connection: Connection, number: int, points: MetricColumns, ready: Batch) -> None:
        """Add points to their series; those that measure a trained model to that as well. ready: the same points, keyed before the transaction."""
        measuring = points.measuring()
        if measuring:
            self._measure(connection, number, measuring)
        add_batch(connection, self._project, number, ready)

    def _measure(self, connection: Connection, number: int, points: Sequence[Metric]) -> None:
        wanted = list(dict.fromkeys(point.subject.model_id for point in points if point.subject is not None))
        models: dict[str, int] = {}
        for some in portions(wanted):
            marks, values = listed(some)
            models.update(
                connection.execute(
                    f"SELECT id, number FROM trained WHERE project = ? AND id IN ({marks})", (self._project, *values)
                ).fetchall()
            )
        for model_id in wanted:
            if model_id not in models:
                raise missing_trained(model_id)
        connection.executemany(
            'INSERT INTO trained_points (project, model, "key", dataset, dataset_digest, run, step, at, bits, value, is_nan)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (
                    self._project,
                    models[point.subject.model_id],
                    point.key,
                    point.subject.dataset,
                    point.subject.dataset_digest,
                    number,
                    *rules.point_key(point),
                    None if isnan(point.value) else point.value,
                    int(isnan(point.value)),
                )
                for point in points
                if point.subject is not None
            ],
        )

    def _put_files(self, connection: Connection, run: Run, artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
        """Attach files that are not there yet; gives all that were named, by path."""
        if not artifacts:
            return ()
        root = rules.files_of_run(run)
        files = checked_files(artifacts, root=root)
        start = len(root) + 1
        held = {
            path[start:]: replace(file, path=path[start:])
            for path, file in files_at(connection, self._project, list(files)).items()
        }
        fresh = {file.path for file in rules.added_artifacts(run.id, held, artifacts)}
        put_files(connection, self._project, {path: file for path, file in files.items() if path[start:] in fresh})
        return tuple(replace(files[path], path=path[start:]) for path in sorted(files))

    def _end(self, run_id: RunId, change: Callable[[Run], Run]) -> Run:
        """Change what a run's own row says, and tell of it if that is an end."""

        def work(connection: Connection) -> Run:
            number = self._number(connection, run_id)
            before = self._whole(connection, number)
            after = change(rules.active_run(before))
            if after != before:
                connection.execute(
                    "UPDATE runs SET name = ?, status = ?, finished_at = ?, doc = ? WHERE number = ?",
                    (
                        after.name,
                        after.status,
                        None if after.finished_at is None else times.micros(after.finished_at),
                        run_rows.rest_of(after),
                        number,
                    ),
                )
            if rules.has_ended_anew(before, after):
                seal_points(connection, number)
                told = rules.run_change("run.finished", after, at=after.finished_at)
                run_rows.tell_change(connection, self._project, told)
            return after

        return self._database.write(work)

    def _number(self, connection: Connection, run_id: str, *, active: bool = False) -> int:
        """A run's number. Raises NotFound; with `active` also Conflict, if it is in the trash."""
        row = connection.execute(
            "SELECT number, trashed_at FROM runs WHERE project = ? AND id = ?", (self._project, run_id)
        ).fetchone()
        if row is None:
            raise rules.missing_run(run_id)
        number: int = row[0]
        if active and row[1] is not None:
            rules.active_run(run_rows.load(connection, [number])[0])
        return number

    def _whole(self, connection: Connection, number: int) -> Run:
        """A run with its artifacts."""
        run = run_rows.load(connection, [number])[0]
        files = files_below(connection, self._project, run.artifact_root)
        return replace(run, artifacts=tuple(files.values())) if files else run

    def _bare(self, connection: Connection, run_ids: Sequence[RunId]) -> dict[RunId, tuple[int, Run]]:
        """Runs as far as their own rows tell, without what they hold."""
        found: dict[RunId, tuple[int, Run]] = {}
        for some in portions(run_ids):
            marks, values = listed(some)
            rows = connection.execute(
                "SELECT number, id, experiment, name, status, started_at, trashed_at FROM runs"
                f" WHERE project = ? AND id IN ({marks})",
                (self._project, *values),
            ).fetchall()
            for number, run_id, experiment, name, status, started, trashed in rows:
                run = Run(
                    id=run_id,
                    experiment="",
                    experiment_id=ExperimentId(str(experiment)),
                    name=name,
                    status=status,
                    started_at=times.moment(started),
                    trashed_at=None if trashed is None else times.moment(trashed),
                )
                found[run_id] = (number, run)
        return found
