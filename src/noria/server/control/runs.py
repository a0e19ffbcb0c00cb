"""Runs over HTTP: the list with its primary metric, one run, one series. Recording is tracking/. Called by app.py."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from noria.app.workspace import Workspace
from noria.domain.bundle import Environment
from noria.domain.ids import Digest, RunId
from noria.domain.run import Metric, Run, RunStatus
from noria.errors import NotFound, StoreCorrupt
from noria.ports.blobs import BlobStore
from noria.ports.runs import RunStore
from noria.registry.lineage import causes
from noria.server.control import reading, telling
from noria.server.control.views import DatasetName, MetricPoint, MetricSeries, RunPage, RunRow, RunsPage

STRIDE = 1000
Order = Literal["metric", "newest"]


@get("/api/v1/runs", sync_to_thread=True, tags=["runs"])
def list_runs(
    workspace: NamedDependency[Workspace],
    experiment: FromQuery[str | None] = None,
    status: FromQuery[RunStatus | None] = None,
    search: Annotated[str, QueryParameter(max_length=200, description="Text in the name, a param or a tag.")] = "",
    metric: Annotated[
        str | None, QueryParameter(max_length=200, description="The metric to sort by and to star.")
    ] = None,
    order: FromQuery[Order] = "newest",
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
    offset: Annotated[int, QueryParameter(ge=0)] = 0,
) -> RunsPage:
    """Runs, newest first or best first, with the true total. The best of all that match is starred on whichever page it stands."""
    matching = [run for run in every(workspace.runs, experiment, status) if _mentions(run, search.casefold())]
    keys = {key for run in matching for key in run.metrics}
    primary = metric if metric is not None else reading.primary(keys)
    higher = reading.better(primary)
    ranked = rank(matching, primary, higher=higher)
    best = ranked[0].id if ranked and _measured(ranked[0], primary) else None
    shown = (ranked if order == "metric" else matching)[offset : offset + limit]
    versions = versions_by_run(workspace)
    names = reading.dataset_names(workspace.tables, (digest for run in shown for digest in run.datasets))
    return RunsPage(
        runs=[row(run, names, best=run.id == best, version=versions.get(run.id, "")) for run in shown],
        total=len(matching),
        limit=limit,
        offset=offset,
        primary=primary,
        better="higher" if higher else "lower",
        experiments=workspace.runs.experiments(),
        metric_keys=sorted(keys),
    )


@get("/api/v1/runs/{run_id:str}", sync_to_thread=True, tags=["runs"])
def read_run(workspace: NamedDependency[Workspace], run_id: FromPath[str]) -> RunPage:
    """Everything known of one run."""
    return page(workspace, RunId(run_id))


@get("/api/v1/runs/{run_id:str}/metrics/{key:str}", sync_to_thread=True, tags=["runs"])
def read_series(
    workspace: NamedDependency[Workspace],
    run_id: FromPath[str],
    key: FromPath[str],
    limit: Annotated[int, QueryParameter(ge=4, le=20000)] = 2000,
) -> MetricSeries:
    """One metric's points. A longer series is thinned so that every stretch keeps its lowest and highest value."""
    history = workspace.runs.history(RunId(run_id), key)
    points = [MetricPoint(step=m.step, at=m.at, value=reading.finite(m.value)) for m in thin(history, limit)]
    return MetricSeries(key=key, points=points, raw=len(history))


def every(runs: RunStore, experiment: str | None = None, status: RunStatus | None = None) -> list[Run]:
    """All matching runs, newest first, read in strides."""
    found: list[Run] = []
    while batch := runs.find(experiment=experiment, status=status, limit=STRIDE, offset=len(found)):
        found.extend(batch)
        if len(batch) < STRIDE:
            break
    return found


def rank(runs: Sequence[Run], metric: str, *, higher: bool) -> list[Run]:
    """Runs by a metric, best first; those without it (or without a number in it) come last, newest first."""
    measured = [run for run in runs if _measured(run, metric)]
    rest = [run for run in runs if not _measured(run, metric)]
    return sorted(measured, key=lambda run: run.metrics[metric], reverse=higher) + rest


def thin(history: Sequence[Metric], limit: int) -> list[Metric]:
    """At most `limit` points: per stretch the lowest and the highest, in order. Points that are no number are kept by their stretch's first."""
    if len(history) <= limit:
        return list(history)
    stretches = max(limit // 2, 1)
    kept: list[Metric] = []
    for number in range(stretches):
        stretch = history[number * len(history) // stretches : (number + 1) * len(history) // stretches]
        numbers = [index for index, point in enumerate(stretch) if point.value == point.value]
        if not numbers:
            kept.append(stretch[0])
            continue
        low, high = min(numbers, key=lambda i: stretch[i].value), max(numbers, key=lambda i: stretch[i].value)
        kept.extend(stretch[index] for index in sorted({low, high}))
    return kept


def row(run: Run, names: Mapping[str, DatasetName], *, best: bool = False, version: str = "") -> RunRow:
    """A run as the list shows it."""
    return RunRow(
        id=run.id,
        name=run.name,
        experiment=run.experiment,
        status=run.status,
        started_at=run.started_at,
        seconds=_seconds(run),
        params=run.params,
        metrics=reading.finite_all(run.metrics),
        tags=run.tags,
        datasets=[names[digest] for digest in run.datasets],
        best=best,
        version=version,
    )


def page(workspace: Workspace, run_id: RunId) -> RunPage:
    """A run as its own page shows it. Raises NotFound."""
    run = workspace.runs.get(run_id)
    return RunPage(
        id=run.id,
        name=run.name,
        experiment=run.experiment,
        status=run.status,
        started_at=run.started_at,
        finished_at=run.finished_at,
        seconds=_seconds(run),
        params=run.params,
        metrics=reading.finite_all(run.metrics),
        series=[key for key in sorted(run.metrics) if len(workspace.runs.history(run_id, key)) > 1],
        tags=run.tags,
        artifacts=list(run.artifacts),
        datasets=[reading.dataset(workspace.tables, digest) for digest in run.datasets],
        seed=run.seed,
        code=run.code,
        environment=environment(workspace.blobs, run.environment),
        error=run.error,
        parent=run.parent,
        causes=[telling.view(entry) for entry in causes(workspace.ledger, run.cause)] if run.cause else [],
        versions=[ref for run_of, ref in versions_by_run(workspace).items() if run_of == run_id],
    )


def environment(blobs: BlobStore, digest: Digest | None) -> Environment | None:
    """The recorded environment, if its document is in the store."""
    if digest is None:
        return None
    try:
        return msgspec.json.decode(blobs.get(digest), type=Environment)
    except NotFound:
        return None
    except msgspec.MsgspecError as exc:
        raise StoreCorrupt(f"the environment {digest[:19]} cannot be read", cause=str(exc)) from exc


def versions_by_run(workspace: Workspace) -> dict[str, str]:
    """Run id -> `model/number` of the version it became."""
    models = workspace.models
    return {version.run_id: version.ref for name in models.models() for version in models.versions(name)}


def _seconds(run: Run) -> float | None:
    return (run.finished_at - run.started_at).total_seconds() if run.finished_at else None


def _measured(run: Run, metric: str) -> bool:
    return metric in run.metrics and reading.finite(run.metrics[metric]) is not None


def _mentions(run: Run, text: str) -> bool:
    if not text:
        return True
    words = [run.name, run.experiment, run.id, *(f"{k}={v}" for k, v in (*run.params.items(), *run.tags.items()))]
    return any(text in word.casefold() for word in words)
