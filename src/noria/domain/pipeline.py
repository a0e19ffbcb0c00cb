"""Pipelines: steps, the plan that orders them, and what became of each. Planning and running is pipeline/."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest

StepState = Literal["cached", "done", "failed"]


class StepSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One step as declared: its name, the names of the steps whose results it takes, and the digest of its code."""

    name: str
    needs: tuple[str, ...] = ()
    code: Digest
    params: dict[str, str | int | float | bool | None] = {}
    cacheable: bool = True


class StepTask(msgspec.Struct, frozen=True, kw_only=True):
    """A step ready to run. cache_key addresses code + params + inputs + environment; key_parts names each part, so a miss can be explained."""

    step: str
    cache_key: Digest
    key_parts: dict[str, str]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Steps in an order in which every input exists before it is needed."""

    pipeline: str
    order: tuple[StepSpec, ...]
    environment: Digest


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a step left behind: the digest of its result, and whether it ran or was found."""

    step: str
    state: StepState
    cache_key: Digest
    output: Digest | None
    seconds: float
    why: str = ""
    """Why it ran: 'first run', 'code changed', 'input prepare changed', ... or where the cached result came from."""


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A step in the journal: who holds it, until when, and with which fencing token."""

    cache_key: Digest
    step: str
    state: Literal["leased", "done"]
    token: int
    holder: str
    leased_until: datetime
    key_parts: dict[str, str] = {}
    output: Digest | None = None
    seconds: float = 0.0
    run_id: str = ""
