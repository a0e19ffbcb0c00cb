"""What the ports of the record share in memory: runs, experiments, trained models and points, under the one lock."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import lt
from threading import RLock

from msgspec.structs import replace

from noria.adapters.metadata import rules_runs as rules
from noria.adapters.metadata.memory.artifacts import MemoryArtifacts
from noria.adapters.metadata.memory.feed import MemoryFeed
from noria.adapters.metadata.rules import bits_float, moment
from noria.adapters.metadata.rules_trained import measurement_key
from noria.domain.experiment import Experiment
from noria.domain.ids import ExperimentId, RunId
from noria.domain.run import Artifact, Metric, Run
from noria.domain.trained import Measurement, TrainedModel
from noria.wire.metrics import MetricColumns
from noria.wire.points import Point, floats


class Points:
    """One series: ordered and without repetitions. Points mostly come in order, so a new one is mostly put at the end."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._held: set[Point] = set()
        self._order: list[Point] = []

    def add(self, points: Sequence[Point]) -> None:
        """Keep points; what is there already stays."""
        if all(map(lt, [*self._order[-1:], *points], points)) if self._order else all(map(lt, points, points[1:])):
            self._order += points
        else:
            self._order = sorted(self._held.union(points))
        self._held.update(points)

    def __len__(self) -> int:
        return len(self._order)

    def slice(self, offset: int = 0, limit: int | None = None) -> list[Metric]:
        """Some points, in order."""
        first = max(offset, 0)
        return self._nouns(self._order[first : None if limit is None else first + max(limit, 0)])

    def between(self, first_step: int | None, last_step: int | None) -> list[Metric]:
        """The points of some steps, both inclusive, in order."""
        first = 0 if first_step is None else bisect_left(self._order, first_step, key=_step)
        end = len(self._order) if last_step is None else bisect_right(self._order, last_step, key=_step)
        return self._nouns(self._order[first:end])

    @property
    def last(self) -> Metric:
        """The last point of all."""
        return self._nouns(self._order[-1:])[0]

    @property
    def last_value(self) -> float:
        """The value of the last point."""
        return bits_float(self._order[-1][2])

    def _nouns(self, points: Sequence[Point]) -> list[Metric]:
        values = floats([bits for _, _, bits in points])
        return [
            Metric(key=self._key, value=value, step=step, at=moment(at))
            for (step, at, _), value in zip(points, values, strict=True)
        ]


def _step(point: Point) -> int:
    return point[0]


class Record:
    """The state. Whoever calls a method holds `lock`."""

    def __init__(self, lock: RLock, *, feed: MemoryFeed, artifacts: MemoryArtifacts) -> None:
        self.lock = lock
        self.feed = feed
        self.artifacts = artifacts
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self.experiments: dict[str, Experiment] = {}
        self.names: dict[str, ExperimentId] = {}  # of those that are not in the trash
        self.ids_given: set[str] = set()
        self.highest_id = 0
        self.runs: dict[str, Run] = {}
        self.made: dict[str, Run] = {}
        self.of_experiment: dict[str, dict[RunId, None]] = {}
        self.went_along: set[RunId] = set()  # into the trash with their experiment
        self.series: dict[str, dict[str, Points]] = {}
        self.trained: dict[str, TrainedModel] = {}
        self.trained_made: dict[str, TrainedModel] = {}
        self.measured: dict[str, dict[tuple[str, str, str, int, int, int, str], Measurement]] = {}

    def experiment(self, experiment_id: str) -> Experiment:
        """One experiment. Raises NotFound."""
        if experiment_id not in self.experiments:
            raise rules.missing_experiment(experiment_id)
        return self.experiments[experiment_id]

    def add_experiment(self, experiment: Experiment) -> Experiment:
        """Keep a new experiment whose id and name are free, and tell of it."""
        self.experiments[experiment.id] = experiment
        self.names[experiment.name] = experiment.id
        self.ids_given.add(experiment.id)
        self.highest_id = max(self.highest_id, int(experiment.id))
        self.of_experiment[experiment.id] = {}
        self.feed.tell(rules.experiment_change("experiment.created", experiment, at=experiment.created_at))
        return experiment

    def next_experiment_id(self) -> ExperimentId:
        """The number after the highest that was ever given."""
        return ExperimentId(str(self.highest_id + 1))

    def run(self, run_id: str) -> Run:
        """A run with the last values of its series, without its artifacts. Raises NotFound."""
        run = self.kept_run(run_id)
        return replace(run, metrics={key: points.last_value for key, points in self.series[run_id].items()})

    def kept_run(self, run_id: str) -> Run:
        """A run as it is kept, without metrics and artifacts. Raises NotFound."""
        if run_id not in self.runs:
            raise rules.missing_run(run_id)
        return self.runs[run_id]

    def files(self, root: str) -> tuple[Artifact, ...]:
        """The files below a root, by their path in it."""
        if rules.is_foreign(root):
            return ()
        start = len(root) + 1
        return tuple(replace(file, path=file.path[start:]) for file in self.artifacts.under(root))

    def add_points(self, run_id: RunId, points: MetricColumns) -> None:
        """Keep points that were checked, and what they say of trained models."""
        series = self.series[run_id]
        for key, some in points.by_key().items():
            if key not in series:
                series[key] = Points(key)
            series[key].add(some)
        for point in points.measuring():
            if point.subject is not None:
                measured = Measurement(run_id=run_id, point=point)
                self.measured[point.subject.model_id].setdefault(measurement_key(measured), measured)

    def forget_run(self, run_id: RunId) -> None:
        """Drop a run with its points, measurements and files."""
        run = self.runs.pop(run_id)
        del self.made[run_id], self.series[run_id], self.of_experiment[run.experiment_id][run_id]
        self.went_along.discard(run_id)
        for measured in self.measured.values():
            for key in [key for key, each in measured.items() if each.run_id == run_id]:
                del measured[key]
        self.forget_files(run.artifact_root)

    def forget_trained(self, model_id: str) -> None:
        """Drop a trained model with its measurements and files."""
        model = self.trained.pop(model_id)
        del self.trained_made[model_id], self.measured[model_id]
        self.forget_files(model.artifact_root)

    def forget_files(self, root: str) -> None:
        """Drop what stands below a root of this store."""
        if not rules.is_foreign(root):
            self.artifacts.delete(root)
