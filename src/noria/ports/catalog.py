"""The catalog port: the names under which versions are registered."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from noria.domain.model import RegisteredModel
from noria.domain.query import Page, Query


class ModelCatalog(Protocol):
    """Registered models. Thread-safe, durable when answered, told to the feed. Attributes for search: name, created_at, updated_at; scope tag."""

    def create(
        self, name: str, *, at: datetime, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """Make a model without versions. Raises AlreadyExists, InputInvalid."""
        ...

    def get(self, name: str) -> RegisteredModel:
        """One model. Raises NotFound."""
        ...

    def search(self, query: Query) -> Page[RegisteredModel]:
        """One page; by default by name."""
        ...

    def count(self, query: Query) -> int:
        """How many the query finds in all."""
        ...

    def rename(self, name: str, new: str, *, at: datetime) -> RegisteredModel:
        """Give another name; versions, aliases and their history go along. Raises NotFound, AlreadyExists, Conflict while a deployment serves it."""
        ...

    def amend(
        self,
        name: str,
        *,
        at: datetime,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> RegisteredModel:
        """Change description or tags (None takes a tag away); what is not given stays. Raises NotFound."""
        ...

    def delete(self, name: str, *, at: datetime) -> None:
        """Forget a model with its versions and aliases; the name is free again. Raises NotFound, Conflict while a deployment serves it."""
        ...
