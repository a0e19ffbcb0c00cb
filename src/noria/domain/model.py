"""Models: registered names, versions with their meaning, aliases with their history, and signatures. Verbs are in registry/."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.gate import GateReport
from noria.domain.ids import Digest, EventId, RunId

FieldType = Literal["BOOL", "INT64", "FP32", "FP64", "BYTES"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One named input or output column of a model. Datatypes are those of the Open Inference Protocol; BYTES is text.

    width: values per row (1 for a plain column). categories: the values seen in training, for BYTES.
    """

    name: str
    datatype: FieldType
    width: int = 1
    nullable: bool = False
    categories: tuple[str, ...] | None = None


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes and gives, column by column."""

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]

    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(f.name for f in self.inputs)


class SemanticVersion(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """MAJOR: architecture or training data changed; MINOR: hyper-parameters; PATCH: fixes.

    >>> str(SemanticVersion(major=2, minor=1, patch=0))
    '2.1.0'
    """

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One registered version: what it is, where it came from and what it proved."""

    model: str
    number: int
    version: SemanticVersion
    version_reason: str
    run_id: RunId
    bundle: Digest
    flavor: str
    signature: Signature
    created_at: datetime
    datasets: tuple[Digest, ...] = ()
    gates: GateReport | None = None
    metrics: dict[str, float] = {}
    params: dict[str, str | int | float | bool | None] = {}
    tags: dict[str, str] = {}
    description: str = ""
    cause: EventId | None = None

    @property
    def ref(self) -> str:
        """`model/number`, as commands and pages write it."""
        return f"{self.model}/{self.number}"


class AliasMove(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an alias's history: who pointed it where, when, and why."""

    model: str
    alias: str
    number: int
    previous: int | None
    at: datetime
    actor: str
    reason: str
    cause: EventId | None = None
