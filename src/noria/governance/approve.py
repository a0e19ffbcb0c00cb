"""Whether a version may meet traffic: by its gates, or only when a person said so. Pure. Recording it is the ledger's. Called by loop/stages."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from noria.domain.model import ModelVersion
from noria.errors import SettingInvalid

POLICIES = ("gates", "person")


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word for one version. Without a name and a reason it is nobody's word."""

    model: str
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
    """Judge by the policy: 'gates' follows the gates, 'person' waits for a person and still demands the gates.

    Of several approvals the earliest counts; those without an actor or a reason, or for another version, do not. Raises SettingInvalid for another
    policy.
    """
    if policy not in POLICIES:
        raise SettingInvalid(f"no approval policy {policy!r}", remedy="use 'gates' or 'person'")
    if version.gates is None or not version.gates.passed:
        return Judgement(approved=False, by="", reason="its gates have not passed")
    if policy == "gates":
        return Judgement(approved=True, by="policy", reason=f"all {len(version.gates.results)} gates passed")
    given = [
        a
        for a in approvals
        if (a.model, a.number) == (version.model, version.number) and a.actor.strip() and a.reason.strip()
    ]
    if not given:
        return Judgement(approved=False, by="", reason="no person has approved it yet")
    first = min(given, key=lambda approval: approval.at)
    return Judgement(approved=True, by=first.actor, reason=first.reason)
