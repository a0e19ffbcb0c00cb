"""Runs in memory. What counts as a repetition or a contradiction is metadata/rules_runs. Made by MemoryMetadata."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from noria.adapters.metadata import rules_runs as rules
from noria.adapters.metadata.memory.record import Record
from noria.adapters.metadata.rules_trained import missing_trained
from noria.domain.experiment import Experiment
from noria.domain.ids import RunId
from noria.domain.run import Artifact, DatasetUse, Metric, ModelLink, ParamValue, Run, RunBatch, RunStatus
from noria.wire.metrics import MetricColumns
from noria.wire.nouns import pack


class MemoryRuns:
    """ports.runs.RunStore."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = record.lock

    def create(self, run: Run) -> Run:
        pack(run)  # what a database could not keep is refused here as well
        with self._lock:
            record = self._record
            if run.id in record.runs:
                rules.same_run(record.made[run.id], run)
                return self.get(run.id)
            experiment, is_new = self._experiment_of(run)
            kept = rules.new_run(run, experiment)
            points = rules.checked_points(rules.first_points(run))
            self._demand_models(points)
            files = rules.added_artifacts(run.id, {}, run.artifacts)
            if files:
                self._put_files(kept, files)
            if is_new:
                record.add_experiment(experiment)
            record.runs[run.id], record.made[run.id], record.series[run.id] = kept, run, {}
            record.of_experiment[experiment.id][run.id] = None
            record.add_points(run.id, points)
            record.feed.tell(rules.run_change("run.created", kept, at=kept.started_at))
            return self.get(run.id)

    def get(self, run_id: RunId) -> Run:
        with self._lock:
            run = self._record.run(run_id)
            return replace(run, artifacts=self._record.files(run.artifact_root))

    def log(self, batch: RunBatch) -> None:
        columns = MetricColumns.of(batch.metrics)  # before the lock: others need not wait for it
        with self._lock:
            run = rules.active_run(self._record.kept_run(batch.run_id))
            points = rules.checked_points(columns)
            changed = rules.with_params(run, batch.params) if batch.params else run
            tags = rules.with_tags(changed.tags, dict(batch.tags))
            self._demand_models(points)
            if batch.params or batch.tags:
                self._keep(replace(changed, tags=tags))
            self._record.add_points(batch.run_id, points)

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        self._change(run_id, lambda run: rules.with_params(run, params))

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        self.log(RunBatch(run_id=run_id, metrics=points))

    def set_tags(self, run_id: RunId, tags: Mapping[str, str | None]) -> None:
        self._change(run_id, lambda run: replace(run, tags=rules.with_tags(run.tags, tags)))

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        with self._lock:
            run = rules.active_run(self._record.kept_run(run_id))
            if not artifacts:
                return
            held = {file.path: file for file in self._record.files(rules.files_of_run(run))}
            self._put_files(run, rules.added_artifacts(run_id, held, artifacts))

    def link(
        self,
        run_id: RunId,
        *,
        inputs: Sequence[DatasetUse] = (),
        models_in: Sequence[ModelLink] = (),
        models_out: Sequence[ModelLink] = (),
    ) -> None:
        self._change(run_id, lambda run: rules.linked(run, inputs=inputs, models_in=models_in, models_out=models_out))

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
        with self._lock:
            record = self._record
            changed = [rules.trashed_run(record.kept_run(run_id), at=at) for run_id in dict.fromkeys(run_ids)]
            moved = [run for run in changed if run is not None]
            if at is None:
                for run in moved:
                    rules.active_experiment(record.experiment(run.experiment_id))
            for run in moved:
                record.runs[run.id] = run
                record.feed.tell(rules.run_change("run.restored" if at is None else "run.trashed", run, at=at))

    def purge(self, run_ids: Sequence[RunId]) -> int:
        with self._lock:
            gone = [
                run_id
                for run_id in dict.fromkeys(run_ids)
                if run_id in self._record.runs and self._record.runs[run_id].trashed_at is not None
            ]
            for run_id in gone:
                self._record.forget_run(run_id)
            return len(gone)

    def _experiment_of(self, run: Run) -> tuple[Experiment, bool]:
        """The experiment that a run names, by id or else by name, and whether it is yet to be made."""
        record = self._record
        if run.experiment_id:
            return record.experiment(run.experiment_id), False
        if not run.experiment:
            raise rules.no_experiment(run)
        if run.experiment in record.names:
            return record.experiments[record.names[run.experiment]], False
        made = rules.new_experiment(
            record.next_experiment_id(), run.experiment, at=run.started_at, tags=None, artifact_root=""
        )
        return made, True

    def _demand_models(self, points: MetricColumns) -> None:
        """Points may only measure trained models that are there. All are checked before the first is kept."""
        for subject in points.subjects.values():
            if subject.model_id not in self._record.trained:
                raise missing_trained(subject.model_id)

    def _put_files(self, run: Run, files: Sequence[Artifact]) -> None:
        root = rules.files_of_run(run)
        self._record.artifacts.put([replace(file, path=f"{root}/{file.path}") for file in files])

    def _end(self, run_id: RunId, change: Callable[[Run], Run]) -> Run:
        with self._lock:
            before = self._record.kept_run(run_id)
            after = self._change(run_id, change)
            if rules.has_ended_anew(before, after):
                self._record.feed.tell(rules.run_change("run.finished", after, at=after.finished_at))
            return self.get(run_id)

    def _change(self, run_id: RunId, change: Callable[[Run], Run]) -> Run:
        with self._lock:
            return self._keep(change(rules.active_run(self._record.kept_run(run_id))))

    def _keep(self, run: Run) -> Run:
        pack(run)
        self._record.runs[run.id] = run
        return run
