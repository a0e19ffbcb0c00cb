"""Declarations: what somebody wants to answer under a name, as noria.toml, `noria deploy` and the API say it. Comparing is serving/plan."""

from typing import Literal

import msgspec

from noria.domain.deployment import CanaryPlan
from noria.domain.policy import Policy
from noria.domain.trigger import TriggerRule


class DeclaredVariant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One variant as declared. version: a number, a semantic version, `@alias`, or `stable`; weight: its share of the traffic."""

    name: str
    version: str
    weight: float = 1.0
    shadow: bool = False


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall answer under a name: `[deployments.NAME]` of noria.toml.

    recipe: `file.py:NAME` of the Recipe by which the loop trains for it; empty: versions come from elsewhere. variants: empty when the loop, or
    `noria deploy`, chooses the champion; one named `challenger` is tried by the canary. canary, policy: empty (None) takes the recipe's; where a
    canary is declared, another champion is let in by it, else at once. approval: `gates`, or `person`. alias: the alias of the model that follows
    the champion of this deployment (give a staging its own; empty: none does). sticky_by, fallback, header_override: as of a Deployment.
    """

    model: str
    recipe: str = ""
    variants: tuple[DeclaredVariant, ...] = ()
    sticky_by: str = "request"
    header_override: bool = True
    fallback: str = "stable"
    canary: CanaryPlan | None = None
    policy: Policy | None = None
    approval: Literal["", "gates", "person"] = ""
    triggers: tuple[TriggerRule, ...] = ()
    alias: str = "champion"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that `apply` would change: from what, to what, and what follows for callers."""

    deployment: str
    field: str
    before: str
    after: str
    consequence: str = ""


class DeploymentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `apply` would change, and the generations it was compared with: applying refuses if one has moved since.

    notes: what is declared and is left as it stands, and why (a version that was rolled back, a deployment that is stopped).
    """

    differences: tuple[Difference, ...] = ()
    generations: dict[str, int] = {}
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether what is declared is what stands."""
        return not self.differences
