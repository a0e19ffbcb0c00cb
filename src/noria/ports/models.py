"""The models port: versions and aliases. The names themselves are ports/catalog."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from noria.domain.model import AliasMove, ModelVersion, Packaged
from noria.domain.query import Page, Query


class ModelStore(Protocol):
    """Registered versions and aliases with their whole history. Thread-safe, durable when answered, told to the feed.

    Registering makes the model if it does not exist. Attributes for search: name (the model's), version (the number), run_id, source, created_at,
    updated_at. Scopes: attribute, tag.
    """

    def register(self, version: ModelVersion) -> ModelVersion:
        """Write a version under its number; the same version again is a no-op.

        Raises AlreadyExists if the number is taken, or was before a deletion.
        """
        ...

    def get(self, model: str, number: int) -> ModelVersion:
        """One version. Raises NotFound, also for a deleted one."""
        ...

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions of a model, oldest first; empty if there is none."""
        ...

    def search(self, query: Query) -> Page[ModelVersion]:
        """One page of versions of all models; by default newest first."""
        ...

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
        """Change description or tags (None takes a tag away), or say what a version without a bundle was packaged as; what is not given stays.

        Raises NotFound, and AlreadyExists for a version that has another bundle: what it is served by never changes.
        """
        ...

    def delete(self, model: str, number: int, *, at: datetime) -> None:
        """Forget a version and take away the aliases that point to it (their history stays). Its number is never given again. Raises NotFound."""
        ...

    def next_number(self, model: str) -> int:
        """The number after the highest that was ever given; 1 for a new model."""
        ...

    def models(self) -> list[str]:
        """Names of all registered models, sorted."""
        ...

    def move_alias(self, move: AliasMove) -> None:
        """Point an alias to a version, or take it away, and keep where it pointed before. The same move (same cause) twice is one.

        Raises NotFound for the version.
        """
        ...

    def alias(self, model: str, alias: str) -> int | None:
        """The version number that an alias points to now, or None."""
        ...

    def aliases(self, model: str) -> dict[str, int]:
        """Every alias that points somewhere now, by name."""
        ...

    def alias_history(self, model: str, alias: str | None = None) -> list[AliasMove]:
        """Every move, oldest first, of one alias or of all."""
        ...
