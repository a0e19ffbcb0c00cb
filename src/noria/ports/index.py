"""The index port: runs found by what they are and what came out of them."""

from collections.abc import Sequence
from typing import Protocol

from noria.domain.ids import ExperimentId
from noria.domain.query import Page, Query
from noria.domain.run import Run, RunKeys


class RunIndex(Protocol):
    """Search over the runs that the RunStore keeps; sees every write that was answered before.

    Attributes: run_id, name, status, user, started_at, finished_at (both in ms since 1970), artifact_root, experiment, experiment_id, seed; and text,
    for `like` and `ilike` only: id, name, experiment, user, and each param and tag as 'key=value'.
    Datasets (scope 'dataset'): name, digest, context (the tag of that name), of any of the run's inputs.
    """

    def search(self, query: Query) -> Page[Run]:
        """One page of runs, without their artifacts. By default newest first."""
        ...

    def count(self, query: Query) -> int:
        """How many runs the query finds in all; order, limit and after play no part."""
        ...

    def keys(self, experiments: Sequence[ExperimentId] | None = None) -> RunKeys:
        """Keys in use."""
        ...
