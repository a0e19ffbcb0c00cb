"""Runs: create, get, update, delete, restore, search. What is logged to them is recording, what they read and brought forth lineage.

Called by app through ROUTES.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from noria.domain.ids import ExperimentId, RunId, fresh
from noria.domain.query import Query
from noria.domain.run import Metric, Run, RunStatus
from noria.errors import Conflict, NotFound
from noria.server.mlflow import checks, searching
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.experiments import DEFAULT, active, find
from noria.server.mlflow.names import invented
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.shapes import (
    NUMBERED,
    PARENT,
    RUN_NAME,
    STATUS,
    KeyValue,
    RunAnswer,
    RunInfo,
    RunShape,
    info_of,
    mapping,
    shape_of,
)
from noria.server.mlflow.wire import (
    Form,
    Identifier,
    Int64,
    array,
    at_most,
    from_ms,
    intlike,
    invalid,
    required,
    string,
    strings,
)

UNDER_WAY = ("running", "scheduled")
DEFAULT_RESULTS = 1000


class CreateRun(msgspec.Struct):
    """What runs/create takes."""

    experiment_id: Identifier | None = None
    user_id: str | None = None
    run_name: str | None = None
    start_time: Int64 | None = None
    tags: list[KeyValue] | None = None


class OneRun(msgspec.Struct):
    """What get, delete and restore take."""

    run_id: str | None = None
    run_uuid: str | None = None


class UpdateRun(msgspec.Struct):
    """What runs/update takes."""

    run_id: str | None = None
    run_uuid: str | None = None
    status: str | int | None = None
    end_time: Int64 | None = None
    run_name: str | None = None


class SearchRuns(msgspec.Struct):
    """What runs/search takes."""

    experiment_ids: list[Identifier] | None = None
    filter: str | None = None
    run_view_type: str | int | None = None
    max_results: Int64 | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class InfoAnswer(msgspec.Struct):
    """What a run has become."""

    run_info: RunInfo


class RunsAnswer(msgspec.Struct, omit_defaults=True):
    """A page of runs."""

    runs: list[RunShape] = []
    next_page_token: str = ""


CREATE = Form(CreateRun, experiment_id=(string,), start_time=(intlike,), run_name=(string,))
ONE = Form(OneRun, run_id=(required, string))
UPDATE = Form(UpdateRun, run_id=(required, string), end_time=(intlike,), status=(string,), run_name=(string,))
SEARCH = Form(
    SearchRuns,
    experiment_ids=(array,),
    filter=(string,),
    max_results=(intlike, at_most(checks.RESULTS_LIMIT)),
    order_by=(array, strings),
)


def create(request: Request, context: Context) -> RunAnswer:
    """Begin a run; without a name it gets one."""
    form = CREATE.read(request)
    experiment_id = str(form.experiment_id or DEFAULT)
    tags = mapping(form.tags or [])
    tagged_name = tags.pop(RUN_NAME, "")
    if form.run_name and tagged_name and form.run_name != tagged_name:
        active(find(context, experiment_id))
        raise Refused(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{form.run_name}', mlflow.runName='{tagged_name}')."
        )
    run = Run(
        id=RunId(fresh()),
        experiment="",
        experiment_id=ExperimentId(experiment_id),
        name=form.run_name or tagged_name or invented(),
        status="running",
        started_at=context.clock.now() if form.start_time is None else from_ms(form.start_time, "start_time"),
        tags=tags,
        user=form.user_id or "",
        parent=RunId(tags[PARENT]) if tags.get(PARENT) else None,
    )
    try:
        return RunAnswer(shape_of(context.metadata.runs.create(run), ()))
    except (NotFound, Conflict) as error:
        active(find(context, experiment_id))
        if isinstance(error, NotFound) and experiment_id == DEFAULT:  # an emptied store: it has it again now
            return RunAnswer(shape_of(context.metadata.runs.create(run), ()))
        raise


def get(request: Request, context: Context) -> RunAnswer:
    """A run, deleted or not, with the last point of each metric."""
    form = ONE.read(request)
    run = find_run(context, form.run_id or form.run_uuid or "")
    heads = context.metadata.series.heads(run.id) if run.metrics else []
    return RunAnswer(shape_of(run, [head.last for head in heads]))


def update(request: Request, context: Context) -> InfoAnswer:
    """End a run, resume it, rename it, correct its end."""
    form = UPDATE.read(request)
    run = active_run(find_run(context, form.run_id or form.run_uuid or ""))
    status = _status(form.status)
    end = None if form.end_time is None else from_ms(form.end_time, "end_time")
    runs = context.metadata.runs
    with run_writable(context, run.id):
        if status is not None and status not in UNDER_WAY and run.status in UNDER_WAY:
            run = runs.finish(run.id, status=status, at=end or context.clock.now())
        elif status is not None or end is not None:
            run = runs.amend(run.id, status=status, finished_at=None if status in UNDER_WAY else end)
        if form.run_name:
            run = runs.amend(run.id, name=form.run_name)
    return InfoAnswer(info_of(run))


def _status(status: str | int | None) -> RunStatus | None:
    if status is None:
        return None
    if isinstance(status, int) or status.isdecimal():
        number = int(status)
        found = NUMBERED[number - 1] if 1 <= number <= len(NUMBERED) else None
    else:
        found = STATUS.get(status)
    if found is None:
        raise Refused(invalid("status", status, f"Expected one of {', '.join(STATUS)}."))
    return found


def delete(request: Request, context: Context) -> None:
    """Put a run into the trash."""
    run_id = RunId(ONE.read(request).run_id or "")
    with run_known(run_id):
        context.metadata.runs.trash([run_id], at=context.clock.now())


def restore(request: Request, context: Context) -> None:
    """Take a run out of the trash."""
    run_id = RunId(ONE.read(request).run_id or "")
    with run_known(run_id):
        context.metadata.runs.trash([run_id], at=None)


def search(request: Request, context: Context) -> RunsAnswer:
    """A page of runs, newest first unless asked otherwise."""
    form = SEARCH.read(request)
    query = Query(
        where=searching.where(form.filter, "runs"),
        order=searching.order(form.order_by, "runs"),
        experiments=tuple(ExperimentId(str(one)) for one in form.experiment_ids or ()),
        life=searching.life(form.run_view_type, "run_view_type"),
        limit=checks.max_results(form.max_results, DEFAULT_RESULTS),
        after=form.page_token or "",
    )
    with searching.asked():
        page = context.metadata.index.search(query)
    points = _last_points(context, page.items)
    return RunsAnswer([shape_of(run, points[run.id]) for run in page.items], page.next)


def _last_points(context: Context, runs: list[Run]) -> dict[RunId, list[Metric]]:
    """The last point of each series of some runs: one question a key, however many runs there are."""
    holders: dict[str, list[RunId]] = {}
    for run in runs:
        for key in run.metrics:
            holders.setdefault(key, []).append(run.id)
    found: dict[RunId, list[Metric]] = {run.id: [] for run in runs}
    for key, run_ids in holders.items():
        for run_id, point in context.metadata.series.latest(run_ids, key).items():
            found[run_id].append(point)
    return found


def find_run(context: Context, run_id: str) -> Run:
    """A run by its id, deleted or not. Raises Refused."""
    with run_known(run_id):
        return context.metadata.runs.get(RunId(run_id))


def active_run(run: Run) -> Run:
    """A run that may be written to. Raises Refused."""
    if run.trashed_at is not None:
        raise Refused(f"The run {run.id} must be in the 'active' state. Current state is deleted.")
    return run


@contextmanager
def run_known(run_id: str) -> Iterator[None]:
    """Say in MLflow's words that a run does not exist."""
    try:
        yield
    except NotFound:
        raise no_run(run_id) from None


@contextmanager
def run_writable(context: Context, run_id: str) -> Iterator[None]:
    """Say in MLflow's words that a run does not exist or is deleted; what else is wrong stays as it is said."""
    try:
        yield
    except (NotFound, Conflict):
        active_run(find_run(context, run_id))
        raise


def no_run(run_id: str) -> Refused:
    """MLflow's sentence for it."""
    return missing(f"Run with id={run_id} not found")


ROUTES = [
    Route("POST", "/mlflow/runs/create", create),
    Route("GET", "/mlflow/runs/get", get),
    Route("POST", "/mlflow/runs/update", update),
    Route("POST", "/mlflow/runs/delete", delete),
    Route("POST", "/mlflow/runs/restore", restore),
    Route("POST", "/mlflow/runs/search", search),
]
