"""What every metadata adapter must decide alike: times and bits, deployments, who holds a step, windows of counts. Pure.

Runs are rules_runs.py, trained models rules_trained.py, registered models and the feed rules_registry.py; the chain of the ledger is wire/chain.
Called by the adapters, inside their transactions.
"""

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from noria.domain.deployment import Deployment, Rollout
from noria.domain.ids import Digest
from noria.domain.ledger import Cursor, Head
from noria.domain.pipeline import JournalEntry, StepTask
from noria.domain.profile import WindowCounts
from noria.domain.sketch import WindowSketches
from noria.errors import AlreadyExists, Conflict, InputInvalid, LeaseLost, StaleWrite
from noria.wire.nouns import fingerprint

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64 = 2**63


def micros(moment: datetime, *, what: str = "a time") -> int:
    """Microseconds since 1970 in UTC, exactly. Raises InputInvalid for a time without zone.

    >>> moment(micros(datetime(2013, 3, 1, tzinfo=UTC))).isoformat()
    '2013-03-01T00:00:00+00:00'
    """
    if moment.tzinfo is None:
        raise InputInvalid(f"{what} has no time zone: {moment}", remedy="use datetime.now(UTC)")
    return (moment - EPOCH) // _MICROSECOND


def moment(since_epoch: int) -> datetime:
    """The time that `micros` gave."""
    return EPOCH + since_epoch * _MICROSECOND


def project_of(name: str) -> str:
    """A project's name, as long as it has one. Raises InputInvalid."""
    if not name or name != name.strip() or not name.isprintable():
        raise InputInvalid(f"{name!r} is no name of a project", remedy="give it a name such as 'flights'")
    return name


# Ledger


def check_advance(advance: Cursor, head: Head) -> None:
    """A cursor stands at a row that exists. Raises InputInvalid; ahead of the head it would skip what comes next."""
    if not 0 <= advance.seq <= head.seq:
        raise InputInvalid(
            f"cursor '{advance.name}' cannot stand at {advance.seq}", cause=f"the ledger ends at row {head.seq}"
        )


# Values


def float_bits(value: float) -> int:
    """A double as the 64-bit integer of the same bits: NaN and the two zeros stay what they are."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits


def bits_float(bits: int) -> float:
    """The double that `float_bits` gave."""
    value: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return value


# Deployments


def next_generation(stored: Deployment | None, same_number: Deployment | None, deployment: Deployment) -> bool:
    """Whether to write the deployment (False: it stands there already).

    stored: the newest generation; same_number: what stands under the generation that is to be written. Raises StaleWrite.
    """
    micros(deployment.updated_at, what=f"deployment '{deployment.name}'")
    if same_number is not None and fingerprint(same_number) == fingerprint(deployment):
        return False
    newest = stored.generation if stored else 0
    if deployment.generation != newest + 1:
        raise StaleWrite(
            f"deployment '{deployment.name}' stands at generation {newest}; {deployment.generation} cannot follow it",
            cause="somebody else changed it since it was read",
        )
    return True


def rollouts_of(history: Sequence[Deployment]) -> list[Rollout]:
    """Every rollout in its latest known state, in the order in which they began. history: oldest first."""
    known: dict[str, Rollout] = {}
    for deployment in history:
        if deployment.rollout is not None:
            known[deployment.rollout.id] = deployment.rollout
    return list(known.values())


# Journal


def leased(
    stored: JournalEntry | None, task: StepTask, *, holder: str, now: datetime, seconds: float, run_id: str
) -> JournalEntry:
    """The entry after somebody asked for a step: the done one, or a new lease with a higher token.

    The same holder may ask again: its earlier self is fenced off like any other. Raises Conflict while another one's lease runs.
    """
    micros(now, what="now")
    if stored is not None and stored.state == "done":
        return stored
    if stored is not None and stored.leased_until > now and stored.holder != holder:
        raise Conflict(
            f"step '{task.step}' is held by '{stored.holder}' until {stored.leased_until.isoformat()}",
            remedy="wait for its result, or for the lease to run out",
        )
    return JournalEntry(
        cache_key=task.cache_key,
        step=task.step,
        state="leased",
        token=stored.token + 1 if stored else 1,
        holder=holder,
        leased_until=now + timedelta(seconds=seconds),
        key_parts=task.key_parts,
        run_id=run_id,
    )


def extended(stored: JournalEntry | None, entry: JournalEntry, *, now: datetime, seconds: float) -> JournalEntry:
    """The entry after a heartbeat; a step done meanwhile by the same holder stays done. Raises LeaseLost."""
    current = _held(stored, entry)
    if current.state == "done":
        return current
    return replace(current, leased_until=now + timedelta(seconds=seconds))


def committed(stored: JournalEntry | None, entry: JournalEntry, *, output: Digest, seconds: float) -> JournalEntry:
    """The entry when its step is done. The same again changes nothing. Raises LeaseLost; AlreadyExists for another output."""
    current = _held(stored, entry)
    if current.state == "leased":
        return replace(current, state="done", output=output, seconds=seconds)
    if current.output != output:
        raise AlreadyExists(
            f"step '{entry.step}' is done, with another output", cause=f"{current.output}, not {output}"
        )
    return current


def released(stored: JournalEntry | None, entry: JournalEntry) -> JournalEntry | None:
    """The entry when its holder gave up: free, with a token that fences the holder off. None: there was nothing to give back."""
    if stored is None or stored.state == "done" or stored.token != entry.token:
        return None
    return replace(stored, token=stored.token + 1, holder="", leased_until=EPOCH)


def _held(stored: JournalEntry | None, entry: JournalEntry) -> JournalEntry:
    if stored is None or stored.token != entry.token:
        by = f"'{stored.holder}'" if stored and stored.holder else "nobody"
        raise LeaseLost(
            f"step '{entry.step}' is no longer held by '{entry.holder}'",
            cause=f"its lease ran out or was given back; now it is with {by}",
            remedy="drop this result: the step runs again, or has run, elsewhere",
        )
    return stored


# Counts


def check_windows(windows: Sequence[WindowCounts] | Sequence[WindowSketches]) -> None:
    """A window ends after it begins, and its tier is a length. Raises InputInvalid."""
    for window in windows:
        if window.step < 0:
            raise InputInvalid(f"a window of '{window.deployment}' stands in a tier of {window.step} seconds")
        if micros(window.until, what="a window") <= micros(window.since, what="a window"):
            raise InputInvalid(
                f"a window of '{window.deployment}' ends at {window.until.isoformat()}, not after its beginning",
                cause=f"it begins at {window.since.isoformat()}",
            )


def check_parts(parts: Mapping[str, int]) -> None:
    """No part has fewer than no rows. Raises InputInvalid."""
    for name, rows in parts.items():
        if rows < 0:
            raise InputInvalid(f"part '{name}' cannot have {rows} rows")
