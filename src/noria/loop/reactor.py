"""The reactor: reads the ledger in order and does, for each event, what the wheel says. Exactly once by ADR 12. Called by app/ and the demo.

Effects and cursor move in one transaction of the ledger. What a stage leaves outside the ledger (runs, bundles, generations) is written under
ids derived from the cause, so a repeated stage meets its own work.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from noria.domain.events import AnyEvent, StageFailed, kind_of
from noria.domain.ids import EventId, derive
from noria.domain.ledger import Cursor, Draft, Entry, caused
from noria.errors import AlreadyExists, NoriaError
from noria.loop.context import Context, Timed

Stage = Callable[[Entry, Context], Sequence[AnyEvent]]
Tick = Callable[[Context], Sequence[Timed]]

ACTOR = "noria"

log = logging.getLogger(__name__)


def struck(tick: str, key: str) -> EventId:
    """The id of what a tick brings under a key."""
    return EventId(derive("tick", tick, key))


class Reactor:
    """Turns one wheel over one ledger. Several may run at once: each effect is still written once."""

    def __init__(
        self, context: Context, *, stages: Mapping[type, Stage], ticks: Mapping[str, Tick], name: str = "wheel"
    ) -> None:
        self._context = context
        self._stages = stages
        self._ticks = ticks
        self._name = name

    def turn(self) -> int:
        """Work through everything that stands in the ledger, including what this adds. Gives the number of entries dealt with.

        A retryable error (a full disk, a store that is away) is raised and leaves the cursor where it was; any other becomes a StageFailed event.
        """
        ledger = self._context.ledger
        dealt = 0
        position = ledger.cursor(self._name).seq
        while entries := ledger.read(after=position, limit=64):
            for entry in entries:
                self._deal(entry)
                position = entry.seq
                dealt += 1
        return dealt

    def tick(self) -> int:
        """Finish what stands, do what the clock asks for, then turn. Gives the number of entries dealt with.

        What stands comes first: so a loop that died between two events goes on in the order in which it would have gone on.
        """
        dealt = self.turn()
        for name, tick in self._ticks.items():
            drafts: list[Draft] = []
            brought = tick(self._context)
            for timed in brought:
                drafts.append(self._draft(struck(name, timed.key), timed.event, cause=timed.cause))
                if timed.advance is not None:
                    self._append(drafts, advance=timed.advance, apart=True)
                    drafts = []
            if drafts:
                self._append(drafts, apart=True)
            if brought:
                dealt += self.turn()
        return dealt + self.turn()

    def _deal(self, entry: Entry) -> None:
        stage = self._stages.get(type(entry.event))
        done = Cursor(name=self._name, seq=entry.seq)
        if stage is None:
            self._context.ledger.append([], advance=done)
            return
        name = stage.__name__
        try:
            events: Sequence[AnyEvent] = stage(entry, self._context)
        except NoriaError as error:
            if error.retryable:
                raise
            log.error("stage %s failed for good", name, exc_info=error, extra=_said(entry.event))
            events = [StageFailed(stage=name, error_code=error.code, error=str(error))]
        except Exception as error:
            log.error("stage %s failed unexpectedly", name, exc_info=error, extra=_said(entry.event))
            events = [StageFailed(stage=name, error_code="noria-7001", error=f"{type(error).__name__}: {error}")]
        drafts = [self._draft(caused(entry, name, i), event, cause=entry.id) for i, event in enumerate(events)]
        self._append(drafts, advance=done)

    def _append(self, drafts: Sequence[Draft], *, advance: Cursor | None = None, apart: bool = False) -> None:
        """Write effects. apart: they have nothing to do with each other, so that one which stands already, told otherwise, keeps no other back."""
        try:
            self._context.ledger.append(drafts, advance=advance)
            for draft in drafts:
                log.info("%s", kind_of(draft.event), extra=_said(draft.event))
        except AlreadyExists:
            # Another reactor dealt with this while we did: what it wrote stands.
            if apart and len(drafts) > 1:
                for draft in drafts:
                    self._append([draft])
            if advance is not None:
                self._context.ledger.append([], advance=advance)

    def _draft(self, event_id: EventId, event: AnyEvent, *, cause: EventId | None) -> Draft:
        return Draft(id=event_id, at=self._context.clock.now(), actor=ACTOR, event=event, cause=cause)


def _said(event: AnyEvent) -> dict[str, str]:
    """An event as fields of a line in the log."""
    deployment = getattr(event, "deployment", "")
    return {"event.action": kind_of(event), **({"noria.deployment": deployment} if deployment else {})}
