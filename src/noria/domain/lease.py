"""Leases: who does what only one may do, for as long as it gives signs of life. Keeping them is ports/leases; leading by one is app/leading."""

import msgspec


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """One lease as it stands. holder: who has it; '' when it is free. seconds: how long without a beat others must see it stand before they take it.

    token rises with every change of the holder and never falls: what carries an old one comes from somebody who was replaced. beats: signs of life
    since it was taken. No time stands in it: each process goes by its own clock, and only by one that never jumps.
    """

    name: str
    holder: str
    token: int
    beats: int = 0
    seconds: float = 15.0

    @property
    def is_free(self) -> bool:
        """Whether nobody holds it."""
        return not self.holder
