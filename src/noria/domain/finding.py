"""Findings: what is wrong and is no drift: broken input, skew, silence, a slice or a group. Finding them is monitoring/data_quality and its kin."""

from datetime import datetime
from typing import Literal

import msgspec

FindingKind = Literal[
    "schema",
    "type",
    "missing",
    "infinite",
    "range",
    "unseen",
    "constant",
    "stale",
    "duplicate",
    "volume",
    "silence",
    "skew",
    "damaged",
    "clock",
    "slice",
    "group",
]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with what a deployment was sent, or answered, in a stretch of time.

    about: the column, slice or group; "" means the table as a whole. value: what was measured; usual: what the reference led to expect; allowed:
    how large the value may be (or how small, for what may be too few); all three in `unit`. rows: what the value rests on.
    evidence: log10 of an e-value against "the value is within what is allowed"; None where counting leaves nothing to chance.
    summary: one sentence for people. remedy: what to look at next. deployment and number are "" and 0 for tables that nobody serves.
    """

    kind: FindingKind
    about: str = ""
    severity: Literal["info", "warn", "page"] = "warn"
    value: float
    usual: float = 0.0
    allowed: float = 0.0
    unit: str = "share of rows"
    rows: int = 0
    evidence: float | None = None
    summary: str
    remedy: str = ""
    deployment: str = ""
    number: int = 0
    since: datetime | None = None
    until: datetime | None = None
