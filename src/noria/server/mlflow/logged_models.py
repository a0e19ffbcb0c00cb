"""Logged models (MLflow 3): create, get, finalize, tag, search, delete. Noria's word is trained model; their files are artifacts' business.

Called by app through ROUTES.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from noria.domain.ids import ExperimentId, RunId, TrainedModelId, fresh
from noria.domain.query import And, Comparison, Condition, Field, Not, Or, Order, Query
from noria.domain.trained import TrainedModel, TrainedStatus
from noria.errors import AlreadyExists, Conflict, NotFound
from noria.server.mlflow import checks, searching
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.experiments import active, find
from noria.server.mlflow.names import invented
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.shapes import KeyValue, Point, home_of, mapping, pairs, point_of
from noria.server.mlflow.wire import Form, Identifier, Int64, array, intlike, invalid, required, string, strings, to_ms
from noria.wire.query_fields import ATTRIBUTES, OTHER_NAMES

STATUSES: dict[str | int, TrainedStatus] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
    1: "pending",
    2: "ready",
    3: "failed",
}
WORDS: dict[TrainedStatus, str] = {
    "pending": "LOGGED_MODEL_PENDING",
    "ready": "LOGGED_MODEL_READY",
    "failed": "LOGGED_MODEL_UPLOAD_FAILED",
}
SOURCE = "mlflow.sourceRunId"
"""The tag that keeps the id of a source run that this store does not hold; clients may name any."""
DEFAULT_RESULTS = 50


class CreateModel(msgspec.Struct):
    """What creating takes."""

    experiment_id: Identifier | None = None
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: list[KeyValue] | None = None
    tags: list[KeyValue] | None = None


class FinalizeModel(msgspec.Struct):
    """What finalizing takes."""

    model_id: str | None = None
    status: str | int | None = None


class ModelParams(msgspec.Struct):
    """What logging params takes."""

    model_id: str | None = None
    params: list[KeyValue] | None = None


class ModelTags(msgspec.Struct):
    """What setting tags takes."""

    tags: list[KeyValue] | None = None


class OnDataset(msgspec.Struct):
    """A dataset on which models were measured."""

    dataset_name: str = ""
    dataset_digest: str = ""


class OrderBy(msgspec.Struct):
    """One field to sort by."""

    field_name: str = ""
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class SearchModels(msgspec.Struct):
    """What searching takes."""

    experiment_ids: list[Identifier] | None = None
    filter: str | None = None
    datasets: list[OnDataset] | None = None
    max_results: Int64 | None = None
    order_by: list[OrderBy] | None = None
    page_token: str | None = None


class ModelInfo(msgspec.Struct, omit_defaults=True):
    """What a logged model is."""

    model_id: str
    experiment_id: str
    name: str
    creation_timestamp_ms: int
    last_updated_timestamp_ms: int
    artifact_uri: str
    status: str
    model_type: str | UnsetType = UNSET
    source_run_id: str | UnsetType = UNSET
    status_message: str | UnsetType = UNSET
    tags: list[KeyValue] = []


class ModelData(msgspec.Struct, omit_defaults=True):
    """What it was made with and measured as."""

    params: list[KeyValue] = []
    metrics: list[Point] = []


class ModelShape(msgspec.Struct):
    """A logged model, whole."""

    info: ModelInfo
    data: ModelData


class ModelAnswer(msgspec.Struct):
    """One logged model."""

    model: ModelShape


class ModelsAnswer(msgspec.Struct, omit_defaults=True):
    """A page of them."""

    models: list[ModelShape] = []
    next_page_token: str = ""


CREATE = Form(
    CreateModel,
    experiment_id=(string, required),
    name=(string,),
    model_type=(string,),
    source_run_id=(string,),
    params=(array,),
    tags=(array,),
)
FINALIZE = Form(FinalizeModel, model_id=(string, required), status=(intlike, required))
PARAMS = Form(ModelParams, model_id=(string, required), params=(array,))
TAGS = Form(ModelTags, tags=(array,))
SEARCH = Form(
    SearchModels,
    experiment_ids=(array, strings, required),
    filter=(string,),
    datasets=(array,),
    max_results=(intlike,),
    order_by=(array,),
    page_token=(string,),
)


def create(request: Request, context: Context) -> ModelAnswer:
    """Begin a logged model; its files come next, then it is finalized."""
    form = CREATE.read(request)
    name = checks.model_name(form.name or None)
    experiment_id = str(form.experiment_id or "")
    now = context.clock.now()
    model = TrainedModel(
        id=TrainedModelId(f"m-{fresh()}"),
        experiment_id=ExperimentId(experiment_id),
        name=name or invented(),
        run_id=RunId(form.source_run_id) if form.source_run_id else None,
        kind=form.model_type or "",
        created_at=now,
        updated_at=now,
        params=mapping(form.params or []),
        tags=mapping(form.tags or []),
    )
    return ModelAnswer(shape_of(_kept(model, context)))


def _kept(model: TrainedModel, context: Context) -> TrainedModel:
    """Keep a new model; one whose source run this store does not hold remembers it by a tag."""
    trained = context.metadata.trained
    try:
        return trained.create(model)
    except (NotFound, Conflict):
        active(find(context, model.experiment_id))
    try:
        return trained.create(model)  # an emptied store: it has the default experiment again now
    except NotFound:
        if model.run_id is None:
            raise
    return trained.create(replace(model, run_id=None, tags={**model.tags, SOURCE: model.run_id}))


def get(request: Request, context: Context) -> ModelAnswer:
    """One logged model; a deleted one only if it is asked for."""
    model_id = TrainedModelId(request.args["model_id"])
    if request.query.get("allow_deleted", ["false"])[0].lower() == "true":
        named = Comparison(field=Field(scope="attribute", key="model_id"), operator="=", value=model_id)
        found = context.metadata.trained.search(Query(where=named, life="all", limit=1)).items
        if not found:
            raise no_model(model_id)
        return ModelAnswer(shape_of(found[0]))
    with model_known(model_id):
        return ModelAnswer(shape_of(context.metadata.trained.get(model_id)))


def finalize(request: Request, context: Context) -> ModelAnswer:
    """Say that its files are there, or that they never will be."""
    form = FINALIZE.read(request)
    model_id = TrainedModelId(form.model_id or "")
    given = int(form.status) if isinstance(form.status, str) and form.status.isdecimal() else form.status
    status = STATUSES.get(given or "")
    if status is None:
        raise Refused(invalid("status", form.status, f"Expected one of {', '.join(WORDS.values())}."))
    with model_known(model_id):
        if status == "pending":
            return ModelAnswer(shape_of(context.metadata.trained.get(model_id)))
        return ModelAnswer(shape_of(context.metadata.trained.finish(model_id, status=status, at=context.clock.now())))


def delete(request: Request, context: Context) -> None:
    """Put it into the trash."""
    model_id = TrainedModelId(request.args["model_id"])
    with model_known(model_id):
        context.metadata.trained.trash(model_id, at=context.clock.now())


def log_params(request: Request, context: Context) -> None:
    """Add params."""
    form = PARAMS.read(request)
    model_id = TrainedModelId(form.model_id or "")
    with model_known(model_id):
        try:
            context.metadata.trained.log_params(model_id, mapping(form.params or []), at=context.clock.now())
        except AlreadyExists as error:
            raise Refused(f"Changing param values is not allowed. {error.problem}") from None


def set_tags(request: Request, context: Context) -> None:
    """Set tags."""
    model_id = TrainedModelId(request.args["model_id"])
    form = TAGS.read(request)
    with model_known(model_id):
        context.metadata.trained.set_tags(model_id, mapping(form.tags or []), at=context.clock.now())


def delete_tag(request: Request, context: Context) -> None:
    """Take a tag away."""
    model_id, key = TrainedModelId(request.args["model_id"]), request.args["key"]
    with model_known(model_id):
        if key not in context.metadata.trained.get(model_id).tags:
            raise missing(f"No tag with key {key!r} found for model with ID {model_id!r}.")
        context.metadata.trained.set_tags(model_id, {key: None}, at=context.clock.now())


def search(request: Request, context: Context) -> ModelsAnswer:
    """A page of logged models, newest first unless asked otherwise."""
    form = SEARCH.read(request)
    datasets = form.datasets or []
    if not all(dataset.dataset_name for dataset in datasets):
        raise Refused("`dataset_name` in the `datasets` clause must be specified.")
    where = searching.where(form.filter, "trained")
    measured = where is not None and _asks_metrics(where)
    query = Query(
        where=_on(where, datasets) if where is not None and datasets else where,
        order=tuple(_order(one) for one in form.order_by or []),
        experiments=tuple(ExperimentId(str(one)) for one in form.experiment_ids or ()),
        limit=checks.max_results(form.max_results or None, DEFAULT_RESULTS),
        after=form.page_token or "",
    )
    with searching.asked():
        if datasets and not measured:
            models, token = _measured_on(context, query, datasets)
        else:
            page = context.metadata.trained.search(query)
            models, token = page.items, page.next
    return ModelsAnswer([shape_of(model) for model in models], token)


def _asks_metrics(condition: Condition) -> bool:
    match condition:
        case Comparison():
            return condition.field.scope == "metric"
        case And() | Or():
            return any(map(_asks_metrics, condition.terms))
        case Not():
            return _asks_metrics(condition.term)


def _on(condition: Condition, datasets: list[OnDataset]) -> Condition:
    """A condition whose metrics count only as measured on one of these datasets."""
    match condition:
        case Comparison() if condition.field.scope == "metric":
            return Or(
                tuple(
                    replace(
                        condition,
                        field=replace(
                            condition.field, dataset=dataset.dataset_name, dataset_digest=dataset.dataset_digest
                        ),
                    )
                    for dataset in datasets
                )
            )
        case Comparison():
            return condition
        case And():
            return And(tuple(_on(term, datasets) for term in condition.terms))
        case Or():
            return Or(tuple(_on(term, datasets) for term in condition.terms))
        case Not():
            return Not(_on(condition.term, datasets))


def _measured_on(context: Context, query: Query, datasets: list[OnDataset]) -> tuple[list[TrainedModel], str]:
    """A page of those that have any measurement on one of the datasets. Its token says where in which of the index's pages it ended."""
    after, skip = _place(query.after)
    found: list[TrainedModel] = []
    while True:
        page = context.metadata.trained.search(replace(query, after=after))
        for number, model in enumerate(page.items):
            if number < skip or not _has_measurement(model, datasets):
                continue
            if len(found) == query.limit:
                return found, _token(after, number)
            found.append(model)
        if not page.next:
            return found, ""
        after, skip = page.next, 0


def _has_measurement(model: TrainedModel, datasets: list[OnDataset]) -> bool:
    return any(
        subject is not None
        and subject.dataset == dataset.dataset_name
        and dataset.dataset_digest in ("", subject.dataset_digest)
        for subject in (measured.point.subject for measured in model.metrics)
        for dataset in datasets
    )


def _token(after: str, skip: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([after, skip]).encode()).decode()


def _place(token: str) -> tuple[str, int]:
    if not token:
        return "", 0
    try:
        after, skip = json.loads(base64.urlsafe_b64decode(token))
        return str(after), int(skip)
    except (ValueError, TypeError):
        raise Refused("Invalid page token: it belongs to another search.") from None


def _order(order: OrderBy) -> Order:
    """One field to sort by. Raises Refused for one that models do not have."""
    scope, dot, key = order.field_name.partition(".")
    if dot:
        if scope != "metrics":
            raise Refused(f"Invalid order by field name: {order.field_name}. Only metrics are supported.")
        field = Field(scope="metric", key=key, dataset=order.dataset_name, dataset_digest=order.dataset_digest)
        return Order(field=field, descending=not order.ascending)
    name = OTHER_NAMES["trained"].get(order.field_name, order.field_name)
    if name not in ATTRIBUTES["trained"]:
        raise Refused(f"Invalid order by field name: {order.field_name}")
    return Order(field=Field(scope="attribute", key=name), descending=not order.ascending)


def shape_of(model: TrainedModel) -> ModelShape:
    """A logged model in the protocol's words."""
    tags = dict(model.tags)
    source = model.run_id or tags.pop(SOURCE, "")
    return ModelShape(
        info=ModelInfo(
            model_id=model.id,
            experiment_id=model.experiment_id,
            name=model.name,
            creation_timestamp_ms=to_ms(model.created_at),
            last_updated_timestamp_ms=to_ms(model.updated_at),
            artifact_uri=home_of(model.artifact_root, f"/models/{model.id}/artifacts"),
            status=WORDS[model.status],
            model_type=model.kind or UNSET,
            source_run_id=source or UNSET,
            status_message=model.status_message or UNSET,
            tags=pairs(tags),
        ),
        data=ModelData(
            params=pairs(model.params),
            metrics=[point_of(measured.point, measured.run_id) for measured in model.metrics],
        ),
    )


@contextmanager
def model_known(model_id: str) -> Iterator[None]:
    """Say in MLflow's words that a logged model does not exist."""
    try:
        yield
    except NotFound:
        raise no_model(model_id) from None


def no_model(model_id: str) -> Refused:
    """MLflow's sentence for it."""
    return missing(f"Logged model with ID '{model_id}' not found.")


ROUTES = [
    Route("POST", "/mlflow/logged-models", create),
    Route("POST", "/mlflow/logged-models/search", search),
    Route("GET", "/mlflow/logged-models/{model_id}", get),
    Route("PATCH", "/mlflow/logged-models/{model_id}", finalize),
    Route("DELETE", "/mlflow/logged-models/{model_id}", delete),
    Route("PATCH", "/mlflow/logged-models/{model_id}/tags", set_tags),
    Route("DELETE", "/mlflow/logged-models/{model_id}/tags/{key:path}", delete_tag),
    Route("POST", "/mlflow/logged-models/{model_id}/params", log_params),
]
