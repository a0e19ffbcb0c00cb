"""Lineage is a fold over the ledger: walk the causes back. Reads only. Called by app/why and the pages."""

from noria.domain.ids import EventId
from noria.domain.ledger import Entry
from noria.errors import NotFound
from noria.ports.ledger import Ledger


def causes(ledger: Ledger, event_id: EventId, *, limit: int = 200) -> list[Entry]:
    """The event and everything that led to it, oldest first. Stops after `limit` steps; a missing cause ends the walk."""
    walk: list[Entry] = []
    seen: set[EventId] = set()
    current: EventId | None = event_id
    while current is not None and current not in seen and len(walk) < limit:
        seen.add(current)
        try:
            entry = ledger.get(current)
        except NotFound:
            break
        walk.append(entry)
        current = entry.cause
    return walk[::-1]
