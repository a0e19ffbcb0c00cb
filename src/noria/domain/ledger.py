"""The ledger's own nouns: what is written, what stands written, and how far somebody has read. Writing is the Ledger port."""

from datetime import datetime

import msgspec

from noria.domain.events import AnyEvent
from noria.domain.ids import EventId, derive


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way into the ledger. The same id twice is the same event: the second append changes nothing."""

    id: EventId
    at: datetime
    actor: str
    event: AnyEvent
    cause: EventId | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger. seq counts from 1 without gaps; hash covers the canonical form of everything else, `previous` included.

    at: when it happened by the project's clock. recorded_at: when the store wrote it, by the store's own clock.
    """

    seq: int
    id: EventId
    project: str
    at: datetime
    recorded_at: datetime
    actor: str
    event: AnyEvent
    previous: str
    hash: str
    cause: EventId | None = None


class StoredEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A row as the store holds it, unparsed: verification reads these bytes, never a re-encoding of them."""

    seq: int
    body: bytes
    hash: str


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a reader has worked through the ledger: it has dealt with every entry up to and including `seq`."""

    name: str
    seq: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The newest row; an empty ledger has seq 0 and the hash of its project's name."""

    seq: int
    hash: str


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain is broken, and how."""

    seq: int
    problem: str


def caused(cause: Entry | Draft, stage: str, ordinal: int = 0) -> EventId:
    """The id of the event that `stage` appends because of `cause`: the same after a crash, so it is written once."""
    return EventId(derive(cause.id, stage, str(ordinal)))
