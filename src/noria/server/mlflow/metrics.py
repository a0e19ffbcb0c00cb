"""Series of metrics: whole, page by page, of several runs, and as charts need them. Logging them is recording.

MLflow's charts take every n-th step, and peaks in between are lost; here the steps are the same, and the peaks between them come along.
Called by app through ROUTES.
"""

import base64
import json
from bisect import bisect_left, bisect_right
from math import isnan

import msgspec

from noria.domain.ids import RunId
from noria.domain.run import Bucket, Metric
from noria.errors import NotFound
from noria.server.mlflow.errors import Refused
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.shapes import Point, point_of
from noria.server.mlflow.wire import Form, Int64, Unmet, array, at_most, intlike, required, string, strings

HISTORY_LIMIT = 25_000
RUNS_LIMIT = 100
CHART_LIMIT = 2500
EXACT = 5000
"""Up to so many points a series is read whole to choose from; beyond, the store's own chart is asked."""


class GetHistory(msgspec.Struct):
    """What metrics/get-history takes."""

    run_id: str | None = None
    run_uuid: str | None = None
    metric_key: str | None = None
    page_token: str | None = None
    max_results: Int64 | None = None


class GetInterval(msgspec.Struct):
    """What metrics/get-history-bulk-interval takes."""

    run_ids: list[str] | None = None
    metric_key: str | None = None
    start_step: Int64 | None = None
    end_step: Int64 | None = None
    max_results: Int64 | None = None


class HistoryAnswer(msgspec.Struct, omit_defaults=True):
    """Points of a series."""

    metrics: list[Point] = []
    next_page_token: str = ""


class BulkAnswer(msgspec.Struct):
    """Points of several runs, which say whose they are."""

    metrics: list[Point]


def _at_most_runs(value: list[str]) -> None:
    if len(value) > RUNS_LIMIT:
        raise Unmet(
            f"GetMetricHistoryBulkInterval request must specify at most {RUNS_LIMIT} run_ids. "
            f"Received {len(value)} run_ids."
        )


def _in_range(value: str | int) -> None:
    if not 1 <= int(value) <= CHART_LIMIT:
        raise Unmet(f"max_results must be between 1 and {CHART_LIMIT}.")


HISTORY = Form(
    GetHistory,
    run_id=(string, required),
    metric_key=(string, required),
    page_token=(string,),
    max_results=(intlike, at_most(2**31 - 1)),
)
INTERVAL = Form(
    GetInterval,
    run_ids=(required, array, strings, _at_most_runs),
    metric_key=(required, string),
    start_step=(intlike,),
    end_step=(intlike,),
    max_results=(intlike, _in_range),
)


def get_history(request: Request, context: Context) -> HistoryAnswer:
    """A series; in pages, if a size of page is given. Of a run that does not exist it is empty, as with MLflow's server."""
    form = HISTORY.read(request)
    offset = _offset(form.page_token)
    limit = min(form.max_results, HISTORY_LIMIT) if form.max_results else None
    run_id = RunId(form.run_id or form.run_uuid or "")
    points = _history(context, run_id, form.metric_key or "", limit=limit and limit + 1, offset=offset)
    token = ""
    if limit is not None and len(points) > limit:
        points = points[:limit]
        token = _token(offset + limit)
    return HistoryAnswer([point_of(point) for point in points], token)


def _history(context: Context, run_id: RunId, key: str, *, limit: int | None = None, offset: int = 0) -> list[Metric]:
    try:
        return context.metadata.series.history(run_id, key, limit=limit, offset=offset)
    except NotFound:
        return []


def _token(offset: int) -> str:
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def _offset(token: str | None) -> int:
    """Where a page begins. Raises Refused for what is no token."""
    if not token:
        return 0
    try:
        offset = int(json.loads(base64.b64decode(token))["offset"])
    except (ValueError, TypeError, KeyError):
        raise Refused(f"Invalid page token, could not base64-decode: {token[:80]!r}") from None
    if offset < 0:
        raise Refused(f"Invalid page token, parsed value={offset}")
    return offset


def get_bulk(request: Request, context: Context) -> BulkAnswer:
    """One series of several runs, run by run, cut at a number of points in all: a page's way, which says its limit itself."""
    run_ids = request.query.get("run_id", [])
    if not run_ids:
        raise Refused("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(run_ids) > RUNS_LIMIT:
        raise Refused(
            f"GetMetricHistoryBulk request cannot specify more than {RUNS_LIMIT} run_ids. "
            f"Received {len(run_ids)} run_ids."
        )
    if "metric_key" not in request.query:
        raise Refused("GetMetricHistoryBulk request must specify a metric_key.")
    asked = request.query.get("max_results", [str(HISTORY_LIMIT)])[0]
    if not asked.isdecimal():
        raise Refused(f"Invalid value {asked!r} for parameter 'max_results' supplied.")
    left = min(int(asked), HISTORY_LIMIT)
    found: list[Point] = []
    for run_id in sorted(set(run_ids)):
        points = _history(context, RunId(run_id), request.query["metric_key"][0], limit=left)
        found += [point_of(point, run_id) for point in points]
        left -= len(points)
        if not left:
            break
    return BulkAnswer(found)


def get_interval(request: Request, context: Context) -> HistoryAnswer:
    """One series of several runs as a chart needs it: the same steps of all, and the peaks between them."""
    form = INTERVAL.read(request)
    start, end = form.start_step, form.end_step
    if start is not None and end is not None and start > end:
        raise Refused(f"end_step must be greater than start_step. Found start_step={start} and end_step={end}.")
    if (start is None) != (end is None):
        raise Refused("If either start step or end step are specified, both must be specified.")
    run_ids, key, count = form.run_ids or [], form.metric_key or "", form.max_results or CHART_LIMIT
    series = {run_id: _history(context, RunId(run_id), key, limit=EXACT + 1) for run_id in run_ids}
    if any(len(points) > EXACT for points in series.values()):
        charts = {run_id: _chart(context, run_id, key, count=count, start=start, end=end) for run_id in run_ids}
    else:
        steps = _steps(list(series.values()), count=count, start=start, end=end)
        charts = {run_id: _sample(points, steps) for run_id, points in series.items()}
    return HistoryAnswer([point_of(point, run_id) for run_id in run_ids for point in charts[run_id]])


def _steps(series: list[list[Metric]], *, count: int, start: int | None, end: int | None) -> list[int]:
    """About `count` of all steps between two, evenly, with the first and last of each series: MLflow's choice."""
    every = sorted({point.step for points in series for point in points})
    if start is None or end is None:
        start, end = 0, every[-1] if every else 0
    low, high = bisect_left(every, start), bisect_right(every, end)
    chosen = {step for points in series if points for step in (points[0].step, points[-1].step) if start <= step <= end}
    if high - low <= count:
        return sorted(chosen.union(every[low:high]))
    interval = (high - low) / count
    chosen.update(every[low + int(place * interval)] for place in range(count))
    chosen.add(every[high - 1])
    return sorted(chosen)


def _sample(points: list[Metric], steps: list[int]) -> list[Metric]:
    """The points at these steps, and between two of them the lowest and highest where these stand out."""
    wanted = set(steps)
    found: list[Metric] = []
    between: list[Metric] = []
    before: Metric | None = None
    for point in points:
        if point.step not in wanted:
            if before is not None:
                between.append(point)
            continue
        if between and before is not None:
            found += _outstanding(between, before, point)
            between = []
        found.append(point)
        before = point
    return found


def _outstanding(points: list[Metric], before: Metric, after: Metric) -> list[Metric]:
    """Of points between two, those lowest and highest that the two do not reach. NaN never stands out."""
    numbers = [point for point in points if not isnan(point.value)]
    if not numbers:
        return []
    ends = [end.value for end in (before, after) if not isnan(end.value)]
    low, high = min(numbers, key=lambda point: point.value), max(numbers, key=lambda point: point.value)
    peaks = []
    if not ends or low.value < min(ends):
        peaks.append(low)
    if (not ends or high.value > max(ends)) and high is not low:
        peaks.append(high)
    return sorted(peaks, key=lambda point: (point.step, point.at))


def _chart(context: Context, run_id: str, key: str, *, count: int, start: int | None, end: int | None) -> list[Metric]:
    """A long series by its stretches: the first point of each, its peaks, and the very last."""
    try:
        buckets = context.metadata.series.chart(RunId(run_id), key, buckets=count, first_step=start, last_step=end)
    except NotFound:
        return []
    return [point for bucket in buckets for point in _of_bucket(bucket)] + [
        bucket.last for bucket in buckets[-1:] if bucket.count > 1
    ]


def _of_bucket(bucket: Bucket) -> list[Metric]:
    peaks = [
        point for point in (bucket.low, bucket.high) if point is not None and point not in (bucket.first, bucket.last)
    ]
    return [bucket.first, *sorted(dict.fromkeys(peaks), key=lambda point: (point.step, point.at))]


ROUTES = [
    Route("GET", "/mlflow/metrics/get-history", get_history),
    Route("GET", "/mlflow/metrics/get-history-bulk", get_bulk),
    Route("GET", "/mlflow/metrics/get-history-bulk-interval", get_interval),
]
