"""What every metadata adapter must decide alike about registered models, versions, aliases and webhooks. Pure.

Keeping what was decided is memory/ and sql/{models,catalog,feed}.py. Runs are rules_runs.py, the rest is rules.py. Called inside their transactions.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from noria.adapters.metadata.rules import micros
from noria.domain.change import Webhook
from noria.domain.deployment import Deployment
from noria.domain.ids import Digest, digest_of
from noria.domain.model import AliasMove, ModelVersion, Packaged, RegisteredModel
from noria.domain.query import Field, Order, Query
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound
from noria.wire.nouns import fingerprint

# Models


def check_model_name(name: str) -> None:
    """A name of a model has at least one character, and none of '/' and ':', which refs and URIs are cut at. Raises InputInvalid."""
    if not name or "/" in name or ":" in name:
        raise InputInvalid(
            f"{name!r} is no name of a model",
            cause="it is empty" if not name else "refs such as 'churn/3' and URIs are cut at '/' and ':'",
            remedy="give it a name such as 'churn'",
        )


def taken_model(name: str) -> AlreadyExists:
    """What to say when a name is taken."""
    return AlreadyExists(f"model '{name}' exists", remedy="choose another name, or register a version of it")


def missing_model(name: str, known: Iterable[str] = ()) -> NotFound:
    """What to say when there is no such model."""
    return NotFound.of("model", name, list(known), remedy="noria models")


def amended_model(
    model: RegisteredModel, *, at: datetime, description: str | None, tags: Mapping[str, str | None] | None
) -> RegisteredModel:
    """A model with another description or other tags."""
    micros(at, what=f"a change of model '{model.name}'")
    return replace(
        model,
        description=model.description if description is None else description,
        tags=changed_tags(model.tags, tags or {}),
        updated_at=at,
    )


def check_unserved(name: str, deployments: Iterable[Deployment], *, number: int | None = None) -> None:
    """A model that a deployment names is neither renamed nor deleted, nor is a version that answers in one. Raises Conflict.

    deployments: the newest generation of each. number: of the version that shall go; None: the model as a whole.
    """
    for deployment in deployments:
        if deployment.model == name and number is None:
            raise Conflict(
                f"model '{name}' is served by deployment '{deployment.name}'",
                cause="what answers requests is not renamed or deleted under them",
                remedy=f"declare deployment '{deployment.name}' with another model first",
            )
        if any((v.model, v.number) == (name, number) for v in deployment.variants):
            raise Conflict(
                f"version {name}/{number} answers in deployment '{deployment.name}'",
                cause="what answers requests is not deleted under them",
                remedy="promote another version first",
            )


def by_name(query: Query) -> Query:
    """A query over models, ordered by name unless it says otherwise."""
    return query if query.order else replace(query, order=(Order(field=Field(scope="attribute", key="name")),))


def model_detail(description: str, tags: Mapping[str, str]) -> dict[str, str]:
    """What a receiver of 'model.created' is told besides the name. Tags stand as `tag.<key>`."""
    return {"description": description, **{f"tag.{key}": value for key, value in tags.items()}}


# Versions


def check_version(version: ModelVersion) -> None:
    """Numbers count from 1, and the model has a name. Raises InputInvalid."""
    check_model_name(version.model)
    if version.number < 1:
        raise InputInvalid(f"a version of model '{version.model}' has number {version.number}", remedy="count from 1")
    micros(version.created_at, what=f"version {version.ref}")


def made(version: ModelVersion) -> Digest:
    """What was registered, as a digest: a repetition is known by it when description, tags or the model's name have changed since."""
    return digest_of(fingerprint(replace(version, model="")))


def taken_number(version: ModelVersion, *, deleted: bool) -> AlreadyExists:
    """What to say when a version's number is taken, or was."""
    how = "was deleted, and its number is never given again" if deleted else "exists, and it differs"
    return AlreadyExists(f"version {version.ref} {how}", remedy="register it under the next number")


def amended_version(
    version: ModelVersion,
    *,
    at: datetime,
    description: str | None,
    tags: Mapping[str, str | None] | None,
    packaged: Packaged | None,
) -> ModelVersion:
    """A version with another description, other tags, or its bundle. Raises AlreadyExists if it has another one."""
    micros(at, what=f"a change of version {version.ref}")
    return replace(
        version if packaged is None else _with_bundle(version, packaged),
        description=version.description if description is None else description,
        tags=changed_tags(version.tags, tags or {}),
        updated_at=at,
    )


def _with_bundle(version: ModelVersion, packaged: Packaged) -> ModelVersion:
    if version.bundle is not None and version.bundle != packaged.bundle:
        raise AlreadyExists(
            f"version {version.ref} is packaged already, as {version.bundle}",
            cause="what a version is served by never changes",
            remedy="register the files again as the next version, and package that",
        )
    return replace(version, bundle=packaged.bundle, flavor=packaged.flavor, signature=packaged.signature)


def version_detail(version: ModelVersion) -> dict[str, str]:
    """What a receiver of 'version.created' is told besides the ref. Tags stand as `tag.<key>`."""
    return {
        "semantic_version": str(version.version),
        "reason": version.version_reason,
        "source": version.source,
        "run_id": version.run_id or "",
        "description": version.description,
        **{f"tag.{key}": value for key, value in version.tags.items()},
    }


def tag_changes(
    version: ModelVersion, changes: Mapping[str, str | None]
) -> list[tuple[Literal["version.tag_set", "version.tag_deleted"], dict[str, str]]]:
    """What a receiver is told when tags are set (to the same value as well) or taken away. version: as it was before."""
    told: list[tuple[Literal["version.tag_set", "version.tag_deleted"], dict[str, str]]] = []
    for key, value in changes.items():
        if value is not None:
            told.append(("version.tag_set", {"key": key, "value": value}))
        elif key in version.tags:
            told.append(("version.tag_deleted", {"key": key}))
    return told


def changed_tags(tags: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Tags with some set and some (None) taken away."""
    kept = {**tags, **changes}
    return {key: value for key, value in kept.items() if value is not None}


def missing_version(model: str, number: int, known: Iterable[str] = ()) -> NotFound:
    """What to say when there is no such version."""
    return NotFound.of("version", f"{model}/{number}", list(known), remedy=f"noria models {model}")


# Aliases


def check_move(move: AliasMove) -> None:
    """An alias has a name, and a move a time. Raises InputInvalid."""
    if not move.alias:
        raise InputInvalid(f"an alias of model '{move.model}' has no name", remedy="give it one such as 'champion'")
    micros(move.at, what="a move of an alias")


def same_move(earlier: AliasMove, move: AliasMove) -> bool:
    """Whether a move was made before: by its cause, or without one by all it says. Raises AlreadyExists if the cause moved it elsewhere.

    earlier: a move of the same alias of the same model, whatever that was called then.
    """
    if move.cause is None:
        return replace(earlier, previous=None, model="") == replace(move, previous=None, model="")
    if earlier.cause != move.cause:
        return False
    if earlier.number != move.number:
        raise AlreadyExists(
            f"event '{move.cause}' pointed alias '{move.alias}' of '{move.model}' to {earlier.number}, not to {move.number}",
            cause="a cause moves an alias once",
        )
    return True


def moves_nothing(move: AliasMove, *, now: int | None) -> bool:
    """Whether an alias that shall be taken away points nowhere already. now: where it points."""
    return move.number is None and now is None


def alias_change(
    move: AliasMove, *, previous: int | None
) -> tuple[Literal["alias.set", "alias.deleted"], str, dict[str, str]]:
    """Kind, subject and detail of what a receiver is told of a move. previous: where the alias pointed before.

    The subject is the version that the alias points to now; of one that was taken away, the one that it pointed to.
    """
    version = previous if move.number is None else move.number
    detail = {"alias": move.alias, "version": str(version), "actor": move.actor, "reason": move.reason}
    if previous is not None:
        detail["previous"] = str(previous)
    return "alias.deleted" if move.number is None else "alias.set", f"{move.model}/{version}", detail


def move_by_deletion(model: str, alias: str, number: int, *, at: datetime) -> AliasMove:
    """The step in an alias's history when the version that it pointed to was deleted."""
    return AliasMove(
        model=model,
        alias=alias,
        number=None,
        previous=number,
        at=at,
        actor="registry",
        reason=f"version {model}/{number} was deleted",
    )


# Webhooks


def check_webhook(webhook: Webhook) -> None:
    """A webhook has an id and times. Which addresses it may have is the deliverer's question. Raises InputInvalid."""
    if not webhook.id:
        raise InputInvalid("a webhook has no id", remedy="use noria.domain.ids.fresh()")
    micros(webhook.created_at, what=f"webhook '{webhook.id}'")
    micros(webhook.updated_at, what=f"webhook '{webhook.id}'")


def kept_webhook(stored: Webhook | None, webhook: Webhook, *, newest: int) -> Webhook:
    """A webhook as it is kept: a new one begins at the newest change, a known one where it began.

    One that is active has no note; one that is switched on again has all the time to fail again.
    """
    again = webhook.active and stored is not None and not stored.active
    return replace(
        webhook,
        since=newest if stored is None else stored.since,
        note="" if webhook.active else webhook.note,
        failing_since=None if again else webhook.failing_since,
    )


def marked_webhook(webhook: Webhook, *, failing_since: datetime | None, switched_off: str) -> Webhook:
    """A webhook with what its deliverer found out."""
    if failing_since is not None:
        micros(failing_since, what=f"webhook '{webhook.id}'")
    if switched_off:
        return replace(webhook, failing_since=failing_since, active=False, note=switched_off)
    return replace(webhook, failing_since=failing_since)


def newest_first(webhooks: Sequence[Webhook]) -> list[Webhook]:
    """Webhooks by their time, of one time those first that were written last. webhooks: those written last first."""
    return sorted(webhooks, key=lambda webhook: webhook.created_at, reverse=True)


def missing_webhook(webhook_id: str) -> NotFound:
    """What to say when there is no such webhook."""
    return NotFound.of("webhook", webhook_id)
