"""Deployments: which versions answer under one name, how traffic is split, and how a rollout stands. Routing is serving/route."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest, EventId, RolloutId
from noria.domain.interval import Interval

VariantRole = str
"""`champion` answers for the name, there is exactly one; `challenger` is the one that a rollout tries; any other name is a declared arm."""

RolloutMode = Literal["canary", "ab", "shadow", "bandit"]
Measure = Literal["errors", "latency", "disagreement", "quality", "business"]


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One version inside a deployment. weight: share of the traffic in [0, 1].

    shadow: it gets a copy of requests that others answer, off their path, and its answers are kept for comparison; its weight is then the share of
    requests that are copied, and no caller ever sees what it said.
    """

    name: VariantRole
    model: str
    number: int
    version: str
    bundle: Digest
    weight: float
    shadow: bool = False


class CanaryStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a canary's schedule: the challenger's share, and what must have passed before the next (all of it)."""

    weight: float
    hours: float = 0.0
    requests: int = 0
    labels: int = 0


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a challenger must keep, judged by a test that stays valid at every look.

    limit, by measure: errors, the largest share of failed requests; latency, the largest share of requests slower than `threshold_ms`; disagreement,
    the largest mean absolute difference to the champion's answer on the same request; quality and business, the largest loss against the champion
    that counts as 'not worse' (log loss, or the unit of the metric named by `name`, of which `larger_is_better` says which way is up).
    """

    measure: Measure
    limit: float
    threshold_ms: float = 0.0
    name: str = ""
    larger_is_better: bool = True


class CanaryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a challenger is let in. weight: its share; the verdict is looked for from `minimum_labels` on (from a quarter of them, if far better or
    far worse beyond doubt), at the latest after `maximum_days` (where labels are needed, as many more as a label usually takes).

    mode: `canary` promotes what is not worse; `ab` keeps the split and promotes only what is surely better; `shadow` answers nobody and promotes what
    is not worse on the same rows; `bandit` lets the split follow the evidence, never leaving the champion less than `floor`.
    steps: the schedule of a canary (empty: `weight` from begin to end). objectives: what is judged besides quality by `tolerance` and failures by
    `maximum_error_share`, which always are. error_rate: bound on the chance of promoting a worse (or rolling back a not worse) challenger, over all
    looks and objectives together. tolerance: largest loss of quality (log loss) that counts as 'not worse'.
    """

    mode: RolloutMode = "canary"
    steps: tuple[CanaryStep, ...] = ()
    objectives: tuple[Objective, ...] = ()
    floor: float = 0.2
    weight: float = 0.2
    minimum_labels: int = 500
    maximum_days: float = 7.0
    error_rate: float = 0.05
    tolerance: float = 0.005
    maximum_error_share: float = 0.01
    paired: bool = False
    """Answers do not change what happens (a forecast does not delay a flight), so both versions may be scored on every labelled row."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What the evidence says of one objective. outcome: `kept` and `broken` are beyond doubt, at this and every earlier look; `open` is neither."""

    measure: Measure
    outcome: Literal["kept", "broken", "open"]
    reason: str
    value: Interval | None = None
    limit: float = 0.0
    name: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout's evidence says now. difference: challenger minus champion, log loss (below 0: the challenger is better).

    objectives: each thing that was judged, the one that decided first.
    """

    outcome: Literal["wait", "promote", "roll_back"]
    reason: str
    difference: Interval | None = None
    champion_labels: int = 0
    challenger_labels: int = 0
    looks: int = 0
    objectives: tuple[Judged, ...] = ()


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout can show, told before it starts. power: chance that a challenger worse (canary) or better (ab) by `effect` is found in time.

    labels, days: how many labelled answers a verdict is expected to need, and how long they take at `labels_per_day`.
    """

    effect: float
    power: float
    labels: int
    days: float
    labels_per_day: float
    note: str = ""
    delay_days: float = 0.0
    """How long a label usually takes: a rollout that needs labels is given that much more time."""


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
    step: int = 0
    """Which step of the plan's schedule it is on."""
    step_since: datetime | None = None
    outlook: Outlook | None = None


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that a person has stopped: it answers with a safe version, the loop leaves it alone, until a person lets it go on.

    number: the version that answers meanwhile; None: nobody answers (callers get 503 with the reason). before: the variants as they stood.
    """

    at: datetime
    actor: str
    reason: str
    number: int | None
    before: tuple[Variant, ...] = ()


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What a person, a file or the API did to a deployment, kept with the generation that it made: its events can be told from here after a crash.

    id: of its event, and the cause of its generation. verb: `changed` gave other variants or routing (or began a rollout), `overrode` ended a
    rollout by a person's word. differences: what changed, a sentence each.
    """

    id: EventId
    verb: Literal["changed", "rolled_back", "stopped", "resumed", "overrode"]
    actor: str
    reason: str
    differences: tuple[str, ...] = ()


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What answers under a name. generation rises by one with each change; workers report which one they serve.

    sticky_by: what keeps a caller with its variant: `request` (nothing does: each request is drawn), `header:NAME`, or `input:NAME`.
    fallback: the version that answers while it is stopped (`champion`, a number, a semantic version, `stable`, or `none`).
    alias: the alias of the model that follows this deployment's champion; empty: none does. header_override: whether a request may ask for a variant
    by the header `Noria-Variant`.
    act: the last thing that was done by hand; it made this generation only if its id is the generation's cause.
    """

    name: str
    model: str
    generation: int
    variants: tuple[Variant, ...]
    updated_at: datetime
    rollout: Rollout | None = None
    sticky_by: str = "request"
    cause: EventId | None = None
    fallback: str = "stable"
    stopped: Stop | None = None
    alias: str = "champion"
    header_override: bool = True
    act: Act | None = None

    def variant(self, name: VariantRole) -> Variant | None:
        """The variant of this role, if there is one."""
        return next((v for v in self.variants if v.name == name), None)
