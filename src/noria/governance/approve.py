"""Whether a version may meet traffic: by its gates, or only when a person said so. Pure. Recording an approval is the ledger's. Called by loop/stages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.model import ModelVersion
from noria.errors import SettingInvalid


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's word for a version, with the reason."""

    number: int
    actor: str
    reason: str
    at: datetime


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Approved, and by whom; or what is still missing."""

    approved: bool
    by: str
    reason: str


def approve(version: ModelVersion, *, policy: str, approvals: Sequence[Approval] = ()) -> Judgement:
    """Judge by the policy: 'gates' follows the gates, 'person' waits for a person and still demands the gates. Raises SettingInvalid."""
    rule: Literal["gates", "person"]
    if policy not in ("gates", "person"):
        raise SettingInvalid(f"no approval policy {policy!r}", remedy="use 'gates' or 'person'")
    rule = "gates" if policy == "gates" else "person"
    if version.gates is None or not version.gates.passed:
        return Judgement(approved=False, by="", reason="its gates have not passed")
    if rule == "gates":
        return Judgement(approved=True, by="policy", reason=f"all {len(version.gates.results)} gates passed")
    for given in approvals:
        if given.number == version.number:
            return Judgement(approved=True, by=given.actor, reason=given.reason)
    return Judgement(approved=False, by="", reason="a person has not approved it yet")
