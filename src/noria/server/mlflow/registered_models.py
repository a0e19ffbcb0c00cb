"""Registered models of MLflow's protocol: made, read, renamed, searched, deleted; their tags and aliases; the latest version of each stage."""

import msgspec

from noria.domain.query import Query
from noria.errors import AlreadyExists
from noria.registry.promote import delete_model, move_by_hand
from noria.server.mlflow import registry_checks as checks
from noria.server.mlflow import registry_views as views
from noria.server.mlflow import wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.registry_checks import PROMPT_TAG, Tag
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.searching import asked

PAGE = 100
LARGEST_PAGE = 1000


class Named(msgspec.Struct):
    """What operations on one model take."""

    name: str = ""
    description: str | None = None
    new_name: str = ""


class Create(msgspec.Struct):
    """What create takes."""

    name: str = ""
    tags: list[Tag] | None = None
    description: str | None = None


class Search(msgspec.Struct):
    """What search takes."""

    filter: str | None = None
    max_results: wire.Int64 | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class Latest(msgspec.Struct):
    """What get-latest-versions takes."""

    name: str = ""
    stages: list[str] | None = None


class TagOf(msgspec.Struct):
    """What set-tag and delete-tag take."""

    name: str = ""
    key: str = ""
    value: str | None = None


class AliasOf(msgspec.Struct):
    """What the operations on an alias take."""

    name: str = ""
    alias: str = ""
    version: str = ""


class ModelAnswer(msgspec.Struct):
    """One model."""

    registered_model: views.ModelView


class ModelsAnswer(msgspec.Struct, omit_defaults=True):
    """A page of models."""

    registered_models: list[views.ModelView] = []
    next_page_token: str = ""


class VersionAnswer(msgspec.Struct):
    """One version."""

    model_version: views.VersionView


class VersionsAnswer(msgspec.Struct, omit_defaults=True):
    """Versions, or a page of them."""

    model_versions: list[views.VersionView] = []
    next_page_token: str = ""


TEXT = (wire.string, wire.required)
NAMED = wire.Form(Named, name=TEXT)
CREATE = wire.Form(Create, name=TEXT, tags=(wire.array,), description=(wire.string,))
UPDATE = wire.Form(Named, name=TEXT, description=(wire.string,))
RENAME = wire.Form(Named, name=TEXT, new_name=TEXT)
SEARCH = wire.Form(
    Search,
    filter=(wire.string,),
    max_results=(wire.intlike, wire.at_most(LARGEST_PAGE)),
    order_by=(wire.array, wire.strings),
    page_token=(wire.string,),
)
LATEST = wire.Form(Latest, name=TEXT, stages=(wire.array, wire.strings))
SET_TAG = wire.Form(TagOf, name=TEXT, key=TEXT, value=(wire.string,))
DELETE_TAG = wire.Form(TagOf, name=TEXT, key=TEXT)
SET_ALIAS = wire.Form(AliasOf, name=TEXT, alias=TEXT, version=TEXT)
ALIAS = wire.Form(AliasOf, name=TEXT, alias=TEXT)


def create(request: Request, context: Context) -> ModelAnswer:
    """Make a model without versions."""
    given = CREATE.read(request)
    checks.check_name(given.name)
    tags = checks.tags_of(given.tags)
    try:
        made = context.metadata.catalog.create(
            given.name, at=views.now(context), description=given.description or "", tags=tags
        )
    except AlreadyExists:
        raise _taken(given.name, context, is_prompt=PROMPT_TAG in tags) from None
    return ModelAnswer(views.show_model(context, made))


def get(request: Request, context: Context) -> ModelAnswer:
    """Read a model."""
    return ModelAnswer(views.show_model(context, views.model(context, NAMED.read(request).name)))


def update(request: Request, context: Context) -> ModelAnswer:
    """Describe a model."""
    given = UPDATE.read(request)
    views.model(context, given.name)
    changed = context.metadata.catalog.amend(given.name, at=views.now(context), description=given.description or "")
    return ModelAnswer(views.show_model(context, changed))


def rename(request: Request, context: Context) -> ModelAnswer:
    """Give a model another name; everything of it goes along."""
    given = RENAME.read(request)
    if not given.new_name.strip():
        raise Refused("Missing value for required parameter 'new_name'.")
    checks.check_name(given.new_name)
    views.model(context, given.name)
    try:
        renamed = context.metadata.catalog.rename(given.name, given.new_name, at=views.now(context))
    except AlreadyExists:
        raise Refused(f"Registered Model (name={given.new_name}) already exists.", "RESOURCE_ALREADY_EXISTS") from None
    return ModelAnswer(views.show_model(context, renamed))


def delete(request: Request, context: Context) -> None:
    """Forget a model with its versions."""
    name = NAMED.read(request).name
    views.model(context, name)
    delete_model(
        context.metadata.catalog,
        context.metadata.models,
        context.metadata.ledger,
        model=name,
        at=views.now(context),
        actor=views.user(request) or context.actor,
        reason="asked for by an MLflow client",
    )


def search(request: Request, context: Context) -> ModelsAnswer:
    """A page of models."""
    given = SEARCH.read(request)
    with asked():
        page = context.metadata.catalog.search(
            Query(
                where=views.condition(given.filter, "models"),
                order=views.order(given.order_by, "models"),
                limit=PAGE if given.max_results is None else given.max_results,
                after=given.page_token or "",
            )
        )
    return ModelsAnswer(views.show_models(context, page.items), page.next)


def get_latest_versions(request: Request, context: Context) -> VersionsAnswer:
    """The latest version of each stage, or of the stages named."""
    given = LATEST.read(request)
    views.model(context, given.name)
    wanted = {checks.stage_of(stage) for stage in given.stages or checks.STAGES}
    found = views.latest_versions(context, given.name)
    return VersionsAnswer(
        [views.show_with_aliases(context, latest) for latest in found if views.stage(latest) in wanted]
    )


def set_tag(request: Request, context: Context) -> None:
    """Set a model's tag."""
    given = SET_TAG.read(request)
    key, value = checks.check_tag(given.key, given.value)
    views.model(context, given.name)
    context.metadata.catalog.amend(given.name, at=views.now(context), tags={key: value})


def delete_tag(request: Request, context: Context) -> None:
    """Take a model's tag away; one that is not there is no error."""
    given = DELETE_TAG.read(request)
    key = checks.check_tag_key(given.key)
    if key in views.model(context, given.name).tags:
        context.metadata.catalog.amend(given.name, at=views.now(context), tags={key: None})


def set_alias(request: Request, context: Context) -> None:
    """Point an alias to a version."""
    given = SET_ALIAS.read(request)
    checks.check_name(given.name)
    checks.check_alias(given.alias)
    checks.check_free_alias(given.alias)
    number = checks.number(given.version)
    views.version(context, given.name, number, shown=given.version)
    before = context.metadata.models.alias(given.name, given.alias)
    if before != number:
        _move(request, context, given, number=number)


def delete_alias(request: Request, context: Context) -> None:
    """Take an alias away; its history stays."""
    given = ALIAS.read(request)
    checks.check_alias(given.alias)
    views.model(context, given.name)
    _move(request, context, given, number=None)


def get_by_alias(request: Request, context: Context) -> VersionAnswer:
    """The version that an alias points to."""
    given = ALIAS.read(request)
    checks.check_name(given.name)
    checks.check_alias(given.alias)
    if given.alias.lower() == checks.LATEST:
        views.model(context, given.name)
        found = views.latest_versions(context, given.name)
        if not found:
            raise missing(f"Latest version not found for model {given.name}.")
        return VersionAnswer(views.show_with_aliases(context, max(found, key=lambda each: each.number)))
    number = context.metadata.models.alias(given.name, given.alias)
    if number is None:
        raise Refused(f"Registered model alias {given.alias} not found.")
    return VersionAnswer(
        views.show_with_aliases(context, views.version(context, given.name, number, shown=str(number)))
    )


def _move(request: Request, context: Context, given: AliasOf, *, number: int | None) -> None:
    """Move an alias, or take it away; the ledger has it too."""
    move_by_hand(
        context.metadata.models,
        context.metadata.ledger,
        model=given.name,
        alias=given.alias,
        number=number,
        at=context.clock.now(),
        actor=views.user(request) or context.actor,
        reason="asked for by an MLflow client",
    )


def _taken(name: str, context: Context, *, is_prompt: bool) -> Refused:
    """MLflow keeps prompts beside models and says which of the two has the name."""
    was_prompt = PROMPT_TAG in context.metadata.catalog.get(name).tags
    if was_prompt != is_prompt:
        old, new = ("prompt", "registered model") if was_prompt else ("registered model", "prompt")
        message = (
            f"Tried to create a {new} with name {name!r}, but the name is already taken by a {old}. "
            "MLflow does not allow creating a model and a prompt with the same name."
        )
    else:
        message = f"{'Prompt' if is_prompt else 'Registered Model'} (name={name}) already exists."
    return Refused(message, "RESOURCE_ALREADY_EXISTS")


MODELS = "/mlflow/registered-models"
ROUTES = [
    Route("POST", MODELS + "/create", create),
    Route("GET", MODELS + "/get", get),
    Route("PATCH", MODELS + "/update", update),
    Route("POST", MODELS + "/rename", rename),
    Route("DELETE", MODELS + "/delete", delete),
    Route("GET", MODELS + "/search", search),
    Route("GET", MODELS + "/get-latest-versions", get_latest_versions),
    Route("POST", MODELS + "/get-latest-versions", get_latest_versions),
    Route("POST", MODELS + "/set-tag", set_tag),
    Route("DELETE", MODELS + "/delete-tag", delete_tag),
    Route("POST", MODELS + "/alias", set_alias),
    Route("DELETE", MODELS + "/alias", delete_alias),
    Route("GET", MODELS + "/alias", get_by_alias),
]
