"""Registered models and versions as MLflow's clients see them, and a search's text and order as the stores take them.

Called by registered_models and model_versions.
"""

from base64 import b64decode
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from noria.domain.model import ModelVersion, RegisteredModel
from noria.domain.query import And, Comparison, Condition, Field, Not, Or, Order, Query
from noria.errors import NotFound
from noria.server.mlflow import searching, wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.registry_checks import (
    LINK_TAG,
    PLACE_TAG,
    PROMPT_TAG,
    RESERVED,
    STAGE_TAG,
    STAGES,
    Tag,
    check_name,
    number,
)
from noria.server.mlflow.routing import Context, Request
from noria.wire.query_fields import Kind

STAGED = Field(scope="tag", key=STAGE_TAG)
NAME = Field(scope="attribute", key="name")
VERSION = Field(scope="attribute", key="version")
CREATED = Field(scope="attribute", key="created_at")
UPDATED = Field(scope="attribute", key="updated_at")
NEWEST = (Order(field=VERSION, descending=True),)
AT_ONCE = 1000
"""Versions that are read for a page of models in one go."""
SORTABLE = {"models": (NAME, UPDATED, CREATED), "versions": (NAME, VERSION, CREATED, UPDATED)}


class VersionView(msgspec.Struct, omit_defaults=True):
    """A version, as the protocol's ModelVersion. Absent is what is not known."""

    name: str
    version: str
    creation_timestamp: int
    last_updated_timestamp: int
    current_stage: str
    source: str
    run_id: str
    status: str
    description: str
    user_id: str | msgspec.UnsetType = msgspec.UNSET
    run_link: str | msgspec.UnsetType = msgspec.UNSET
    model_id: str | msgspec.UnsetType = msgspec.UNSET
    tags: list[Tag] = []
    aliases: list[str] = []


class AliasView(msgspec.Struct):
    """An alias and the version it points to."""

    alias: str
    version: str


class ModelView(msgspec.Struct, omit_defaults=True):
    """A registered model, with the latest version of each stage."""

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str = ""
    latest_versions: list[VersionView] = []
    tags: list[Tag] = []
    aliases: list[AliasView] = []


def now(context: Context) -> datetime:
    """The present, to the millisecond that clients see: what they take for one moment is one."""
    moment = context.clock.now()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def model(context: Context, name: str) -> RegisteredModel:
    """A model by its name. Raises Refused in MLflow's words."""
    check_name(name)
    try:
        return context.metadata.catalog.get(name)
    except NotFound:
        raise missing(f"Registered Model with name={name} not found") from None


def version(context: Context, name: str, wanted: int, *, shown: str) -> ModelVersion:
    """A version by its model and number. shown: the number as it was asked for. Raises Refused."""
    check_name(name)
    try:
        return context.metadata.models.get(name, wanted)
    except NotFound:
        raise missing(f"Model Version (name={name}, version={shown}) not found") from None


def show_version(found: ModelVersion, aliases: Sequence[str] = ()) -> VersionView:
    """A version as it is answered."""
    return VersionView(
        name=found.model,
        version=str(found.number),
        creation_timestamp=wire.to_ms(found.created_at),
        last_updated_timestamp=wire.to_ms(found.updated_at or found.created_at),
        current_stage=stage(found),
        source=found.source,
        run_id=found.run_id or "",
        status="READY",
        description=found.description,
        user_id=found.user or msgspec.UNSET,
        run_link=found.tags.get(LINK_TAG) or msgspec.UNSET,
        model_id=found.trained or msgspec.UNSET,
        tags=_tags(found.tags),
        aliases=list(aliases),
    )


def show_with_aliases(context: Context, found: ModelVersion) -> VersionView:
    """A version with the aliases that point to it."""
    moved = context.metadata.models.aliases(found.model)
    return show_version(found, [alias for alias, where in moved.items() if where == found.number])


def show_model(context: Context, found: RegisteredModel) -> ModelView:
    """A model as it is answered."""
    return _shown(context, found, latest_versions(context, found.name))


def show_models(context: Context, found: Sequence[RegisteredModel]) -> list[ModelView]:
    """Models as they are answered: their versions are read together, if they are not too many."""
    names = tuple(model.name for model in found)
    if not names:
        return []
    page = context.metadata.models.search(
        Query(where=Comparison(field=NAME, operator="in", value=names), order=NEWEST, limit=AT_ONCE)
    )
    if page.next:
        return [show_model(context, model) for model in found]
    latest: dict[str, dict[str, ModelVersion]] = {name: {} for name in names}
    for each in page.items:
        latest[each.model].setdefault(stage(each), each)
    return [_shown(context, model, list(latest[model.name].values())) for model in found]


def _shown(context: Context, found: RegisteredModel, latest: Sequence[ModelVersion]) -> ModelView:
    return ModelView(
        name=found.name,
        creation_timestamp=wire.to_ms(found.created_at),
        last_updated_timestamp=wire.to_ms(found.updated_at),
        description=found.description,
        latest_versions=[show_version(version) for version in latest],
        tags=_tags(found.tags),
        aliases=[AliasView(alias, str(where)) for alias, where in context.metadata.models.aliases(found.name).items()],
    )


def latest_versions(context: Context, name: str) -> list[ModelVersion]:
    """The newest version of each stage. Reads those that have a stage, which are few, and one of those that have none."""
    models = context.metadata.models
    mine = Comparison(field=NAME, operator="=", value=name)
    bare = models.search(Query(where=_all(mine, Comparison(field=STAGED, operator="is null")), order=NEWEST, limit=1))
    staged = models.search(
        Query(where=_all(mine, Comparison(field=STAGED, operator="is not null")), order=NEWEST, limit=10_000)
    )
    found: dict[str, ModelVersion] = {}
    for each in (*bare.items, *staged.items):
        found.setdefault(stage(each), each)
    return list(found.values())


def download_uri(context: Context, name: str, shown: str) -> str:
    """Where a version's files are: what its source came down to when it was registered. Raises Refused."""
    found = version(context, name, number(shown), shown=shown)
    return found.tags.get(PLACE_TAG) or found.source


def stage(found: ModelVersion) -> str:
    """A version's stage."""
    return found.tags.get(STAGE_TAG, STAGES[0])


def condition(text: str | None, kind: Kind) -> Condition | None:
    """A search's filter. Prompts, which are kept under the names of models, are found only by those who ask for them. Raises Refused."""
    asked = searching.where(text, kind)
    prompt = Comparison(field=Field(scope="tag", key=PROMPT_TAG), operator="=", value="true")
    if asked is not None and _mentions_prompts(asked):
        return _without_prompt_words(asked, prompt)
    return _all(asked, Not(prompt))


def order(clauses: Sequence[str] | None, kind: Kind) -> tuple[Order, ...]:
    """A search's order, made total as MLflow does. Raises Refused."""
    asked = searching.order(list(clauses or ()), kind)
    sortable = SORTABLE[kind]
    for each in asked:
        if each.field not in sortable:
            raise Refused(
                f"Invalid order by key '{each.field.key}' specified. Valid keys are {[f.key for f in sortable]}"
            )
    if len({each.field for each in asked}) < len(asked):
        raise Refused(f"`order_by` contains duplicate fields: {list(clauses or ())}")
    if not asked and kind == "versions":
        asked = (Order(field=UPDATED, descending=True),)
    ties = [Order(field=NAME)] + ([Order(field=VERSION, descending=True)] if kind == "versions" else [])
    return (*asked, *(tie for tie in ties if tie.field not in {each.field for each in asked}))


def user(request: Request) -> str:
    """Who asks, as far as they say: the name in Basic authentication, or ''. It proves nothing; the key does."""
    shown = request.header("authorization") or ""
    if shown[:6].lower() != "basic ":
        return ""
    try:
        return b64decode(shown[6:].strip(), validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def _tags(tags: dict[str, str]) -> list[Tag]:
    return [Tag(key, value) for key, value in tags.items() if not key.startswith(RESERVED)]


def _all(*terms: Condition | None) -> Condition:
    present = tuple(term for term in terms if term is not None)
    return present[0] if len(present) == 1 else And(present)


def _mentions_prompts(asked: Condition) -> bool:
    match asked:
        case Comparison():
            return asked.field.scope == "tag" and asked.field.key == PROMPT_TAG
        case Not():
            return _mentions_prompts(asked.term)
        case _:
            return any(_mentions_prompts(term) for term in asked.terms)


def _without_prompt_words(asked: Condition, prompt: Comparison) -> Condition:
    """The condition where "is no prompt" means: has no such tag, or another value."""
    match asked:
        case Comparison():
            if not _mentions_prompts(asked) or asked.operator not in ("=", "!="):
                return asked
            wanted = (str(asked.value).lower() == "true") == (asked.operator == "=")
            return prompt if wanted else Not(prompt)
        case Not():
            return Not(_without_prompt_words(asked.term, prompt))
        case And() | Or():
            return replace(asked, terms=tuple(_without_prompt_words(term, prompt) for term in asked.terms))
