"""Models: registered names, versions with their meaning, aliases with their history, and signatures. Verbs are in registry/."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.gate import GateReport
from noria.domain.ids import Digest, EventId, RunId, TrainedModelId

FieldType = Literal["BOOL", "INT64", "FP32", "FP64", "BYTES"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One named input or output column of a model. Datatypes are those of the Open Inference Protocol; BYTES is text.

    width: values per row (1 for a plain column). categories: the values seen in training, for BYTES.
    minimum, maximum: the range of the numbers seen in training. It is shown, never enforced: what lies outside is drift, not an error.
    dims: the shape of one row's values where it is more than a list, such as (3, 32, 32); their product is the width.
    """

    name: str
    datatype: FieldType
    width: int = 1
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    dims: tuple[int, ...] = ()


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


class RegisteredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A name under which versions are registered."""

    name: str
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tags: dict[str, str] = {}


class Packaged(msgspec.Struct, frozen=True, kw_only=True):
    """What a version from outside was made into, so that it can be served. Said once of a version, like the bundle of one of the loop."""

    bundle: Digest
    flavor: str
    signature: Signature


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One registered version: what it is, where it came from and what it proved. Description and tags may change, nothing else.

    bundle, signature: None for a version that was registered from outside, until it is packaged (once). source: where its files are, a URI as whoever
    registered it gave it; '' if the bundle says all. trained: the trained model that it is. user: who registered it.
    architecture: what kind of model it is, as far as somebody said ('' if nobody did); versions of the loop say it in their tag of that name.
    """

    model: str
    number: int
    version: SemanticVersion
    version_reason: str
    run_id: RunId | None
    bundle: Digest | None
    flavor: str
    signature: Signature | None
    created_at: datetime
    datasets: tuple[Digest, ...] = ()
    gates: GateReport | None = None
    metrics: dict[str, float] = {}
    params: dict[str, str | int | float | bool | None] = {}
    tags: dict[str, str] = {}
    description: str = ""
    cause: EventId | None = None
    source: str = ""
    trained: TrainedModelId | None = None
    user: str = ""
    updated_at: datetime | None = None
    architecture: str = ""

    @property
    def ref(self) -> str:
        """`model/number`, as commands and pages write it."""
        return f"{self.model}/{self.number}"


class AliasMove(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an alias's history: who pointed it where, when, and why. number None: the alias was taken away."""

    model: str
    alias: str
    number: int | None
    previous: int | None
    at: datetime
    actor: str
    reason: str
    cause: EventId | None = None
