"""Experiments: create, get, search, rename, tag, delete, restore. A deleted experiment's name is free at once; MLflow keeps it taken.

Called by app through ROUTES, and by whoever opens or empties a store (`prepare`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from posixpath import isabs, join
from urllib.parse import urlsplit

import msgspec

from noria.domain.experiment import Experiment
from noria.domain.ids import ExperimentId
from noria.domain.query import Field, Order, Query
from noria.errors import AlreadyExists, NotFound
from noria.server.mlflow import checks, searching
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.locations import uri_of
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.shapes import KeyValue, mapping, pairs, stage
from noria.server.mlflow.wire import Form, Identifier, Int64, array, intlike, required, string, to_ms

DEFAULT = ExperimentId("0")
"""Clients that name no experiment mean this one."""
DEFAULT_NAMES = ("Default", "Default (0)")


class CreateExperiment(msgspec.Struct):
    """What experiments/create takes."""

    name: str | None = None
    artifact_location: str | None = None
    tags: list[KeyValue] | None = None


class OneExperiment(msgspec.Struct):
    """What get, delete and restore take."""

    experiment_id: Identifier | None = None


class ExperimentByName(msgspec.Struct):
    """What experiments/get-by-name takes."""

    experiment_name: str | None = None


class UpdateExperiment(msgspec.Struct):
    """What experiments/update takes."""

    experiment_id: Identifier | None = None
    new_name: str | None = None


class TagExperiment(msgspec.Struct):
    """What set-experiment-tag and delete-experiment-tag take."""

    experiment_id: Identifier | None = None
    key: str | None = None
    value: str | None = None


class SearchExperiments(msgspec.Struct):
    """What experiments/search takes."""

    max_results: Int64 | None = None
    page_token: str | None = None
    filter: str | None = None
    order_by: list[str] | None = None
    view_type: str | int | None = None


class ExperimentShape(msgspec.Struct, omit_defaults=True):
    """An experiment in the protocol's words."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    last_update_time: int
    creation_time: int
    tags: list[KeyValue] = []


class ExperimentAnswer(msgspec.Struct):
    """One experiment."""

    experiment: ExperimentShape


class ExperimentsAnswer(msgspec.Struct, omit_defaults=True):
    """A page of them."""

    experiments: list[ExperimentShape] = []
    next_page_token: str = ""


CREATE = Form(CreateExperiment, name=(required, string), artifact_location=(string,), tags=(array,))
ONE = Form(OneExperiment, experiment_id=(required, string))
BY_NAME = Form(ExperimentByName, experiment_name=(required, string))
UPDATE = Form(UpdateExperiment, experiment_id=(required, string), new_name=(string, required))
SET_TAG = Form(TagExperiment, experiment_id=(required, string), key=(required, string), value=(string,))
DELETE_TAG = Form(TagExperiment, experiment_id=(required, string), key=(required, string))
SEARCH = Form(
    SearchExperiments,
    view_type=(intlike,),
    max_results=(intlike,),
    order_by=(array,),
    filter=(string,),
    page_token=(string,),
)


def prepare(context: Context) -> None:
    """Make sure that the experiment that clients take by default exists. A store may have been emptied since."""
    root = f"{context.default_root.rstrip('/')}/{DEFAULT}" if context.default_root else ""
    for name in DEFAULT_NAMES:
        try:
            context.metadata.experiments.get(DEFAULT)
            return
        except NotFound:
            pass
        try:
            context.metadata.experiments.create(name, at=context.clock.now(), experiment_id=DEFAULT, artifact_root=root)
        except AlreadyExists:
            continue


def create(request: Request, context: Context) -> object:
    """A new experiment."""
    form = CREATE.read(request)
    prepare(context)
    name = checks.experiment_name(form.name or "")
    location = checks.location(form.artifact_location or "")
    tags = mapping(form.tags or [])
    try:
        if location or not context.default_root:
            made = context.metadata.experiments.create(
                name, at=context.clock.now(), tags=tags, artifact_root=absolute(location)
            )
        else:
            made = _below_default_root(name, tags, context)
    except AlreadyExists as error:
        raise Refused(
            f"Experiment(name={name}) already exists. Error: {error.problem}", "RESOURCE_ALREADY_EXISTS"
        ) from None
    return {"experiment_id": made.id}


def absolute(location: str) -> str:
    """A location as it is kept. A relative path is meant from the server's folder, as with MLflow's server; nothing is opened.

    >>> absolute("s3://bucket/x"), absolute("/mnt/x"), absolute("")
    ('s3://bucket/x', '/mnt/x', '')
    """
    if not location or isabs(location):
        return location
    parts = urlsplit(location)
    if not parts.scheme:
        return join(os.getcwd(), location)
    if parts.scheme == "file" and not parts.netloc and not isabs(parts.path):
        return "file://" + join(os.getcwd(), parts.path)
    return location


def _below_default_root(name: str, tags: dict[str, str], context: Context) -> Experiment:
    """An experiment whose location ends in its own id, which has to be chosen first: the next one, unless somebody was faster."""
    experiments = context.metadata.experiments
    highest = Order(field=Field(scope="attribute", key="experiment_id"), descending=True)
    newest = experiments.search(Query(order=(highest,), life="all", limit=1)).items
    number = int(newest[0].id) + 1 if newest else 1
    while True:
        holder = experiments.named(name)
        if holder is not None and holder.trashed_at is None:
            raise AlreadyExists(f"experiment '{name}' exists", remedy="choose another name")
        try:
            return experiments.create(
                name,
                at=context.clock.now(),
                tags=tags,
                artifact_root=f"{context.default_root.rstrip('/')}/{number}",
                experiment_id=ExperimentId(str(number)),
            )
        except AlreadyExists:
            number += 1


def get(request: Request, context: Context) -> ExperimentAnswer:
    """One experiment, deleted or not."""
    return ExperimentAnswer(shape_of(find(context, ONE.read(request).experiment_id)))


def get_by_name(request: Request, context: Context) -> ExperimentAnswer:
    """The experiment of a name; of several that were deleted the last."""
    name = BY_NAME.read(request).experiment_name or ""
    if name in DEFAULT_NAMES:
        prepare(context)
    found = context.metadata.experiments.named(name)
    if found is None:
        raise missing(f"Could not find experiment with name '{name}'")
    return ExperimentAnswer(shape_of(found))


def search(request: Request, context: Context) -> ExperimentsAnswer:
    """A page of experiments, newest first unless asked otherwise."""
    form = SEARCH.read(request)
    prepare(context)
    query = Query(
        where=searching.where(form.filter, "experiments"),
        order=searching.order(form.order_by, "experiments"),
        life=searching.life(form.view_type, "view_type"),
        limit=checks.max_results(form.max_results, 1000),
        after=form.page_token or "",
    )
    with searching.asked():
        page = context.metadata.experiments.search(query)
    return ExperimentsAnswer([shape_of(item) for item in page.items], page.next)


def update(request: Request, context: Context) -> None:
    """Rename it."""
    form = UPDATE.read(request)
    name = checks.experiment_name(form.new_name or "")
    experiment = find(context, form.experiment_id)
    if experiment.trashed_at is not None:
        raise Refused("Cannot rename a non-active experiment.", "INVALID_STATE")
    try:
        context.metadata.experiments.rename(experiment.id, name, at=context.clock.now())
    except AlreadyExists as error:
        raise Refused(
            f"Experiment(name={name}) already exists. Error: {error.problem}", "RESOURCE_ALREADY_EXISTS"
        ) from None


def delete(request: Request, context: Context) -> None:
    """Put it into the trash with its runs."""
    experiment = find(context, ONE.read(request).experiment_id)
    if experiment.trashed_at is not None:
        raise no_experiment(experiment.id)
    context.metadata.experiments.trash(experiment.id, at=context.clock.now())


def restore(request: Request, context: Context) -> None:
    """Take it out of the trash with the runs that went with it."""
    experiment = find(context, ONE.read(request).experiment_id)
    if experiment.trashed_at is None:
        raise no_experiment(experiment.id)
    try:
        context.metadata.experiments.trash(experiment.id, at=None)
    except AlreadyExists as error:
        raise Refused(
            f"Experiment(name={experiment.name}) already exists. Error: {error.problem}", "RESOURCE_ALREADY_EXISTS"
        ) from None


def set_tag(request: Request, context: Context) -> None:
    """Set one tag."""
    form = SET_TAG.read(request)
    key = form.key or ""
    value = checks.experiment_tag(key, form.value or "")
    experiment = active(find(context, form.experiment_id))
    context.metadata.experiments.set_tags(experiment.id, {key: value}, at=context.clock.now())


def delete_tag(request: Request, context: Context) -> None:
    """Take one tag away."""
    form = DELETE_TAG.read(request)
    key = form.key or ""
    experiment = active(find(context, form.experiment_id))
    if key not in experiment.tags:
        raise missing(f"No tag with name: {key} in experiment with id {experiment.id}")
    context.metadata.experiments.set_tags(experiment.id, {key: None}, at=context.clock.now())


def find(context: Context, experiment_id: Identifier | None) -> Experiment:
    """An experiment by its id, deleted or not; none means the default one. Raises Refused."""
    name = str(experiment_id or DEFAULT)
    if name == DEFAULT:
        prepare(context)
    with experiment_known(name):
        return context.metadata.experiments.get(ExperimentId(name))


@contextmanager
def experiment_known(experiment_id: str) -> Iterator[None]:
    """Say in MLflow's words that an experiment does not exist."""
    try:
        yield
    except NotFound:
        raise no_experiment(experiment_id) from None


def no_experiment(experiment_id: str) -> Refused:
    """MLflow's sentence for it."""
    return missing(f"No Experiment with id={experiment_id} exists")


def active(experiment: Experiment) -> Experiment:
    """An experiment that may be written to. Raises Refused."""
    if experiment.trashed_at is not None:
        raise Refused(f"The experiment {experiment.id} must be in the 'active' state. Current state is deleted.")
    return experiment


def shape_of(experiment: Experiment) -> ExperimentShape:
    """An experiment in the protocol's words."""
    return ExperimentShape(
        experiment_id=experiment.id,
        name=experiment.name,
        artifact_location=uri_of(experiment.artifact_root or experiment.id),
        lifecycle_stage=stage(experiment.trashed_at is not None),
        last_update_time=to_ms(experiment.updated_at),
        creation_time=to_ms(experiment.created_at),
        tags=pairs(experiment.tags),
    )


ROUTES = [
    Route("POST", "/mlflow/experiments/create", create),
    Route("GET", "/mlflow/experiments/get", get),
    Route("GET", "/mlflow/experiments/get-by-name", get_by_name),
    Route("POST", "/mlflow/experiments/search", search),
    Route("GET", "/mlflow/experiments/search", search),
    Route("POST", "/mlflow/experiments/update", update),
    Route("POST", "/mlflow/experiments/delete", delete),
    Route("POST", "/mlflow/experiments/restore", restore),
    Route("POST", "/mlflow/experiments/set-experiment-tag", set_tag),
    Route("POST", "/mlflow/experiments/delete-experiment-tag", delete_tag),
]
