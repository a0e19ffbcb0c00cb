"""The models port: versions and aliases."""

from typing import Protocol

from noria.domain.model import AliasMove, ModelVersion


class ModelStore(Protocol):
    """Registered versions, immutable once written, and aliases with their whole history. Thread-safe, durable when answered."""

    def register(self, version: ModelVersion) -> ModelVersion:
        """Write a version under its number; the same version again is a no-op. Raises AlreadyExists if number or run is taken by another."""
        ...

    def get(self, model: str, number: int) -> ModelVersion:
        """One version. Raises NotFound."""
        ...

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions of a model, oldest first; empty if there is none."""
        ...

    def models(self) -> list[str]:
        """Names of all registered models, sorted."""
        ...

    def move_alias(self, move: AliasMove) -> None:
        """Point an alias to a version and keep where it pointed before. The same move (same cause) twice is one. Raises NotFound for the version."""
        ...

    def alias(self, model: str, alias: str) -> int | None:
        """The version number that an alias points to now, or None."""
        ...

    def alias_history(self, model: str, alias: str | None = None) -> list[AliasMove]:
        """Every move, oldest first, of one alias or of all."""
        ...
