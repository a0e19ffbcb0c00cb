"""The series port: metric points, whole or as a chart needs them."""

from collections.abc import Sequence
from typing import Protocol

from noria.domain.ids import RunId
from noria.domain.run import Bucket, Metric, SeriesHead


class SeriesStore(Protocol):
    """Reads the series that RunStore.log_metrics wrote. Points are in the order of (step, time, value's bits); raw is exact, charts keep peaks."""

    def history(self, run_id: RunId, key: str, *, limit: int | None = None, offset: int = 0) -> list[Metric]:
        """Points of one series, `limit` of them from `offset` on. Raises NotFound for the run; an unknown key is an empty list."""
        ...

    def chart(
        self,
        run_id: RunId,
        key: str,
        *,
        buckets: int = 500,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> list[Bucket]:
        """A series in at most `buckets` stretches of (nearly) equal count, each with its extremes; points of one bucket each if there are fewer.

        first_step, last_step: only these steps (inclusive). Costs by the number of buckets and chunks, not of points. Raises NotFound.
        """
        ...

    def heads(self, run_id: RunId) -> list[SeriesHead]:
        """Every series of a run, by key. Raises NotFound."""
        ...

    def latest(self, run_ids: Sequence[RunId], key: str) -> dict[RunId, Metric]:
        """The last point of one series in many runs; runs without it are left out."""
        ...
