"""Experiments in memory. What may become of one is metadata/rules_runs. Made by MemoryMetadata."""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from noria.adapters.metadata import matching
from noria.adapters.metadata import rules_runs as rules
from noria.adapters.metadata.memory.record import Record
from noria.adapters.metadata.memory.views import experiment_view, lives
from noria.domain.change import ChangeKind
from noria.domain.experiment import Experiment
from noria.domain.ids import ExperimentId, RunId
from noria.domain.query import Page, Query


class MemoryExperiments:
    """ports.experiments.ExperimentStore."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = record.lock

    def create(
        self,
        name: str,
        *,
        at: datetime,
        tags: Mapping[str, str] | None = None,
        artifact_root: str = "",
        experiment_id: ExperimentId | None = None,
    ) -> Experiment:
        with self._lock:
            record = self._record
            if experiment_id is not None:
                rules.checked_experiment_id(experiment_id)
            chosen = record.next_experiment_id() if experiment_id is None else experiment_id
            made = rules.new_experiment(chosen, name, at=at, tags=tags, artifact_root=artifact_root)
            if name in record.names:
                raise rules.name_taken(name, record.names[name])
            if chosen in record.ids_given:
                raise rules.experiment_id_taken(chosen)
            return record.add_experiment(made)

    def get(self, experiment_id: ExperimentId) -> Experiment:
        with self._lock:
            return self._record.experiment(experiment_id)

    def named(self, name: str) -> Experiment | None:
        with self._lock:
            if name in self._record.names:
                return self._record.experiments[self._record.names[name]]
            trashed = [each for each in self._record.experiments.values() if each.name == name]
            return max(trashed, key=lambda each: (each.created_at, int(each.id)), default=None)

    def search(self, query: Query) -> Page[Experiment]:
        with self._lock:
            return matching.page(
                self._of(query),
                query,
                kind="experiments",
                view_of=experiment_view,
                id_of=lambda experiment: (int(experiment.id),),
                newest_of=lambda experiment: experiment.created_at,
            )

    def count(self, query: Query) -> int:
        with self._lock:
            return len(matching.chosen(self._of(query), query, kind="experiments", view_of=experiment_view))

    def rename(self, experiment_id: ExperimentId, name: str, *, at: datetime) -> Experiment:
        with self._lock:
            record = self._record
            before = record.experiment(experiment_id)
            renamed = rules.renamed_experiment(before, name, at=at)
            if record.names.get(name, experiment_id) != experiment_id:
                raise rules.name_taken(name, record.names[name])
            del record.names[before.name]
            record.names[name] = experiment_id
            for run_id in record.of_experiment[experiment_id]:
                record.runs[run_id] = replace(record.runs[run_id], experiment=name)
            return self._keep(renamed)

    def set_tags(self, experiment_id: ExperimentId, tags: Mapping[str, str | None], *, at: datetime) -> None:
        with self._lock:
            self._keep(rules.tagged_experiment(self._record.experiment(experiment_id), tags, at=at))

    def trash(self, experiment_id: ExperimentId, *, at: datetime | None) -> None:
        with self._lock:
            record = self._record
            moved = rules.trashed_experiment(record.experiment(experiment_id), at=at)
            if moved is None:
                return
            if at is None:
                if moved.name in record.names:
                    raise rules.name_taken(moved.name, record.names[moved.name])
                record.names[moved.name] = moved.id
            else:
                del record.names[moved.name]
            self._keep(moved)
            self._move_runs(experiment_id, at=at)
            kind: ChangeKind = "experiment.restored" if at is None else "experiment.trashed"
            record.feed.tell(rules.experiment_change(kind, moved, at=at))

    def purge(self, experiment_id: ExperimentId) -> int:
        with self._lock:
            record = self._record
            experiment = record.experiment(experiment_id)
            if experiment.trashed_at is None:
                raise rules.not_in_trash("experiment", experiment.name)
            runs = list(record.of_experiment[experiment_id])
            for run_id in runs:
                record.forget_run(run_id)
            for model in [model for model in record.trained.values() if model.experiment_id == experiment_id]:
                record.forget_trained(model.id)
            del record.experiments[experiment_id], record.of_experiment[experiment_id]
            return len(runs)

    def _move_runs(self, experiment_id: ExperimentId, *, at: datetime | None) -> None:
        """Its active runs go into the trash with it; out of it come those that went along, and no others."""
        record = self._record
        along: list[RunId] = [
            run_id
            for run_id in record.of_experiment[experiment_id]
            if (run_id in record.went_along if at is None else record.runs[run_id].trashed_at is None)
        ]
        for run_id in along:
            record.runs[run_id] = rules.trashed_run(record.runs[run_id], at=at) or record.runs[run_id]
        (record.went_along.difference_update if at is None else record.went_along.update)(along)

    def _keep(self, experiment: Experiment) -> Experiment:
        self._record.experiments[experiment.id] = experiment
        return experiment

    def _of(self, query: Query) -> list[Experiment]:
        chosen = None if query.experiments is None else set(query.experiments)
        return [
            each
            for each in self._record.experiments.values()
            if (chosen is None or each.id in chosen) and lives(query, each.trashed_at)
        ]
