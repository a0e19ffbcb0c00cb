"""The trained port: models that runs brought forth."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from noria.domain.ids import TrainedModelId
from noria.domain.query import Page, Query
from noria.domain.trained import TrainedModel, TrainedStatus


class TrainedModelStore(Protocol):
    """Trained models. Thread-safe, durable when answered. Their measurements are written by RunStore.log_metrics.

    Attributes for search: model_id, name, kind, status, run_id, created_at, updated_at. A metric's field may name a dataset.
    """

    def create(self, model: TrainedModel) -> TrainedModel:
        """Keep a model; the same again is a no-op. Its artifact_root is filled if empty.

        Raises NotFound for experiment and run, AlreadyExists, Conflict.
        """
        ...

    def get(self, model_id: TrainedModelId) -> TrainedModel:
        """One that is not in the trash. Raises NotFound."""
        ...

    def search(self, query: Query) -> Page[TrainedModel]:
        """One page, by default the newest first."""
        ...

    def finish(
        self, model_id: TrainedModelId, *, status: TrainedStatus, at: datetime, message: str = ""
    ) -> TrainedModel:
        """Say that its files are there, or that they never will be."""
        ...

    def set_tags(self, model_id: TrainedModelId, tags: Mapping[str, str | None], *, at: datetime) -> None:
        """Set tags; None takes one away."""
        ...

    def log_params(self, model_id: TrainedModelId, params: Mapping[str, str], *, at: datetime) -> None:
        """Add params. Raises AlreadyExists if one has another value."""
        ...

    def trash(self, model_id: TrainedModelId, *, at: datetime | None) -> None:
        """Into the trash, or out of it."""
        ...

    def purge(self, model_id: TrainedModelId) -> int:
        """Forget one that is in the trash, with its artifacts' entries; 1 if it was there, else 0."""
        ...
