"""Trained models in memory. What may become of one is metadata/rules_trained. Made by MemoryMetadata."""

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec.structs import replace

from noria.adapters.metadata import matching
from noria.adapters.metadata import rules_trained as rules
from noria.adapters.metadata.memory.record import Record
from noria.adapters.metadata.memory.views import lives, trained_view
from noria.adapters.metadata.rules_runs import active_run
from noria.domain.ids import TrainedModelId
from noria.domain.query import Page, Query
from noria.domain.trained import TrainedModel, TrainedStatus
from noria.wire.nouns import pack


class MemoryTrained:
    """ports.trained.TrainedModelStore."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = record.lock

    def create(self, model: TrainedModel) -> TrainedModel:
        pack(model)
        with self._lock:
            record = self._record
            if model.id in record.trained:
                rules.same_trained(record.trained_made[model.id], model)
                return self._whole(record.trained[model.id])
            if model.run_id is not None:
                active_run(record.kept_run(model.run_id))
            kept = rules.new_trained(model, record.experiment(model.experiment_id))
            record.trained[model.id], record.trained_made[model.id], record.measured[model.id] = kept, model, {}
            return kept

    def get(self, model_id: TrainedModelId) -> TrainedModel:
        with self._lock:
            return self._whole(self._find(model_id))

    def search(self, query: Query) -> Page[TrainedModel]:
        with self._lock:
            chosen = None if query.experiments is None else set(query.experiments)
            found = [
                self._whole(model)
                for model in self._record.trained.values()
                if (chosen is None or model.experiment_id in chosen) and lives(query, model.trashed_at)
            ]
            return matching.page(
                found,
                query,
                kind="trained",
                view_of=trained_view,
                id_of=lambda model: model.id,
                newest_of=lambda model: model.created_at,
            )

    def finish(
        self, model_id: TrainedModelId, *, status: TrainedStatus, at: datetime, message: str = ""
    ) -> TrainedModel:
        return self._change(
            model_id, lambda model: rules.finished_trained(model, status=status, at=at, message=message)
        )

    def set_tags(self, model_id: TrainedModelId, tags: Mapping[str, str | None], *, at: datetime) -> None:
        self._change(model_id, lambda model: rules.trained_with_tags(model, tags, at=at))

    def log_params(self, model_id: TrainedModelId, params: Mapping[str, str], *, at: datetime) -> None:
        self._change(model_id, lambda model: rules.trained_with_params(model, params, at=at))

    def trash(self, model_id: TrainedModelId, *, at: datetime | None) -> None:
        with self._lock:
            if model_id not in self._record.trained:
                raise rules.missing_trained(model_id)
            moved = rules.trashed_trained(self._record.trained[model_id], at=at)
            if moved is not None:
                self._record.trained[model_id] = moved

    def purge(self, model_id: TrainedModelId) -> int:
        with self._lock:
            model = self._record.trained.get(model_id)
            if model is None or model.trashed_at is None:
                return 0
            self._record.forget_trained(model_id)
            return 1

    def _find(self, model_id: str) -> TrainedModel:
        model = self._record.trained.get(model_id)
        if model is None or model.trashed_at is not None:
            raise rules.missing_trained(model_id)
        return model

    def _whole(self, model: TrainedModel) -> TrainedModel:
        measured = self._record.measured[model.id]
        return replace(model, metrics=tuple(measured[key] for key in sorted(measured)))

    def _change(self, model_id: TrainedModelId, change: Callable[[TrainedModel], TrainedModel]) -> TrainedModel:
        with self._lock:
            changed = change(self._find(model_id))
            pack(changed)
            self._record.trained[model_id] = changed
            return self._whole(changed)
