"""The experiments port: the names under which runs are grouped."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from noria.domain.experiment import Experiment
from noria.domain.ids import ExperimentId
from noria.domain.query import Page, Query


class ExperimentStore(Protocol):
    """Experiments. Thread-safe, durable when answered. Names are unique among those that are not in the trash.

    Attributes for search: experiment_id, name, created_at, updated_at (ms since 1970). Scopes: attribute, tag.
    """

    def create(
        self,
        name: str,
        *,
        at: datetime,
        tags: Mapping[str, str] | None = None,
        artifact_root: str = "",
        experiment_id: ExperimentId | None = None,
    ) -> Experiment:
        """Make an experiment; the store numbers it from 1 unless an id is given.

        Raises AlreadyExists if the name or the id is taken, InputInvalid.
        """
        ...

    def get(self, experiment_id: ExperimentId) -> Experiment:
        """One experiment, in the trash or not. Raises NotFound."""
        ...

    def named(self, name: str) -> Experiment | None:
        """The experiment of this name; of those in the trash the newest, if no other has it; None if none has."""
        ...

    def search(self, query: Query) -> Page[Experiment]:
        """One page of experiments; by default the newest first."""
        ...

    def count(self, query: Query) -> int:
        """How many the query finds in all."""
        ...

    def rename(self, experiment_id: ExperimentId, name: str, *, at: datetime) -> Experiment:
        """Give another name. Raises NotFound, AlreadyExists, Conflict if it is in the trash."""
        ...

    def set_tags(self, experiment_id: ExperimentId, tags: Mapping[str, str | None], *, at: datetime) -> None:
        """Set tags; None takes one away. Raises NotFound, Conflict."""
        ...

    def trash(self, experiment_id: ExperimentId, *, at: datetime | None) -> None:
        """Put it with its runs into the trash, or take it out with those runs that went with it (at None).

        Raises NotFound; AlreadyExists on the way out if its name was taken meanwhile.
        """
        ...

    def purge(self, experiment_id: ExperimentId) -> int:
        """Forget an experiment in the trash with all its runs; gives how many runs there were.

        Raises NotFound, Conflict if it is not in the trash.
        """
        ...
