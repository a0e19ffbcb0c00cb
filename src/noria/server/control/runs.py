"""Runs over HTTP: the list with its primary metric, one run, one series. Recording is tracking/. Called by app.py."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from noria.app.workspace import Workspace
from noria.domain import query as q
from noria.domain.bundle import Environment
from noria.domain.ids import Digest, ExperimentId, RunId
from noria.domain.run import Bucket, Run, RunStatus
from noria.errors import NotFound, StoreCorrupt
from noria.ports.blobs import BlobStore
from noria.ports.experiments import ExperimentStore
from noria.ports.index import RunIndex
from noria.ports.models import ModelStore
from noria.ports.series import SeriesStore
from noria.registry.lineage import causes
from noria.server.control import reading, telling
from noria.server.control.views import DatasetName, MetricPoint, MetricSeries, RunName, RunPage, RunRow, RunsPage
from noria.wire.query import parse_filter, parse_order

STRIDE = 1000
MOST_CHILDREN = 100
PARENT_TAGS = ("noria.parent", "mlflow.parentRunId")
"""By which Noria's own recorder, and clients of MLflow's protocol, say within which run another one is."""
NOTE_TAGS = ("noria.note", "mlflow.note.content")
LARGEST = sys.float_info.max


@get("/api/v1/runs", sync_to_thread=True, tags=["runs"])
def list_runs(
    workspace: NamedDependency[Workspace],
    experiment: FromQuery[str | None] = None,
    status: FromQuery[RunStatus | None] = None,
    search: Annotated[str, QueryParameter(max_length=200, description="Text in the name, a param or a tag.")] = "",
    metric: Annotated[
        str | None, QueryParameter(max_length=200, description="The metric to sort by and to star.")
    ] = None,
    where: Annotated[
        str, QueryParameter(max_length=20_000, description="A filter, as docs/reference/query.md says it.")
    ] = "",
    order: Annotated[
        str, QueryParameter(max_length=2000, description="'newest', 'metric' (best first), or fields as in query.md.")
    ] = "newest",
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
    offset: Annotated[int, QueryParameter(ge=0)] = 0,
) -> RunsPage:
    """Runs in an order, by default newest first, with the true total. The best of all that match is starred on whichever page it stands."""
    index = workspace.index
    terms = asked(experiment, status, search, where)
    experiments = names(workspace.experiments)
    within = None if experiment is None else [found for name, found in experiments.items() if name == experiment]
    keys = index.keys(within).metrics
    primary = metric if metric is not None else reading.primary(keys)
    higher = reading.better(primary)
    query = q.Query(where=q.And(terms), order=ordered(order, primary, higher=higher), limit=limit, skip=offset)
    shown = index.search(query).items
    first = shown[0] if shown and order == "metric" and offset == 0 else None
    if first is not None and reading.finite(first.metrics.get(primary, math.nan)) is not None:
        best: RunId | None = first.id
    else:
        best = best_of(index, terms, primary, higher=higher)
    versions = versions_by_run(workspace.models, [run.id for run in shown])
    tables = reading.dataset_names(workspace.tables, (digest for run in shown for digest in run.datasets))
    return RunsPage(
        runs=[row(run, tables, best=run.id == best, version=versions.get(run.id, "")) for run in shown],
        total=index.count(query),
        limit=limit,
        offset=offset,
        primary=primary,
        better="higher" if higher else "lower",
        experiments=sorted(experiments),
        metric_keys=keys,
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
    limit: Annotated[int, QueryParameter(ge=4, le=20000)] = 500,
) -> MetricSeries:
    """One metric's points. Of a longer series, stretches: each by its last point, with its lowest and highest number beside it."""
    points, raw = curve(workspace.series, RunId(run_id), key, limit=limit)
    return MetricSeries(key=key, points=points, raw=raw)


def asked(experiment: str | None, status: RunStatus | None, search: str, where: str) -> tuple[q.Condition, ...]:
    """What the list is narrowed to, as conditions that all hold. Raises QueryInvalid."""
    given = (("experiment", experiment), ("status", status))
    terms: list[q.Condition] = [
        q.Comparison(field=q.Field(scope="attribute", key=key), operator="=", value=value)
        for key, value in given
        if value is not None
    ]
    if search:
        # In a pattern % and _ stand for any text; somebody who types them into the box finds a little more.
        text = q.Field(scope="attribute", key="text")
        terms.append(q.Comparison(field=text, operator="ilike", value=f"%{search}%"))
    condition = parse_filter(where, kind="runs")
    return (*terms, condition) if condition is not None else tuple(terms)


def ordered(order: str, primary: str, *, higher: bool) -> tuple[q.Order, ...]:
    """What the list is sorted by. Raises QueryInvalid."""
    if order == "newest" or (order == "metric" and not primary):
        return ()
    return by_metric(primary, higher=higher) if order == "metric" else parse_order(order, kind="runs")


def by_metric(metric: str, *, higher: bool) -> tuple[q.Order, ...]:
    """Best first."""
    return (q.Order(field=q.Field(scope="metric", key=metric), descending=higher),)


def best_of(index: RunIndex, terms: tuple[q.Condition, ...], metric: str, *, higher: bool) -> RunId | None:
    """The run with the best finite number in a metric, of those that fulfil some conditions."""
    if not metric:
        return None
    field = q.Field(scope="metric", key=metric)
    finite = (
        q.Comparison(field=field, operator=">=", value=-LARGEST),
        q.Comparison(field=field, operator="<=", value=LARGEST),
    )
    found = index.search(q.Query(where=q.And((*terms, *finite)), order=by_metric(metric, higher=higher), limit=1))
    return found.items[0].id if found.items else None


def names(experiments: ExperimentStore) -> dict[str, ExperimentId]:
    """Every experiment that is not in the trash, by name."""
    found: dict[str, ExperimentId] = {}
    query = q.Query(limit=STRIDE)
    while True:
        page = experiments.search(query)
        found.update((experiment.name, experiment.id) for experiment in page.items)
        if not page.next:
            return found
        query = q.Query(limit=STRIDE, after=page.next)


def curve(series: SeriesStore, run_id: RunId, key: str, *, limit: int) -> tuple[list[MetricPoint], int]:
    """At most `limit` points of a series as a chart draws them, and how many there are. No peak is left out."""
    buckets = series.chart(run_id, key, buckets=limit)
    raw = sum(bucket.count for bucket in buckets)
    return [_drawn(bucket, whole=raw <= limit) for bucket in buckets], raw


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
    parent = run.parent or next((run.tags[tag] for tag in PARENT_TAGS if tag in run.tags), None)
    children, children_total = _children(workspace, run_id)
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
        series=[head.key for head in workspace.series.heads(run_id) if head.count > 1],
        tags=run.tags,
        artifacts=list(run.artifacts),
        datasets=[reading.dataset(workspace.tables, digest) for digest in run.datasets],
        seed=run.seed,
        code=run.code,
        environment=environment(workspace.blobs, run.environment),
        error=run.error,
        parent=parent,
        parent_name=_name(workspace, parent),
        causes=[telling.view(entry) for entry in causes(workspace.ledger, run.cause)] if run.cause else [],
        versions=list(versions_by_run(workspace.models, [run_id]).values()),
        user=run.user,
        note=next((run.tags[tag] for tag in NOTE_TAGS if tag in run.tags), ""),
        artifact_root=run.artifact_root,
        inputs=list(run.inputs),
        children=children,
        children_total=children_total,
        trashed_at=run.trashed_at,
    )


def _children(workspace: Workspace, run_id: RunId) -> tuple[list[RunName], int]:
    """Runs that say this one is their parent, newest first, and how many there are. A tag at a time: each is found by its index."""
    found: dict[RunId, Run] = {}
    total = 0
    for tag in PARENT_TAGS:
        named = _has(tag, run_id)
        others = [q.Not(_has(other, run_id)) for other in PARENT_TAGS[: PARENT_TAGS.index(tag)]]
        asked = q.Query(where=q.And((named, *others)) if others else named, limit=MOST_CHILDREN)
        found |= {run.id: run for run in workspace.index.search(asked).items}
        total += workspace.index.count(asked)
    newest = sorted(found.values(), key=lambda run: run.started_at, reverse=True)[:MOST_CHILDREN]
    return [RunName(id=run.id, name=run.name, status=run.status) for run in newest], total


def _has(tag: str, run_id: RunId) -> q.Comparison:
    """That a run names another as its parent by this tag."""
    return q.Comparison(field=q.Field(scope="tag", key=tag), operator="=", value=str(run_id))


def _name(workspace: Workspace, run_id: str | None) -> str:
    """A run's name, if there is such a run."""
    if run_id is None:
        return ""
    try:
        return workspace.runs.get(RunId(run_id)).name
    except NotFound:
        return ""


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


def versions_by_run(models: ModelStore, run_ids: Sequence[RunId]) -> dict[str, str]:
    """Run id -> `model/number` of the newest version it became, for those of these runs that became one."""
    found: dict[str, str] = {}
    if not run_ids:
        return found
    of_these = q.Comparison(field=q.Field(scope="attribute", key="run_id"), operator="in", value=tuple(run_ids))
    query = q.Query(where=of_these, limit=STRIDE)
    while True:
        page = models.search(query)
        for version in page.items:
            found.setdefault(version.run_id or "", version.ref)
        if not page.next:
            return found
        query = q.Query(where=of_these, limit=STRIDE, after=page.next)


def _drawn(bucket: Bucket, *, whole: bool) -> MetricPoint:
    low, high = (None if whole or point is None else reading.finite(point.value) for point in (bucket.low, bucket.high))
    last = bucket.last
    return MetricPoint(step=last.step, at=last.at, value=reading.finite(last.value), low=low, high=high)


def _seconds(run: Run) -> float | None:
    return (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
