"""The hash chain: seal drafts into rows, read rows, and find where a chain was broken. Pure: no store, no clock.

Tamper-evident, not tamper-proof: whoever owns the database can write a whole new chain. What shows that is a head kept elsewhere (a checkpoint).
Keeping rows is adapters/metadata; asking for a verdict is governance/audit. Called by both.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise

import msgspec

from noria.domain.events import AnyEvent, kind_of
from noria.domain.ids import EventId, digest_of
from noria.domain.ledger import Break, Draft, Entry, Head, StoredEntry
from noria.errors import AlreadyExists, InputInvalid, StoreCorrupt, StoreNewer
from noria.wire.canonical import canonical_text


def genesis(project: str) -> Head:
    """The head of an empty ledger: the first row chains to the digest of the project's name.

    >>> genesis("flights").seq, genesis("flights").hash == genesis("trains").hash
    (0, False)
    """
    return Head(seq=0, hash=digest_of(project.encode()))


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A draft checked and written in canonical form, as far as that can be done before its place in the chain is known."""

    draft: Draft
    kind: str
    event: str


def prepare(draft: Draft) -> Prepared:
    """Check a draft and write its event. Raises InputInvalid for NaN or infinities in it, a time without zone, or an empty id."""
    if not draft.id:
        raise InputInvalid(
            "a draft has no id", cause="the ledger finds repeated events by it", remedy="use noria.domain.ids.fresh()"
        )
    if draft.at.tzinfo is None:
        raise InputInvalid(f"event '{draft.id}' has a time without zone: {draft.at}", remedy="use datetime.now(UTC)")
    try:
        return Prepared(draft=draft, kind=kind_of(draft.event), event=canonical_text(draft.event))
    except InputInvalid as error:
        raise InputInvalid(
            f"event '{draft.id}' ({kind_of(draft.event)}) cannot stand in the ledger: {error.problem}",
            cause=error.cause,
            remedy=error.remedy,
        ) from error


def seal(prepared: Prepared, *, project: str, head: Head, recorded_at: datetime) -> tuple[Entry, StoredEntry]:
    """Give a draft the place after `head`. The body is the canonical form of the whole entry but its hash; the hash is the body's digest."""
    draft = prepared.draft
    entry = Entry(
        seq=head.seq + 1,
        id=draft.id,
        project=project,
        at=draft.at.astimezone(UTC),
        recorded_at=recorded_at.astimezone(UTC),
        actor=draft.actor,
        event=draft.event,
        previous=head.hash,
        hash="",
        cause=draft.cause,
    )
    # Keys in canonical order around the event that `prepare` has written: tests/wire holds this to canonical(entry).
    before = canonical_text({"actor": entry.actor, "at": entry.at, "cause": entry.cause})[:-1]
    after = canonical_text(
        {
            "id": entry.id,
            "previous": entry.previous,
            "project": project,
            "recorded_at": entry.recorded_at,
            "seq": entry.seq,
        }
    )[1:]
    body = f'{before},"event":{prepared.event},{after}'.encode()
    digest = digest_of(body)
    return msgspec.structs.replace(entry, hash=digest), StoredEntry(seq=entry.seq, body=body, hash=digest)


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """What a body says, all of it. Entry is this and the hash."""

    seq: int
    id: EventId
    project: str
    at: datetime
    recorded_at: datetime
    actor: str
    event: AnyEvent
    previous: str
    cause: EventId | None


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    """What verification needs of a body; kinds of events that this Noria does not know yet are no hindrance."""

    seq: int
    project: str
    previous: str


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    kind: str


class _AnyKind(msgspec.Struct, frozen=True, kw_only=True):
    event: _Kind


_bodies = msgspec.json.Decoder(_Body)
_links = msgspec.json.Decoder(_Link)
_kinds = msgspec.json.Decoder(_AnyKind)
KINDS = frozenset(kind.__name__ for kind in AnyEvent.__args__)
"""Names of all events that this Noria knows."""


def read(row: StoredEntry) -> Entry:
    """A stored row as an entry; its hash is taken as it stands (verify checks it). Raises StoreCorrupt; StoreNewer for unknown kinds."""
    try:
        body = _bodies.decode(row.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unreadable(row, error) from error
    return Entry(
        seq=body.seq,
        id=body.id,
        project=body.project,
        at=body.at,
        recorded_at=body.recorded_at,
        actor=body.actor,
        event=body.event,
        previous=body.previous,
        hash=row.hash,
        cause=body.cause,
    )


def _unreadable(row: StoredEntry, error: Exception) -> StoreNewer | StoreCorrupt:
    try:
        kind = _kinds.decode(row.body).event.kind
    except (msgspec.MsgspecError, UnicodeDecodeError):
        kind = ""
    if kind and kind not in KINDS:
        return StoreNewer(
            f"row {row.seq} of the ledger is a '{kind}', which this Noria does not know",
            cause="a newer Noria wrote to this project",
        )
    return StoreCorrupt(f"row {row.seq} of the ledger cannot be read", cause=str(error), remedy="noria audit verify")


def same_event(stored: Entry, again: Prepared) -> Entry:
    """The entry that stands under a repeated id. Raises AlreadyExists if it tells of another event."""
    if canonical_text(stored.event) != again.event:
        raise AlreadyExists(
            f"event '{stored.id}' stands in the ledger already, at row {stored.seq}, and differs",
            cause=f"there: {kind_of(stored.event)}, now: {again.kind}; an id is given once",
            remedy="give the new event an id of its own",
        )
    return stored


def verify(
    rows: Iterable[StoredEntry], *, project: str, head: Head | None = None, checkpoint: Head | None = None
) -> list[Break]:
    """Find every place where the chain is broken, by seq; an empty list means it is whole. Never raises for what the rows hold.

    head: what the newest row ought to be, by the store. checkpoint: a head that was noted elsewhere, perhaps long ago: it alone finds a chain that
    was rewritten or cut together with its head. Without either, rows missing from the end cannot be noticed.
    Costs one digest a row of time and about 200 bytes a row of memory.
    """
    breaks: list[Break] = []
    links: dict[int, tuple[str, _Link | None]] = {}
    newest = 0
    for row in rows:
        if row.seq in links:
            breaks.append(Break(seq=row.seq, problem=f"row {row.seq} stands in the ledger twice"))
            continue
        if row.seq < newest:
            breaks.append(Break(seq=row.seq, problem=f"row {row.seq} stands after row {newest}: rows were reordered"))
        newest = max(newest, row.seq)
        link, problem = _check_row(row, project)
        if problem:
            breaks.append(Break(seq=row.seq, problem=problem))
        links[row.seq] = (row.hash, link)
    breaks += _check_links(links, project)
    for known in dict.fromkeys((head, checkpoint)):
        if known is not None:
            breaks += _check_head(links, known, genesis(project))
    return sorted(breaks, key=lambda found: found.seq)


def _check_row(row: StoredEntry, project: str) -> tuple[_Link | None, str]:
    """One row by itself: its link if it can be trusted, else what is wrong."""
    if digest_of(row.body) != row.hash:
        return None, f"row {row.seq} was changed: its content does not match its hash"
    try:
        link = _links.decode(row.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return None, f"row {row.seq} was changed: it is no entry ({error})"
    if link.seq != row.seq:
        return None, f"row {row.seq} holds what was written as row {link.seq}: rows were reordered or renumbered"
    if link.project != project:
        return None, f"row {row.seq} belongs to project '{link.project}'"
    return link, ""


def _check_links(links: dict[int, tuple[str, _Link | None]], project: str) -> Iterable[Break]:
    """Gaps, and rows that were rewritten together with their hash."""
    for before, after in pairwise([0, *sorted(links)]):
        if after > before + 1:
            yield Break(seq=before + 1, problem=_missing(before + 1, after - 1))
            continue
        link = links[after][1]
        if link is None:
            continue
        if before == 0:
            if link.previous != genesis(project).hash:
                yield Break(
                    seq=after, problem=f"row {after} was rewritten: it does not begin where project '{project}' began"
                )
        elif link.previous != links[before][0] and links[before][1] is not None:
            yield Break(seq=before, problem=f"row {before} was rewritten: row {after} was chained to another")


def _check_head(links: dict[int, tuple[str, _Link | None]], head: Head, start: Head) -> Iterable[Break]:
    newest = max(links, default=0)
    if head.seq > newest:
        yield Break(seq=newest + 1, problem=f"{_missing(newest + 1, head.seq)} from the end")
        return
    expected = links[head.seq][0] if head.seq in links else start.hash if head.seq == 0 else head.hash
    if expected != head.hash:
        yield Break(seq=head.seq, problem=f"row {head.seq} was rewritten: it is not the one that the head names")


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"
