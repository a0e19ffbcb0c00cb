"""What workers say they cannot serve: one small published document a deployment, the way back from workers to whoever judges rollouts.

Written by app/worker_loader, read by loop/stages. Documents: `serving/trouble/<deployment>.json`; what is told of older generations is left out.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from noria.domain.deployment import VariantRole
from noria.domain.ids import Digest
from noria.errors import StoreCorrupt
from noria.ports.blobs import BlobStore
from noria.wire.canonical import canonical


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One variant of one generation that a worker cannot serve; its share is answered by the champion meanwhile.

    passing: a store that is away, a full disk: it may pass by itself, and the worker tries on. worker: who says so. crashes: how often the process
    died while it loaded or asked this version.
    """

    generation: int
    variant: VariantRole
    number: int
    bundle: Digest
    error: str
    at: datetime
    worker: str
    passing: bool = False
    crashes: int = 0


class _Document(msgspec.Struct, frozen=True):
    troubles: tuple[Trouble, ...] = ()


def tell(blobs: BlobStore, deployment: str, *, generation: int, worker: str, troubles: Sequence[Trouble]) -> None:
    """Say what this worker cannot serve of a generation, in place of what it said before; nothing: all is well again.

    What others say of the same generation stays. Two that speak at once may overwrite each other: whoever is still in trouble says it again.
    """
    standing = troubles_of(blobs, deployment)
    others = [t for t in standing if t.worker != worker and t.generation >= generation]
    wanted = tuple(sorted([*others, *troubles], key=lambda t: (t.variant, t.worker)))
    if _told(wanted) != _told(standing):
        blobs.publish(_name(deployment), canonical(_Document(wanted)))


def troubles_of(
    blobs: BlobStore, deployment: str, *, generation: int | None = None, variant: VariantRole | None = None
) -> tuple[Trouble, ...]:
    """What workers cannot serve: of all that is told, that of a generation, or of a variant. Raises StoreCorrupt."""
    document = blobs.published(_name(deployment))
    if document is None:
        return ()
    try:
        told = msgspec.json.decode(document, type=_Document).troubles
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise StoreCorrupt(
            f"what workers said of deployment {deployment!r} cannot be read",
            cause=str(exc),
            remedy="deploy it again: the next generation begins anew",
        ) from exc
    return tuple(
        t
        for t in told
        if (generation is None or t.generation == generation) and (variant is None or t.variant == variant)
    )


def _told(troubles: Sequence[Trouble]) -> list[tuple[object, ...]]:
    """What of troubles is worth writing again: not the moment."""
    return [(t.generation, t.variant, t.worker, t.bundle, t.error, t.crashes) for t in troubles]


def _name(deployment: str) -> str:
    return f"serving/trouble/{deployment}.json"
