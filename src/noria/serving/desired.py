"""What a worker shall serve: one small published document a deployment, so that workers need no database. Loading it is app/worker.

Published by loop/stages after a generation is written; read by the worker. Documents: `serving/<deployment>.json`, `serving/index.json`.
"""

import msgspec

from noria.domain.deployment import Deployment, Variant
from noria.domain.ids import RolloutId
from noria.errors import StoreCorrupt
from noria.ports.blobs import BlobStore
from noria.wire.canonical import canonical

INDEX = "serving/index.json"


class DesiredState(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a deployment, as far as answering needs it. rollout: the one that runs, if one does.

    stopped: where nobody answers because a person wants it so (no variants): who, and why.
    """

    deployment: str
    generation: int
    variants: tuple[Variant, ...]
    sticky_by: str = "request"
    rollout: RolloutId | None = None
    stopped: str = ""
    header_override: bool = True


class _Index(msgspec.Struct, frozen=True):
    deployments: tuple[str, ...] = ()


def publish(blobs: BlobStore, deployment: Deployment) -> DesiredState:
    """Put a deployment's newest generation where workers look. Publishing the same again changes nothing; an older generation is not published over
    a newer one, so a stage that is repeated after a crash cannot turn time back."""
    state = state_of(deployment)
    standing = read(blobs, deployment.name)
    if standing is None or standing.generation <= state.generation:
        document = canonical(state)
        if blobs.published(_name(deployment.name)) != document:
            blobs.publish(_name(deployment.name), document)
    known = names(blobs)
    if deployment.name not in known:
        blobs.publish(INDEX, canonical(_Index(tuple(sorted({*known, deployment.name})))))
    return state


def state_of(deployment: Deployment) -> DesiredState:
    """The part of a deployment that workers need; the champion stands first."""
    variants = sorted(deployment.variants, key=lambda v: v.name != "champion")
    running = deployment.rollout is not None and deployment.rollout.outcome == "running"
    stop = deployment.stopped
    return DesiredState(
        deployment=deployment.name,
        generation=deployment.generation,
        variants=tuple(variants),
        sticky_by=deployment.sticky_by,
        rollout=deployment.rollout.id if deployment.rollout is not None and running else None,
        header_override=deployment.header_override,
        stopped=f"{stop.actor}: {stop.reason}" if stop is not None and not variants else "",
    )


def read(blobs: BlobStore, deployment: str) -> DesiredState | None:
    """What shall be served under a name, or None. Raises StoreCorrupt."""
    document = blobs.published(_name(deployment))
    return None if document is None else parse(document)


def parse(document: bytes) -> DesiredState:
    """Read a document that `publish` wrote. Raises StoreCorrupt."""
    try:
        return msgspec.json.decode(document, type=DesiredState)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise StoreCorrupt(
            "a published deployment cannot be read",
            cause=str(exc),
            remedy="publish it again: noria rollback, or noria up",
        ) from exc


def document(blobs: BlobStore, deployment: str) -> bytes | None:
    """The document as it stands, to see cheaply whether anything changed."""
    return blobs.published(_name(deployment))


def names(blobs: BlobStore) -> list[str]:
    """Every deployment that was ever published, sorted."""
    content = blobs.published(INDEX)
    if content is None:
        return []
    try:
        return sorted(msgspec.json.decode(content, type=_Index).deployments)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise StoreCorrupt(
            "the list of published deployments cannot be read", cause=str(exc), remedy="publish a deployment again"
        ) from exc


def _name(deployment: str) -> str:
    return f"serving/{deployment}.json"
