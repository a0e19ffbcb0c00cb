"""The leases port: who does what only one of several processes may do."""

from typing import Protocol

from noria.domain.lease import Lease


class LeaseStore(Protocol):
    """Leases by name, each changed by compare-and-swap. Thread-safe, durable when answered; several processes may ask at once.

    The store knows no time. Whoever wants a lease that is held looks at it, waits `seconds` of it by a clock of its own that never jumps, and takes
    it if it still stands as it was seen: clocks of different machines are never compared, and a lease whose holder is gone does not live for ever.
    """

    def find(self, name: str) -> Lease | None:
        """The lease as it stands; None if nobody ever took it."""
        ...

    def acquire(self, name: str, *, holder: str, seconds: float, seen: Lease | None = None) -> Lease:
        """Take a lease that is free, or that still stands exactly as `seen`: the new one has a higher token.

        Raises Conflict while somebody else holds it and gives signs of life; InputInvalid without a name, a holder, or seconds above 0.
        """
        ...

    def renew(self, lease: Lease) -> Lease:
        """A sign of life: one beat more. Raises LeaseLost if it was taken over or given back."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it back: it is free at once, and its token is never given again. One that was lost meanwhile stays as it is."""
        ...
