"""Runs: what was tried, with which parameters, and what came out. Recording is tracking/."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest, EventId, RunId

RunStatus = Literal["running", "finished", "failed"]
ParamValue = str | int | float | bool | None


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measured point of a series. step: position in the training (0 when there is none). NaN and infinities are kept."""

    key: str
    value: float
    step: int = 0
    at: datetime


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that belongs to a run."""

    path: str
    digest: Digest
    size: int


class CodeVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Which code ran: commit and whether the tree was dirty (None outside a repository), and a digest of the sources themselves."""

    digest: Digest
    commit: str | None = None
    dirty: bool | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution that is worth remembering. The metrics here are the last value of each series."""

    id: RunId
    experiment: str
    name: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    params: dict[str, ParamValue] = {}
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    artifacts: tuple[Artifact, ...] = ()
    datasets: tuple[Digest, ...] = ()
    seed: int | None = None
    code: CodeVersion | None = None
    environment: Digest | None = None
    parent: RunId | None = None
    cause: EventId | None = None
    error: str = ""
