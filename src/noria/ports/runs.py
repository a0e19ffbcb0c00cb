"""The runs port: what was tried and what came out. Finding runs is ports/index, reading whole series ports/series."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from noria.domain.ids import RunId
from noria.domain.run import Artifact, DatasetUse, Metric, ModelLink, ParamValue, Run, RunBatch, RunStatus


class RunStore(Protocol):
    """Runs with typed params, metric series, tags and artifacts. Thread-safe. An answered write is durable.

    Creating a run whose id exists with the same content is a no-op (clients retry); a param may be set again to the same value only.
    The same metric point (key, step, time, value) twice is one point. NaN and infinities are kept. Writing to a run in the trash raises Conflict.
    Every change of state is told to the feed (ports/feed) in the same transaction.
    """

    def create(self, run: Run) -> Run:
        """Begin a run; an experiment that does not exist yet is made. Raises AlreadyExists if the id is taken by another."""
        ...

    def get(self, run_id: RunId) -> Run:
        """A run, in the trash or not, with the last value of each metric and its artifacts. Raises NotFound."""
        ...

    def log(self, batch: RunBatch) -> None:
        """Add params, points and tags, all or none. Raises NotFound, AlreadyExists if a param is set to another value, Conflict."""
        ...

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        """Add params, as `log`."""
        ...

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        """Add metric points, any number of keys and steps, all or none. One with a subject is a measurement of that trained model as well."""
        ...

    def set_tags(self, run_id: RunId, tags: Mapping[str, str | None]) -> None:
        """Set tags, the last value counts; None takes a tag away (no error if there is none)."""
        ...

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        """Attach files whose content is in the blob store already. Raises AlreadyExists if a path holds other content."""
        ...

    def link(
        self,
        run_id: RunId,
        *,
        inputs: Sequence[DatasetUse] = (),
        models_in: Sequence[ModelLink] = (),
        models_out: Sequence[ModelLink] = (),
    ) -> None:
        """Say what a run read and brought forth; what is linked already stays as it was."""
        ...

    def finish(self, run_id: RunId, *, status: RunStatus, at: datetime, error: str = "") -> Run:
        """End a run; ending it twice the same way is a no-op. Raises Conflict if it ended otherwise."""
        ...

    def amend(
        self,
        run_id: RunId,
        *,
        name: str | None = None,
        status: RunStatus | None = None,
        finished_at: datetime | None = None,
    ) -> Run:
        """Rename a run, resume it (status 'running' or 'scheduled' clears its end), or correct how it ended. None leaves a thing as it is."""
        ...

    def trash(self, run_ids: Sequence[RunId], *, at: datetime | None) -> None:
        """Put runs into the trash, or take them out again (at None). Repeated it changes nothing. Raises NotFound; all or none."""
        ...

    def purge(self, run_ids: Sequence[RunId]) -> int:
        """Forget runs that are in the trash, with their points and their artifacts' entries; gives how many there were. Cannot be undone."""
        ...
