"""Give space back: empty the trash when its time has come, then drop content that nothing refers to. Called by app/collecting (`noria gc`).

Content is kept if anything may still need it: a path in the artifacts, a version's bundle, a step in the cache, any digest that stands in the ledger
or in a document that is itself kept. It is dropped only if nobody has put it for a while, so writers that are under way lose nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from noria.domain.ids import Digest, ExperimentId, RunId, TrainedModelId
from noria.domain.query import Page, Query
from noria.errors import Conflict, NotFound
from noria.ports.blobs import BlobStore
from noria.ports.experiments import ExperimentStore
from noria.ports.index import RunIndex
from noria.ports.runs import RunStore
from noria.ports.trained import TrainedModelStore

DOCUMENT = 4 << 20
"""Bytes: kept content up to this size is read for the digests it names; nothing larger is a document of Noria's."""
PAGE = 1000


class _Trashed(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def trashed_at(self) -> datetime | None: ...


T = TypeVar("T", bound=_Trashed)
_DIGEST = re.compile(rb"blake3:[0-9a-f]{64}")


class Emptied(msgspec.Struct, frozen=True, kw_only=True):
    """What left the trash for good."""

    experiments: int = 0
    runs: int = 0
    trained_models: int = 0


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """Content that was dropped, and what stays. bytes: freed."""

    dropped: int
    bytes: int
    kept: int


def empty_trash(
    *,
    runs: RunStore,
    index: RunIndex,
    experiments: ExperimentStore,
    trained: TrainedModelStore,
    before: datetime,
    pretend: bool = False,
) -> Emptied:
    """Forget for good what went into the trash before a moment. pretend: only count. What somebody takes out of the trash meanwhile stays."""
    old_experiments = [ExperimentId(found.id) for found in _old(experiments.search, before)]
    run_ids = {RunId(found.id) for found in _old(index.search, before)}
    for experiment_id in old_experiments:
        run_ids |= {RunId(found.id) for found in _old(index.search, None, within=experiment_id)}
    models = [TrainedModelId(found.id) for found in _old(trained.search, before)]
    if pretend:
        return Emptied(experiments=len(old_experiments), runs=len(run_ids), trained_models=len(models))
    purged = forgotten = 0
    for experiment_id in old_experiments:
        # Taken out of the trash since we looked, or emptied by somebody else: not ours any more.
        with suppress(Conflict, NotFound):
            purged += experiments.purge(experiment_id)
            forgotten += 1
    waiting = sorted(run_ids)
    for start in range(0, len(waiting), PAGE):
        purged += runs.purge(waiting[start : start + PAGE])
    return Emptied(experiments=forgotten, runs=purged, trained_models=sum(trained.purge(model) for model in models))


def sweep(
    blobs: BlobStore,
    *,
    roots: Iterable[bytes | Digest],
    idle_since: datetime,
    pretend: bool = False,
) -> Swept:
    """Drop content that nothing names and that nobody put after `idle_since`.

    roots: digests, or texts in which they stand (rows of the ledger, documents), of every project that keeps content here; read after the candidates
    are listed, so that what gets its first reference while this runs is either no candidate or found. pretend: only count.
    """
    idle = set(blobs.digests(idle_since=idle_since))
    waiting = [digest for root in roots for digest in named_in(root)]
    seen: set[Digest] = set()
    while waiting:
        digest = waiting.pop()
        if digest in seen:
            continue
        seen.add(digest)
        idle.discard(digest)
        waiting += _names(blobs, digest)
    dropped = freed = 0
    for digest in idle:
        size = blobs.size(digest) if blobs.has(digest) else 0
        if pretend or blobs.delete(digest, idle_since=idle_since):
            dropped, freed = dropped + 1, freed + size
    return Swept(dropped=dropped, bytes=freed, kept=sum(1 for _ in blobs.digests()))


def named_in(text: bytes | Digest) -> Iterator[Digest]:
    """Every digest that stands in a text.

    >>> list(named_in(b'{"bundle":"blake3:' + b"0" * 64 + b'"}')) == ["blake3:" + "0" * 64]
    True
    """
    body = text.encode() if isinstance(text, str) else text
    return (Digest(found.decode()) for found in _DIGEST.findall(body))


def _names(blobs: BlobStore, digest: Digest) -> list[Digest]:
    """What a kept document names in turn: the files of a bundle, the parts of a step's output."""
    if not blobs.has(digest) or blobs.size(digest) > DOCUMENT:
        return []
    return [named for named in named_in(blobs.get(digest)) if named != digest]


def _old(
    search: Callable[[Query], Page[T]], before: datetime | None, *, within: ExperimentId | None = None
) -> Iterator[T]:
    """What went into the trash before a moment (None: whenever), page by page."""
    query = Query(life="trashed", limit=PAGE, experiments=None if within is None else (within,))
    while True:
        page = search(query)
        yield from (
            found
            for found in page.items
            if before is None or (found.trashed_at is not None and found.trashed_at < before)
        )
        if not page.next:
            return
        query = replace(query, after=page.next)
