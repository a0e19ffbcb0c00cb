"""Deployments: which versions answer under one name, how traffic is split, and how a rollout stands. Routing is serving/route."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest, EventId, RolloutId
from noria.domain.interval import Interval

VariantRole = Literal["champion", "challenger"]


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One version inside a deployment. weight: share of the traffic in [0, 1]."""

    name: VariantRole
    model: str
    number: int
    version: str
    bundle: Digest
    weight: float


class CanaryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a challenger is let in. weight: its share; the verdict is looked for from `minimum_labels` on, at the latest after `maximum_days`.

    error_rate: bound on the chance of promoting a worse (or rolling back a not worse) challenger, over all looks together.
    tolerance: largest loss of quality (log loss) that counts as 'not worse'.
    """

    weight: float = 0.2
    minimum_labels: int = 500
    maximum_days: float = 7.0
    error_rate: float = 0.05
    tolerance: float = 0.005
    maximum_error_share: float = 0.01
    paired: bool = False
    """Answers do not change what happens (a forecast does not delay a flight), so both versions may be scored on every labelled row."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout's evidence says now. difference: challenger minus champion, log loss (below 0: the challenger is better)."""

    outcome: Literal["wait", "promote", "roll_back"]
    reason: str
    difference: Interval | None = None
    champion_labels: int = 0
    challenger_labels: int = 0
    looks: int = 0


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A challenger beside its champion, from its start to its verdict."""

    id: RolloutId
    challenger: int
    champion: int
    plan: CanaryPlan
    started_at: datetime
    cause: EventId
    ended_at: datetime | None = None
    outcome: Literal["running", "promoted", "rolled_back"] = "running"
    verdict: Verdict | None = None


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What answers under a name. generation rises by one with each change; workers report which one they serve."""

    name: str
    model: str
    generation: int
    variants: tuple[Variant, ...]
    updated_at: datetime
    rollout: Rollout | None = None
    sticky_by: str = "request"
    cause: EventId | None = None

    def variant(self, name: VariantRole) -> Variant | None:
        """The variant of this role, if there is one."""
        return next((v for v in self.variants if v.name == name), None)
