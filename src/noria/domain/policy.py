"""Policies and decisions of retraining. Deciding is retraining/decide."""

from datetime import datetime
from typing import Literal

import msgspec

WindowChoice = Literal["recent", "all", "weighted", "since_change"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When a deployment may retrain, and within which bounds.

    growth: with no alarm, a training is worth its cost once the labels that arrived since the last one reach this share of the rows it learnt from
    (0: never by growth). What a learner gains shrinks with the logarithm of its data, so a share is the natural step, not a number of days.

    cooldown_days: least time between two retrainings. budget_per_year: most retrainings in any 365 days, of which growth and calendar leave a quarter
    to what is more urgent. minimum_labels: labels that must have
    arrived since the last retraining; after a decay that can be dated, since the change (fewer, the more it hurts: retraining/bounds).
    review_days: with no alarm, the evidence is looked at this often (0: only on alarms).
    windows: training windows among which the time-ordered back-test chooses. backtest_days: length of the most recent labelled stretch it scores on.
    season_days: a drift that stood one season ago as well is the season coming back, and no reason to retrain (0: no season is known).
    quiet_hours: alerts of one cause within so many hours ask for one training, not for several.
    change_cooldown_days: the same after a decay, while the champion could not have known the world as it is since it changed, and twice as much is
    known of that as when a training was last asked for: so it applies a few times for each change.
    mend_days: inputs that are broken are not learnt from, and no challenger is trained, for so long; what lasts longer is how the data are now.
    doubt_days: the same for labels that look wrong in themselves (flipped, constant, contradicting those known before).
    """

    cooldown_days: float = 21.0
    budget_per_year: int = 8
    minimum_labels: int = 3000
    review_days: float = 0.0
    growth: float = 0.4
    recent_days: int = 60
    half_life_days: float = 90.0
    backtest_days: int = 14
    windows: tuple[WindowChoice, ...] = ("recent", "all", "weighted", "since_change")
    candidates: tuple[str, ...] = ("logistic", "boosting")
    on: tuple[str, ...] = ("decay", "input_drift", "growth", "schedule", "new_data", "event", "webhook")
    season_days: float = 0.0
    quiet_hours: float = 24.0
    change_cooldown_days: float = 3.0
    mend_days: float = 14.0
    doubt_days: float = 7.0


class WindowEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the back-test of one candidate on one window gave: mean log loss on the held-back days.

    error: standard error, over days, of its difference to the best combination (0 for the best itself; None: not known).
    """

    window: WindowChoice
    candidate: str
    log_loss: float
    rows: int
    error: float | None = None


class TrainingWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The rows a challenger learns from. Only labels known by `known_by` count."""

    choice: WindowChoice
    since: datetime
    until: datetime
    known_by: datetime
    half_life_days: float | None = None
    reason: str = ""


class Unsound(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time that is nothing to learn from: rows `asked` for, or labels `known`, in it (by). until: None while it lasts."""

    since: datetime
    until: datetime | None
    by: Literal["asked", "known"]
    what: str


class RetrainHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What `decide` may know of the past: when retrainings were asked for, and what is under way."""

    requested_at: tuple[datetime, ...] = ()
    champion_since: datetime | None = None
    in_progress: bool = False
    labels_since_last: int = 0
    rows_of_last: int = 0
    """Rows that the last training learnt from."""
    stopped: bool = False
    """A person has stopped the deployment: nothing is trained for it."""
    rollout_running: bool = False
    changed_at: datetime | None = None
    """When the world last changed for this model, by the evidence of its realised loss; None: not that anybody knows."""
    labels_since_change: int | None = None
    """Labels of predictions that were asked for since then."""
    change_labels_of_last: int | None = None
    """How many of them were known when the last retraining was asked for."""
    change_labels_of_champion: int | None = None
    """How many of them were known when the champion's training was asked for."""
    champion_taught_until: datetime | None = None
    """Until when the champion has learnt; None: the ledger does not say."""
    asked_for: dict[str, datetime] = {}
    """When a training was last asked for because of a cause (the group of alerts that tells of it)."""
    season_alert: str = ""
    """Id of the alert that told of the same drift one season ago."""
    waiting: str = ""
    """What the training under way waits for, if that is a person."""
    unsound: tuple[Unsound, ...] = ()
    """What is wrong with inputs or labels now, as far as the policy still waits for it to pass."""
    explained: str = ""
    """What explains a decay, without which none is seen: a stretch in which inputs or labels were wrong."""
    unmeasured: str = ""
    """Gates that could not be measured on the rows that a training would hold back now."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of the policy beside what it was measured against: how a decision shows that it stayed inside its policy."""

    name: str
    limit: float
    found: float
    kept: bool


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """To retrain or not, and why, in words that stand in the ledger."""

    retrain: bool
    reason: str
    evidence: dict[str, float | str] = {}
    bounds: tuple["Bound", ...] = ()
