"""Send what earlier processes could not: their journals, run by run, as often as one likes. Called by `noria sync` and by recorder.py."""

import os
from pathlib import Path

import msgspec

from noria.domain.ids import RunId
from noria.ports.blobs import BlobStore
from noria.ports.runs import RunStore
from noria.tracking.delivery import Begin, Delivery, End, Measured, Operation, Resume, decode
from noria.tracking.journal import discard, journals, locked, owner, put_aside, read, segments


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """One journal that was sent. records: how many operations; points: metric points among them; refused: what the store said against some.

    has_ended: whether the run's end was among them; without one its process was killed, and nobody knows how it ended.
    put_aside: the store holds another run of this id, so that nothing was sent; the journal lies beside its place, as `.refused`.
    damaged: segments whose bytes changed since they were written; what stands before the damage was sent, the rest lies there as `.damaged`.
    """

    run_id: RunId
    records: int
    points: int
    refused: tuple[str, ...] = ()
    has_ended: bool = False
    put_aside: bool = False
    damaged: int = 0


def sync(folder: Path, runs: RunStore, *, blobs: BlobStore) -> list[Synced]:
    """Send every journal whose process is gone; journals of live runs are left to them, and two syncs at once share the work.

    Raises StoreUnavailable while the store is away; nothing is lost then, and what was sent before is not sent twice in effect.
    """
    done: list[Synced] = []
    for journal in journals(folder):
        lock = locked(journal)
        if lock is None:
            continue
        try:
            done.append(_sent(journal, runs, blobs=blobs))
        finally:
            os.close(lock)
    return done


def waiting(folder: Path) -> list[RunId]:
    """Runs whose journals wait to be sent, those of live processes included."""
    found = []
    for journal in journals(folder):
        try:
            found.append(owner(journal))
        except FileNotFoundError:  # it was sent just now
            continue
    return found


def _sent(journal: Path, runs: RunStore, *, blobs: BlobStore) -> Synced:
    run_id = owner(journal)
    delivery = Delivery(run_id, runs, blobs=blobs)
    records = points = damaged = 0
    has_ended = False
    for segment in segments(journal):
        operations, is_whole = _operations(segment)
        delivery.send(operations)
        for operation in operations:
            records += 1
            points += len(operation.values) if isinstance(operation, Measured) else 0
            if isinstance(operation, Begin | Resume | End):
                has_ended = isinstance(operation, End)
        if delivery.run_refused:
            break
        if is_whole:
            segment.unlink(missing_ok=True)
        else:
            damaged += 1
            segment.rename(segment.with_suffix(".damaged"))
    if delivery.run_refused:
        put_aside(journal)
    else:
        discard(journal)
    return Synced(
        run_id=run_id,
        records=records,
        points=points,
        refused=tuple(str(error) for error in delivery.refused),
        has_ended=has_ended,
        put_aside=delivery.run_refused,
        damaged=damaged,
    )


def _operations(segment: Path) -> tuple[list[Operation], bool]:
    """What a segment says, as far as it can be read, and whether that is all."""
    bodies, is_whole = read(segment)
    found: list[Operation] = []
    for body in bodies:
        try:
            found.append(decode(body))
        except msgspec.MsgspecError:  # written by another version, in words that this one does not know
            is_whole = False
    return found, is_whole
