"""Runs found, and their series read, in memory. Matching is metadata/matching, drawing metadata/charting. Made by MemoryMetadata."""

from collections.abc import Sequence

from noria.adapters.metadata import charting, matching
from noria.adapters.metadata.matching import View
from noria.adapters.metadata.memory.record import Points, Record
from noria.adapters.metadata.memory.views import lives, run_view
from noria.domain.ids import ExperimentId, RunId
from noria.domain.query import Page, Query
from noria.domain.run import Bucket, Metric, Run, RunKeys, SeriesHead


class MemoryIndex:
    """ports.index.RunIndex."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = record.lock

    def search(self, query: Query) -> Page[Run]:
        with self._lock:
            found = matching.page(
                self._of(query),
                query,
                kind="runs",
                view_of=self._view,
                id_of=lambda run: run.id,
                newest_of=lambda run: run.started_at,
            )
            return Page([self._record.run(run.id) for run in found.items], found.next)

    def count(self, query: Query) -> int:
        with self._lock:
            return len(matching.chosen(self._of(query), query, kind="runs", view_of=self._view))

    def keys(self, experiments: Sequence[ExperimentId] | None = None) -> RunKeys:
        metrics: set[str] = set()
        params: set[str] = set()
        tags: set[str] = set()
        with self._lock:
            for run in self._of(Query(experiments=None if experiments is None else tuple(experiments))):
                metrics |= self._record.series[run.id].keys()
                params |= run.params.keys()
                tags |= run.tags.keys()
        return RunKeys(metrics=sorted(metrics), params=sorted(params), tags=sorted(tags))

    def _of(self, query: Query) -> list[Run]:
        """The runs that a query looks at, as they are kept: without their metrics."""
        record = self._record
        chosen = record.of_experiment if query.experiments is None else dict.fromkeys(query.experiments)
        return [
            run
            for experiment_id in chosen
            for run_id in record.of_experiment.get(experiment_id, ())
            if lives(query, (run := record.runs[run_id]).trashed_at)
        ]

    def _view(self, run: Run) -> View:
        series = self._record.series[run.id]

        def metric_of(key: str) -> float | None:
            points = series.get(key)
            return None if points is None else points.last_value

        return run_view(run, metric_of)


class MemorySeries:
    """ports.series.SeriesStore."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = record.lock

    def history(self, run_id: RunId, key: str, *, limit: int | None = None, offset: int = 0) -> list[Metric]:
        with self._lock:
            points = self._points(run_id, key)
            return points.slice(offset, limit) if points else []

    def chart(
        self,
        run_id: RunId,
        key: str,
        *,
        buckets: int = 500,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> list[Bucket]:
        with self._lock:
            points = self._points(run_id, key)
            chosen = points.between(first_step, last_step) if points else []
        return charting.chart(chosen, buckets)

    def heads(self, run_id: RunId) -> list[SeriesHead]:
        with self._lock:
            self._record.kept_run(run_id)
            series = self._record.series[run_id]
            return [SeriesHead(key=key, count=len(series[key]), last=series[key].last) for key in sorted(series)]

    def latest(self, run_ids: Sequence[RunId], key: str) -> dict[RunId, Metric]:
        with self._lock:
            held = {run_id: self._record.series.get(run_id, {}).get(key) for run_id in run_ids}
            return {run_id: points.last for run_id, points in held.items() if points is not None}

    def _points(self, run_id: RunId, key: str) -> Points | None:
        self._record.kept_run(run_id)
        return self._record.series[run_id].get(key)
