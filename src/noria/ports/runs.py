"""The runs port: what was tried and what came out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from noria.domain.ids import RunId
from noria.domain.run import Artifact, Metric, ParamValue, Run, RunStatus


class RunStore(Protocol):
    """Runs with typed params, metric series, tags and artifacts. Thread-safe. An answered write is durable.

    Creating a run whose id exists with the same content is a no-op (clients retry); a param may be set again to the same value only.
    The same metric point (key, step, time, value) twice is one point. NaN and infinities are kept.
    """

    def create(self, run: Run) -> Run:
        """Begin a run. Raises AlreadyExists if the id is taken by another."""
        ...

    def get(self, run_id: RunId) -> Run:
        """A run with the last value of each metric. Raises NotFound."""
        ...

    def find(
        self, *, experiment: str | None = None, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[Run]:
        """Runs, newest first."""
        ...

    def count(self, *, experiment: str | None = None, status: RunStatus | None = None) -> int:
        """How many runs `find` would give without a limit."""
        ...

    def experiments(self) -> list[str]:
        """Names of all experiments, sorted."""
        ...

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        """Add params. Raises NotFound, AlreadyExists if one is set to another value."""
        ...

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        """Add metric points, any number of keys and steps, all or none."""
        ...

    def history(self, run_id: RunId, key: str) -> list[Metric]:
        """Every point of one series in the order of (step, time). Raises NotFound for the run; an unknown key is an empty list."""
        ...

    def set_tags(self, run_id: RunId, tags: Mapping[str, str]) -> None:
        """Set tags; the last value counts."""
        ...

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        """Attach files whose content is in the blob store already."""
        ...

    def finish(self, run_id: RunId, *, status: RunStatus, at: datetime, error: str = "") -> Run:
        """End a run; ending it twice the same way is a no-op."""
        ...
