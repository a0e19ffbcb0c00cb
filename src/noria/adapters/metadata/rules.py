"""What every metadata adapter must decide alike: when a write repeats an earlier one, when it contradicts it, who holds a step. Pure.

Keeping what was decided is memory.py and sqlite/; the chain of the ledger is wire/chain. Called by both adapters, inside their transactions.
"""

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from noria.domain.deployment import Deployment, Rollout
from noria.domain.ids import Digest
from noria.domain.ledger import Cursor, Head
from noria.domain.model import AliasMove, ModelVersion
from noria.domain.pipeline import JournalEntry, StepTask
from noria.domain.profile import WindowCounts
from noria.domain.run import Artifact, Metric, ParamValue, Run, RunStatus
from noria.errors import AlreadyExists, Conflict, InputInvalid, LeaseLost, NotFound, StaleWrite
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


# Runs


def point_key(point: Metric) -> tuple[int, int, int]:
    """What makes a point of a series: step, time and the bits of the value; also the order of the series. Raises InputInvalid."""
    if not -_INT64 <= point.step < _INT64:
        raise InputInvalid(f"metric '{point.key}' has step {point.step}, beyond 64 bits")
    return point.step, micros(point.at, what=f"metric '{point.key}'"), float_bits(point.value)


def float_bits(value: float) -> int:
    """A double as the 64-bit integer of the same bits: NaN and the two zeros stay what they are."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits


def bits_float(bits: int) -> float:
    """The double that `float_bits` gave."""
    value: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return value


def new_run(run: Run) -> tuple[Run, list[Metric]]:
    """A run as it is kept: without its metrics, which become the first points of their series. Raises InputInvalid."""
    if not run.id:
        raise InputInvalid("a run has no id", remedy="use noria.domain.ids.fresh()")
    micros(run.started_at, what=f"run '{run.id}'")
    points = [Metric(key=key, value=value, at=run.started_at) for key, value in run.metrics.items()]
    return replace(run, metrics={}), points


def same_run(made: Run, run: Run) -> None:
    """A repeated `create` must bring what the first one brought. made: the run as it was created. Raises AlreadyExists."""
    if fingerprint(run) != fingerprint(made):
        raise AlreadyExists(
            f"run '{run.id}' exists, and it began differently", remedy="give the new run an id of its own"
        )


def with_params(run: Run, params: Mapping[str, ParamValue]) -> Run:
    """A run with more params. Raises AlreadyExists if one has another value already (1, 1.0 and True are three values)."""
    for key, value in params.items():
        if key in run.params and fingerprint(run.params[key]) != fingerprint(value):
            raise AlreadyExists(
                f"param '{key}' of run '{run.id}' is {run.params[key]!r} and cannot become {value!r}",
                cause="a param says what a run was started with",
                remedy="start another run, or log a tag",
            )
    return replace(run, params={**run.params, **params})


def with_tags(run: Run, tags: Mapping[str, str]) -> Run:
    """A run with tags set; the last value counts."""
    return replace(run, tags={**run.tags, **tags})


def with_artifacts(run: Run, artifacts: Sequence[Artifact]) -> Run:
    """A run with files attached, one a path. Raises AlreadyExists if a path holds other content already."""
    held = {artifact.path: artifact for artifact in run.artifacts}
    for artifact in artifacts:
        if held.setdefault(artifact.path, artifact) != artifact:
            raise AlreadyExists(
                f"run '{run.id}' has another artifact at '{artifact.path}'", remedy="choose another path"
            )
    return replace(run, artifacts=tuple(held.values()))


def finished(run: Run, *, status: RunStatus, at: datetime, error: str) -> Run:
    """A run that has ended. Ending it the same way again changes nothing, not even the time. Raises Conflict, InputInvalid."""
    if status == "running":
        raise InputInvalid("a run cannot end as 'running'", remedy="use 'finished' or 'failed'")
    micros(at, what=f"the end of run '{run.id}'")
    if run.status == "running":
        return replace(run, status=status, finished_at=at, error=error)
    if (run.status, run.error) != (status, error):
        raise Conflict(f"run '{run.id}' has {run.status} already and cannot end as '{status}'", cause=run.error)
    return run


# Models


def check_version(version: ModelVersion) -> None:
    """Numbers count from 1. Raises InputInvalid."""
    if version.number < 1:
        raise InputInvalid(f"a version of model '{version.model}' has number {version.number}", remedy="count from 1")
    micros(version.created_at, what=f"version {version.ref}")


def same_version(stored: ModelVersion, version: ModelVersion) -> ModelVersion:
    """A repeated `register` must bring the same version. Raises AlreadyExists."""
    if fingerprint(stored) == fingerprint(version):
        return stored
    if stored.number == version.number:
        raise AlreadyExists(f"version {stored.ref} exists, and it differs", remedy="register it under the next number")
    raise AlreadyExists(
        f"run '{version.run_id}' is registered already, as {stored.ref}", remedy="use that version, or train again"
    )


def same_move(earlier: AliasMove, move: AliasMove) -> bool:
    """Whether a move was made before: by its cause, or without one by all it says. Raises AlreadyExists if the cause moved it elsewhere."""
    if move.cause is None:
        return replace(earlier, previous=None) == replace(move, previous=None)
    if earlier.cause != move.cause:
        return False
    if earlier.number != move.number:
        raise AlreadyExists(
            f"event '{move.cause}' pointed alias '{move.alias}' of '{move.model}' to {earlier.number}, not to {move.number}",
            cause="a cause moves an alias once",
        )
    return True


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


def check_windows(windows: Sequence[WindowCounts]) -> None:
    """A window ends after it begins. Raises InputInvalid."""
    for window in windows:
        if micros(window.until, what="a window") <= micros(window.since, what="a window"):
            raise InputInvalid(
                f"a window of '{window.deployment}' ends at {window.until.isoformat()}, not after its beginning",
                cause=f"it begins at {window.since.isoformat()}",
            )


def missing_run(run_id: str) -> NotFound:
    """What to say when there is no such run."""
    return NotFound.of("run", run_id, remedy="noria runs")
