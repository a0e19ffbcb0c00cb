"""How much of what is answered is recorded, and what of it: a share of the requests, and columns that are left out or replaced by a digest.

Pure. The ring that applies it is record, the setting app/settings; a record says its share and its redacted columns itself.
"""

from collections.abc import Mapping

import msgspec
from blake3 import blake3

from noria.domain.model import Signature
from noria.domain.prediction import Column, PredictionRecord
from noria.errors import SettingInvalid
from noria.serving.route import position

SALT = "recording"
"""Of the place that decides about sampling, so that it is independent of routing, which looks at the same id."""
SALT_BYTES = 32
DIGEST_BYTES = 16


class Recording(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the log keeps of one deployment.

    rate: share of the requests, in (0, 1]; the same request id is always decided alike. leave_out: inputs that are not recorded. digest: text inputs
    recorded as a salted digest: equal values stay equal, and cannot be read back or guessed without the salt.
    """

    rate: float = 1.0
    leave_out: tuple[str, ...] = ()
    digest: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate is {self.rate}; it is a share above 0 and up to 1")
        both = set(self.leave_out) & set(self.digest)
        if both:
            raise ValueError(f"{sorted(both)[0]!r} is both left out and replaced by a digest")

    @property
    def redacted(self) -> tuple[str, ...]:
        """Every input that is not recorded as it was sent, sorted."""
        return tuple(sorted({*self.leave_out, *self.digest}))


EVERYTHING = Recording()


def is_kept(recording: Recording, request_id: str) -> bool:
    """Whether a request is recorded: decided by its id alone, so retries and every process agree.

    >>> kept = [is_kept(Recording(rate=0.25), f"r{n}") for n in range(1000)]
    >>> 200 < sum(kept) < 300, kept == [is_kept(Recording(rate=0.25), f"r{n}") for n in range(1000)]
    (True, True)
    """
    return recording.rate >= 1 or position(request_id, salt=SALT) < recording.rate


def as_set(record: PredictionRecord, recording: Recording, *, salt: bytes) -> PredictionRecord:
    """The record as the log keeps it: with its sampling rate, and without the columns that shall not be there."""
    if recording == EVERYTHING:
        return record
    inputs: dict[str, Column] = {}
    for name, values in record.inputs.items():
        if _is_of(name, recording.digest):
            inputs[name] = [None if value is None else digest_of_value(str(value), salt) for value in values]
        elif not _is_of(name, recording.leave_out):
            inputs[name] = values
    return msgspec.structs.replace(record, inputs=inputs, sampled=recording.rate, redacted=recording.redacted)


def digest_of_value(value: str, salt: bytes) -> str:
    """32 hexadecimal characters. salt: 32 bytes, kept with the project."""
    return blake3(value.encode(), key=salt).hexdigest(DIGEST_BYTES)


def check_against(recording: Recording, signature: Signature, *, deployment: str) -> None:
    """Refuse names that are no inputs (a slip of the pen would record what shall not be), and digests of what is no text.

    Raises SettingInvalid.
    """
    fields = {field.name: field for field in signature.inputs}
    setting = f"[serving.recording.{deployment}]"
    for name in recording.redacted:
        if name not in fields:
            raise SettingInvalid(
                f"{setting} names {name!r}, and the model has no such input",
                cause=f"its inputs: {', '.join(repr(n) for n in fields)}",
                remedy=f"correct {setting}",
            )
    for name in recording.digest:
        if fields[name].datatype != "BYTES":
            raise SettingInvalid(
                f"{setting} asks for a digest of {name!r}, which is {fields[name].datatype}",
                cause="a number has too few values to hide behind a digest",
                remedy=f"move {name!r} to leave_out",
            )


def parse(text: str) -> dict[str, Recording]:
    """Deployment -> Recording, from JSON as a worker is given it. Raises SettingInvalid."""
    try:
        return msgspec.json.decode(text, type=dict[str, Recording])
    except msgspec.DecodeError as exc:
        raise SettingInvalid(
            "what shall be recorded cannot be read",
            cause=str(exc),
            remedy='give {"deployment": {"rate": 0.1, "leave_out": ["name"]}}',
        ) from exc


def written(recordings: Mapping[str, Recording]) -> str:
    """The JSON that `parse` reads; '' if everything is recorded."""
    return msgspec.json.encode(recordings).decode() if recordings else ""


def _is_of(column: str, names: tuple[str, ...]) -> bool:
    """Whether a recorded column is an input of these, or a part `name.0` of one."""
    stem, _, part = column.rpartition(".")
    return column in names or (part.isdecimal() and stem in names)
