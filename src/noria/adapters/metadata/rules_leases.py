"""What every metadata adapter must decide alike about leases: who may take, extend and give back one. Pure; no time is known here.

Called by memory/leases and sql/leases, inside their transactions.
"""

from msgspec.structs import replace

from noria.domain.lease import Lease
from noria.errors import Conflict, InputInvalid, LeaseLost


def acquired(stored: Lease | None, name: str, *, holder: str, seconds: float, seen: Lease | None) -> Lease:
    """The lease after somebody asked for it. Raises Conflict, InputInvalid."""
    if not name or not holder or not seconds > 0:
        raise InputInvalid(
            "a lease needs a name, a holder, and seconds above 0",
            cause=f"name {name!r}, holder {holder!r}, seconds {seconds!r}",
        )
    if stored is not None and not stored.is_free and stored != seen:
        raise Conflict(
            f"lease '{name}' is held by '{stored.holder}'",
            cause="it gives signs of life"
            if seen is not None
            else f"others may take it after {stored.seconds:g} s without one",
            remedy="wait until it is given back or stands still",
        )
    return Lease(name=name, holder=holder, token=stored.token + 1 if stored else 1, seconds=seconds)


def renewed(stored: Lease | None, lease: Lease) -> Lease:
    """The lease after a sign of life. Raises LeaseLost."""
    if stored is None or (stored.token, stored.holder) != (lease.token, lease.holder):
        by = f"'{stored.holder}'" if stored is not None and not stored.is_free else "nobody"
        raise LeaseLost(
            f"lease '{lease.name}' is no longer held by '{lease.holder}'",
            cause=f"it stood still for too long, or was given back; now it is with {by}",
            remedy="stop what only its holder may do",
        )
    return replace(stored, beats=stored.beats + 1)


def released(stored: Lease | None, lease: Lease) -> Lease | None:
    """The lease when its holder gave it back; None: there was nothing to give back."""
    if stored is None or (stored.token, stored.holder) != (lease.token, lease.holder):
        return None
    return replace(stored, holder="")
