"""Model versions of MLflow's protocol: registered from a run, a trained model, another version or any URI; staged, tagged, searched, deleted.

Meaning (numbers, semantic versions, lineage) is registry/. Stages live only here, as reserved tags.
"""

import json
import os
import re

import msgspec

from noria.domain.ids import RunId, TrainedModelId
from noria.domain.model import ModelVersion
from noria.domain.query import And, Comparison, Query
from noria.domain.run import Run
from noria.domain.trained import TrainedModel
from noria.errors import NotFound
from noria.registry.promote import delete_version
from noria.registry.register import register_external
from noria.server.mlflow import registry_checks as checks
from noria.server.mlflow import registry_views as views
from noria.server.mlflow import wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.locations import uri_of
from noria.server.mlflow.registered_models import TEXT, Search, VersionAnswer, VersionsAnswer
from noria.server.mlflow.registry_checks import LINK_TAG, PLACE_TAG, PROMPT_TAG, STAGE_TAG, Tag
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.searching import asked

LARGEST_PAGE = 200_000
SOURCES = "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"
"""A variable of MLflow's own: the expression that every source must match."""
VERSIONS_TAG = "mlflow.modelVersions"
"""A trained model's tag that tells clients which versions it became."""


class Create(msgspec.Struct):
    """What create takes."""

    name: str = ""
    source: str = ""
    run_id: str | None = None
    tags: list[Tag] | None = None
    run_link: str | None = None
    description: str | None = None
    model_id: str | None = None


class Numbered(msgspec.Struct):
    """What the operations on one version take."""

    name: str = ""
    version: str = ""
    description: str | None = None
    stage: str = ""
    archive_existing_versions: bool = False
    key: str = ""
    value: str | None = None


class UriAnswer(msgspec.Struct):
    """Where a version's files are."""

    artifact_uri: str


CREATE = wire.Form(
    Create,
    name=TEXT,
    source=TEXT,
    run_id=(wire.string,),
    tags=(wire.array,),
    run_link=(wire.string,),
    description=(wire.string,),
    model_id=(wire.string,),
)
ONE = wire.Form(Numbered, name=TEXT, version=TEXT)
UPDATE = wire.Form(Numbered, name=TEXT, version=TEXT, description=(wire.string,))
STAGE = wire.Form(Numbered, name=TEXT, version=TEXT, stage=TEXT, archive_existing_versions=(wire.boolean,))
SET_TAG = wire.Form(Numbered, name=TEXT, version=TEXT, key=TEXT, value=(wire.string,))
DELETE_TAG = wire.Form(Numbered, name=TEXT, version=TEXT, key=TEXT)
SEARCH = wire.Form(
    Search,
    filter=(wire.string,),
    max_results=(wire.intlike, wire.at_most(LARGEST_PAGE)),
    order_by=(wire.array, wire.strings),
    page_token=(wire.string,),
)


def create(request: Request, context: Context) -> VersionAnswer:
    """Register the next version of a model that exists."""
    given = CREATE.read(request)
    allowed = os.environ.get(SOURCES, "")
    if allowed and not re.search(allowed, given.source):
        raise Refused(f"Invalid model version source: '{given.source}'.")
    if not any(tag.key == PROMPT_TAG for tag in given.tags or ()):
        checks.check_source(given.source, context, run_id=given.run_id or "", model_id=given.model_id or "")
    views.model(context, given.name)
    tags = checks.tags_of(given.tags)
    trained, place = _origin(given, context)
    run_id = given.run_id or (trained.run_id if trained else None)
    if given.run_link:
        tags[LINK_TAG] = given.run_link
    if place != given.source:
        tags[PLACE_TAG] = place
    made = register_external(
        context.metadata.models,
        model=given.name,
        source=given.source,
        run_id=RunId(run_id) if run_id else None,
        run=_run(run_id, context),
        trained=trained,
        tags=tags,
        description=given.description or "",
        user=views.user(request),
        at=views.now(context),
    )
    if given.model_id and trained is not None:
        _tell_trained(context, trained, made)
    return VersionAnswer(views.show_with_aliases(context, made))


def get(request: Request, context: Context) -> VersionAnswer:
    """Read a version."""
    given = ONE.read(request)
    return VersionAnswer(views.show_with_aliases(context, _find(given, context)))


def update(request: Request, context: Context) -> VersionAnswer:
    """Describe a version."""
    given = UPDATE.read(request)
    found = _find(given, context)
    changed = context.metadata.models.amend(
        found.model, found.number, at=views.now(context), description=given.description or ""
    )
    return VersionAnswer(views.show_with_aliases(context, changed))


def transition_stage(request: Request, context: Context) -> VersionAnswer:
    """Move a version to another stage, and the others that were there into the archive if that is asked for."""
    given = STAGE.read(request)
    stage = checks.stage_of(given.stage)
    if given.archive_existing_versions and stage not in checks.ACTIVE_STAGES:
        raise Refused(
            "Model version transition cannot archive existing model versions "
            f"because '{given.stage}' is not an Active stage. Valid stages are {checks.ACTIVE_STAGES}"
        )
    found = _find(given, context)
    at = views.now(context)
    models = context.metadata.models
    if given.archive_existing_versions:
        for other in _in_stage(context, found.model, stage):
            if other.number != found.number:
                models.amend(other.model, other.number, at=at, tags={STAGE_TAG: "Archived"})
    changed = models.amend(found.model, found.number, at=at, tags={STAGE_TAG: None if stage == "None" else stage})
    context.metadata.catalog.amend(found.model, at=at)
    return VersionAnswer(views.show_with_aliases(context, changed))


def delete(request: Request, context: Context) -> None:
    """Forget a version; aliases to it go with it, its number is never given again."""
    found = _find(ONE.read(request), context)
    delete_version(
        context.metadata.models,
        context.metadata.ledger,
        model=found.model,
        number=found.number,
        at=views.now(context),
        actor=views.user(request) or context.actor,
        reason="asked for by an MLflow client",
    )


def get_download_uri(request: Request, context: Context) -> UriAnswer:
    """Where a version's files are."""
    given = ONE.read(request)
    return UriAnswer(views.download_uri(context, given.name, given.version))


def search(request: Request, context: Context) -> VersionsAnswer:
    """A page of versions of all models; by default those changed last come first."""
    given = SEARCH.read(request)
    limit = LARGEST_PAGE if given.max_results is None else given.max_results
    if limit < 1:
        raise Refused(f"Invalid value for max_results. It must be a positive integer, but got {limit}")
    with asked():
        page = context.metadata.models.search(
            Query(
                where=views.condition(given.filter, "versions"),
                order=views.order(given.order_by, "versions"),
                limit=limit,
                after=given.page_token or "",
            )
        )
    return VersionsAnswer([views.show_version(found) for found in page.items], page.next)


def set_tag(request: Request, context: Context) -> None:
    """Set a version's tag."""
    given = SET_TAG.read(request)
    number = checks.number(given.version)
    key, value = checks.check_tag(given.key, given.value)
    views.version(context, given.name, number, shown=given.version)
    context.metadata.models.amend(given.name, number, at=views.now(context), tags={key: value})


def delete_tag(request: Request, context: Context) -> None:
    """Take a version's tag away; one that is not there is no error."""
    given = DELETE_TAG.read(request)
    key = checks.check_tag_key(given.key)
    found = _find(given, context)
    if key in found.tags:
        context.metadata.models.amend(found.model, found.number, at=views.now(context), tags={key: None})


def _find(given: Numbered, context: Context) -> ModelVersion:
    return views.version(context, given.name, checks.number(given.version), shown=given.version)


def _in_stage(context: Context, model: str, stage: str) -> list[ModelVersion]:
    where = And(
        (
            Comparison(field=views.NAME, operator="=", value=model),
            Comparison(field=views.STAGED, operator="=", value=stage),
        )
    )
    return context.metadata.models.search(Query(where=where, limit=LARGEST_PAGE)).items


def _origin(given: Create, context: Context) -> tuple[TrainedModel | None, str]:
    """The trained model that a version is, if it is one, and where its files are. Raises Refused for a source that is not there."""
    trained = _trained(given.model_id, context) if given.model_id else None
    if not given.source.startswith("models:"):
        return trained, given.source
    try:
        name, number = _named(given.source, context)
        if number is not None:
            origin = views.version(context, name, number, shown=str(number))
            if trained is None and origin.trained is not None:
                trained = _trained(origin.trained, context)
            return trained, origin.tags.get(PLACE_TAG) or origin.source
        named = _trained(name, context)
    except Refused as error:
        raise Refused(
            f"Unable to fetch model from model URI source artifact location '{given.source}'.Error: {error.message}"
        ) from None
    return named if trained is None else trained, uri_of(named.artifact_root)


def _named(source: str, context: Context) -> tuple[str, int | None]:
    """What a models:/ URI names: a version of a model, or a trained model (number None). Raises Refused."""
    parts = source.removeprefix("models:").strip("/").split("/")
    name, suffix = parts[0], parts[1] if len(parts) > 1 else ""
    if len(parts) > 2 or not name.strip() or (len(parts) == 2 and not suffix.strip()):
        raise Refused(f"Not a proper models:/ URI: {source}.")
    if not suffix and "@" not in name:
        return name, None
    if suffix.isdecimal():
        return name, checks.number(suffix)
    if not suffix:
        name, _, alias = name.rpartition("@")
        number = context.metadata.models.alias(name, alias)
        if number is None:
            raise Refused(f"Registered model alias {alias} not found.")
        return name, number
    latest = views.latest_versions(context, name)
    wanted = (
        latest if suffix.lower() == checks.LATEST else [v for v in latest if views.stage(v).lower() == suffix.lower()]
    )
    if not wanted:
        raise missing(f"No versions of model with name '{name}' and stage '{suffix}' found")
    return name, max(version.number for version in wanted)


def _trained(model_id: str, context: Context) -> TrainedModel:
    try:
        return context.metadata.trained.get(TrainedModelId(model_id))
    except NotFound:
        raise missing(f"Logged model with ID '{model_id}' not found.") from None


def _run(run_id: str | None, context: Context) -> Run | None:
    """The run, if this server knows it; clients may name runs of other servers."""
    try:
        return context.metadata.runs.get(RunId(run_id)) if run_id else None
    except NotFound:
        return None


def _tell_trained(context: Context, trained: TrainedModel, made: ModelVersion) -> None:
    """Note on the trained model which version it became, as clients read it."""
    try:
        known = msgspec.json.decode(trained.tags.get(VERSIONS_TAG, "[]"), type=list[dict[str, object]])
    except msgspec.DecodeError:
        known = []
    version = {"name": made.model, "version": made.number}
    if version in known:
        return
    note = json.dumps([*known, version])
    context.metadata.trained.set_tags(trained.id, {VERSIONS_TAG: note}, at=views.now(context))


VERSIONS = "/mlflow/model-versions"
ROUTES = [
    Route("POST", VERSIONS + "/create", create),
    Route("GET", VERSIONS + "/get", get),
    Route("PATCH", VERSIONS + "/update", update),
    Route("POST", VERSIONS + "/transition-stage", transition_stage),
    Route("DELETE", VERSIONS + "/delete", delete),
    Route("GET", VERSIONS + "/search", search),
    Route("GET", VERSIONS + "/get-download-uri", get_download_uri),
    Route("POST", VERSIONS + "/set-tag", set_tag),
    Route("DELETE", VERSIONS + "/delete-tag", delete_tag),
]
