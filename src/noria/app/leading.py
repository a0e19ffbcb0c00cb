"""Leading: of several control planes of one project, one turns the wheel, by a lease that it must keep renewing. Called by `noria up`.

Time here is a clock that never jumps, each process its own: a leader counts from before it sent its sign of life, a follower from when it saw it,
so a leader has stopped before a follower begins (clocks would have to run at different speeds). A process that slept through it all may still be at
work when it wakes; nothing is doubled then either, because the wheel writes each effect once (docs/adr/0012-exactly-once.md).
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from noria.domain.events import LeaderElected
from noria.domain.ids import EventId, derive, fresh
from noria.domain.lease import Lease
from noria.domain.ledger import Draft
from noria.errors import Conflict, LeaseLost, NoriaError
from noria.ports.clock import Clock
from noria.ports.leases import LeaseStore
from noria.ports.ledger import Ledger

LEASE = "loop"
SECONDS = 15.0
BEATS = 3
"""Signs of life within the length of a lease."""

log = logging.getLogger(__name__)


class Leadership:
    """One candidate. seconds: after so long without a sign of life another takes over. holder: who this is; unique by default.

    clock: for the time in the ledger only. monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self,
        leases: LeaseStore,
        ledger: Ledger,
        *,
        clock: Clock,
        seconds: float = SECONDS,
        holder: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases, self._ledger, self._clock = leases, ledger, clock
        self._seconds, self._monotonic = seconds, monotonic
        self.holder = holder or f"{socket.gethostname()}:{os.getpid()}:{fresh()[:8]}"
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._until = 0.0
        self._seen: tuple[Lease, float] | None = None
        self._untold: LeaderElected | None = None
        self._is_away = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_leader(self) -> bool:
        """Whether nobody else can have taken over by now."""
        return self._lease is not None and self._monotonic() < self._until

    @property
    def look_s(self) -> float:
        """Seconds between two beats."""
        return self._seconds / BEATS

    def beat(self) -> bool:
        """Give a sign of life, or try to lead; gives whether this one leads. Never raises for a store that is away: the lease then runs out."""
        with self._lock:
            try:
                self._renew() if self._lease is not None else self._try()
                self._tell()
                self._is_away = False
            except NoriaError as error:
                log.log(
                    logging.DEBUG if self._is_away else logging.WARNING,
                    "the lease of the loop could not be asked for: %s",
                    error,
                )
                self._is_away = True  # said once, until it is back
            return self.is_leader

    def start(self) -> None:
        """Beat in the background until `stop`."""
        self.beat()
        self._thread = threading.Thread(target=self._beats, name="leading", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give the lease back, so that another may lead at once."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._seconds)
        with self._lock:
            lease, self._lease = self._lease, None
            if lease is not None:
                try:
                    self._leases.release(lease)
                except NoriaError as error:
                    log.warning("the lease of the loop could not be given back, it runs out: %s", error)

    def _beats(self) -> None:
        while not self._stop.wait(self.look_s):
            self.beat()

    def _renew(self) -> None:
        assert self._lease is not None
        began = self._monotonic()
        try:
            self._lease = self._leases.renew(self._lease)
        except LeaseLost as error:
            log.warning("this control plane leads no longer: %s", error.cause)
            self._lease = None
            return
        self._until = began + self._seconds

    def _try(self) -> None:
        began = self._monotonic()
        found = self._leases.find(LEASE)
        now = self._monotonic()
        if found is None or found.is_free:
            reason = "there was no leader" if found is None else "the leader before gave the lease back"
        elif self._seen is None or self._seen[0] != found:
            self._seen = (found, now)
            return
        elif now - self._seen[1] < found.seconds:
            return
        else:
            reason = f"{found.holder} gave no sign of life for {found.seconds:g} s"
        try:
            lease = self._leases.acquire(LEASE, holder=self.holder, seconds=self._seconds, seen=found)
        except Conflict:
            return  # another candidate was faster, or the leader lives after all
        self._lease, self._until, self._seen = lease, began + self._seconds, None
        self._untold = LeaderElected(holder=self.holder, token=lease.token, reason=reason)

    def _tell(self) -> None:
        """Put the change of leader on record; after an error again with the next beat."""
        if self._untold is None:
            return
        event_id = EventId(derive("leader", LEASE, str(self._untold.token)))
        draft = Draft(id=event_id, at=self._clock.now(), actor=self.holder, event=self._untold)
        self._ledger.append([draft])
        self._untold = None


def strokes(
    stroke: Callable[[], object],
    leadership: Leadership,
    *,
    every_s: float,
    stop: threading.Event,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Strike as long as this one leads, until told to stop. One that takes over strikes at once; the first stroke of all comes after `every_s`.

    A stroke that fails, by whatever fault, is written to the log and the next one is tried: a leader whose loop has died would lead for nothing.
    """
    look_s = min(every_s, leadership.look_s)
    due = monotonic() + every_s
    while not stop.wait(look_s):
        if monotonic() < due or not leadership.is_leader:
            continue
        try:
            stroke()
        except NoriaError as error:
            log.error("a stroke of the loop's clock failed: %s", error, exc_info=error)
        except Exception as error:
            log.error("a stroke of the loop's clock failed unexpectedly", exc_info=error)
        due = monotonic() + every_s
