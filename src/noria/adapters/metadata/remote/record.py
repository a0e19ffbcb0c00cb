"""The ports of the record over HTTP: runs, index, series, experiments, trained models and files. How a call is made is server.py."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import cast

from noria.adapters.metadata.remote.server import Server
from noria.domain.experiment import Experiment
from noria.domain.ids import Digest, ExperimentId, RunId, TrainedModelId
from noria.domain.query import Page, Query
from noria.domain.run import (
    Artifact,
    Bucket,
    DatasetUse,
    Metric,
    ModelLink,
    ParamValue,
    Run,
    RunBatch,
    RunKeys,
    RunStatus,
    SeriesHead,
)
from noria.domain.trained import TrainedModel, TrainedStatus

_FIRST, _LAST = -(2**63), 2**63 - 1


class RemoteRuns:
    """ports.runs.RunStore."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(self, run: Run) -> Run:
        return cast(Run, self._server.call("runs.create", run=run))

    def get(self, run_id: RunId) -> Run:
        return cast(Run, self._server.call("runs.get", run_id=run_id))

    def log(self, batch: RunBatch) -> None:
        self._server.call("runs.log", batch=batch)

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        self._server.call("runs.log_params", run_id=run_id, params=dict(params))

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        self._server.call("runs.log_metrics", run_id=run_id, points=points)

    def set_tags(self, run_id: RunId, tags: Mapping[str, str | None]) -> None:
        self._server.call("runs.set_tags", run_id=run_id, tags=dict(tags))

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        self._server.call("runs.add_artifacts", run_id=run_id, artifacts=list(artifacts))

    def link(
        self,
        run_id: RunId,
        *,
        inputs: Sequence[DatasetUse] = (),
        models_in: Sequence[ModelLink] = (),
        models_out: Sequence[ModelLink] = (),
    ) -> None:
        self._server.call(
            "runs.link", run_id=run_id, inputs=list(inputs), models_in=list(models_in), models_out=list(models_out)
        )

    def finish(self, run_id: RunId, *, status: RunStatus, at: datetime, error: str = "") -> Run:
        return cast(Run, self._server.call("runs.finish", run_id=run_id, status=status, at=at, error=error))

    def amend(
        self,
        run_id: RunId,
        *,
        name: str | None = None,
        status: RunStatus | None = None,
        finished_at: datetime | None = None,
    ) -> Run:
        answer = self._server.call("runs.amend", run_id=run_id, name=name, status=status, finished_at=finished_at)
        return cast(Run, answer)

    def trash(self, run_ids: Sequence[RunId], *, at: datetime | None) -> None:
        self._server.call("runs.trash", run_ids=list(run_ids), at=at)

    def purge(self, run_ids: Sequence[RunId]) -> int:
        return cast(int, self._server.call("runs.purge", run_ids=list(run_ids)))


class RemoteIndex:
    """ports.index.RunIndex."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def search(self, query: Query) -> Page[Run]:
        return cast(Page[Run], self._server.call("index.search", query=query))

    def count(self, query: Query) -> int:
        return cast(int, self._server.call("index.count", query=query))

    def keys(self, experiments: Sequence[ExperimentId] | None = None) -> RunKeys:
        chosen = None if experiments is None else list(experiments)
        return cast(RunKeys, self._server.call("index.keys", experiments=chosen))


class RemoteSeries:
    """ports.series.SeriesStore."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def history(self, run_id: RunId, key: str, *, limit: int | None = None, offset: int = 0) -> list[Metric]:
        answer = self._server.call("series.history", run_id=run_id, key=key, limit=limit, offset=offset)
        return cast(list[Metric], answer)

    def chart(
        self,
        run_id: RunId,
        key: str,
        *,
        buckets: int = 500,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> list[Bucket]:
        if (first_step or 0) > _LAST or (last_step or 0) < _FIRST:
            first_step, last_step = _LAST, _FIRST  # what crosses has 64 bits; between these two there is nothing
        answer = self._server.call(
            "series.chart",
            run_id=run_id,
            key=key,
            buckets=buckets,
            first_step=None if first_step is None else max(first_step, _FIRST),
            last_step=None if last_step is None else min(last_step, _LAST),
        )
        return cast(list[Bucket], answer)

    def heads(self, run_id: RunId) -> list[SeriesHead]:
        return cast(list[SeriesHead], self._server.call("series.heads", run_id=run_id))

    def latest(self, run_ids: Sequence[RunId], key: str) -> dict[RunId, Metric]:
        return cast(dict[RunId, Metric], self._server.call("series.latest", run_ids=list(run_ids), key=key))


class RemoteExperiments:
    """ports.experiments.ExperimentStore."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(
        self,
        name: str,
        *,
        at: datetime,
        tags: Mapping[str, str] | None = None,
        artifact_root: str = "",
        experiment_id: ExperimentId | None = None,
    ) -> Experiment:
        answer = self._server.call(
            "experiments.create",
            name=name,
            at=at,
            tags=None if tags is None else dict(tags),
            artifact_root=artifact_root,
            experiment_id=experiment_id,
        )
        return cast(Experiment, answer)

    def get(self, experiment_id: ExperimentId) -> Experiment:
        return cast(Experiment, self._server.call("experiments.get", experiment_id=experiment_id))

    def named(self, name: str) -> Experiment | None:
        return cast(Experiment | None, self._server.call("experiments.named", name=name))

    def search(self, query: Query) -> Page[Experiment]:
        return cast(Page[Experiment], self._server.call("experiments.search", query=query))

    def count(self, query: Query) -> int:
        return cast(int, self._server.call("experiments.count", query=query))

    def rename(self, experiment_id: ExperimentId, name: str, *, at: datetime) -> Experiment:
        answer = self._server.call("experiments.rename", experiment_id=experiment_id, name=name, at=at)
        return cast(Experiment, answer)

    def set_tags(self, experiment_id: ExperimentId, tags: Mapping[str, str | None], *, at: datetime) -> None:
        self._server.call("experiments.set_tags", experiment_id=experiment_id, tags=dict(tags), at=at)

    def trash(self, experiment_id: ExperimentId, *, at: datetime | None) -> None:
        self._server.call("experiments.trash", experiment_id=experiment_id, at=at)

    def purge(self, experiment_id: ExperimentId) -> int:
        return cast(int, self._server.call("experiments.purge", experiment_id=experiment_id))


class RemoteTrained:
    """ports.trained.TrainedModelStore."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(self, model: TrainedModel) -> TrainedModel:
        return cast(TrainedModel, self._server.call("trained.create", model=model))

    def get(self, model_id: TrainedModelId) -> TrainedModel:
        return cast(TrainedModel, self._server.call("trained.get", model_id=model_id))

    def search(self, query: Query) -> Page[TrainedModel]:
        return cast(Page[TrainedModel], self._server.call("trained.search", query=query))

    def finish(
        self, model_id: TrainedModelId, *, status: TrainedStatus, at: datetime, message: str = ""
    ) -> TrainedModel:
        answer = self._server.call("trained.finish", model_id=model_id, status=status, at=at, message=message)
        return cast(TrainedModel, answer)

    def set_tags(self, model_id: TrainedModelId, tags: Mapping[str, str | None], *, at: datetime) -> None:
        self._server.call("trained.set_tags", model_id=model_id, tags=dict(tags), at=at)

    def log_params(self, model_id: TrainedModelId, params: Mapping[str, str], *, at: datetime) -> None:
        self._server.call("trained.log_params", model_id=model_id, params=dict(params), at=at)

    def trash(self, model_id: TrainedModelId, *, at: datetime | None) -> None:
        self._server.call("trained.trash", model_id=model_id, at=at)

    def purge(self, model_id: TrainedModelId) -> int:
        return cast(int, self._server.call("trained.purge", model_id=model_id))


class RemoteArtifacts:
    """ports.artifacts.ArtifactIndex."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def put(self, artifacts: Sequence[Artifact]) -> None:
        self._server.call("artifacts.put", artifacts=list(artifacts))

    def get(self, path: str) -> Artifact:
        return cast(Artifact, self._server.call("artifacts.get", path=path))

    def under(self, folder: str, *, limit: int | None = None, after: str = "") -> list[Artifact]:
        answer = self._server.call("artifacts.under", folder=folder, limit=limit, after=after)
        return cast(list[Artifact], answer)

    def children(self, folder: str) -> list[tuple[str, Artifact | None]]:
        return cast(list[tuple[str, Artifact | None]], self._server.call("artifacts.children", folder=folder))

    def delete(self, path: str) -> int:
        return cast(int, self._server.call("artifacts.delete", path=path))

    def digests(self) -> Iterator[Digest]:
        return self._server.stream("artifacts.digests")
