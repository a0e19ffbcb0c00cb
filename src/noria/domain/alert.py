"""Alerts, what they rest on, and what people hear of them. Opening is monitoring/alert, how they stand now is monitoring/alert_book."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import AlertId

AlertKind = Literal[
    "input_drift",
    "prediction_drift",
    "decay",
    "concept_drift",
    "data_quality",
    "skew",
    "slice",
    "fairness",
    "text_drift",
    "no_predictions",
    "no_look",
]
Severity = Literal["info", "warn", "page"]
SEVERITIES: tuple[Severity, ...] = ("info", "warn", "page")
"""Rising."""
AlertState = Literal["open", "acknowledged", "snoozed", "resolved"]
AlertChange = Literal[
    "opened", "joined", "raised", "acknowledged", "snoozed", "reopened", "reminded", "resolved", "tested"
]


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far one feature moved. evidence: log10 of its e-value (above 0: more likely drifted); psi is shown, it decides nothing (ADR 10).

    shift: of the share that is farthest out in the newest windows (of a number left of a cut, of a text in a bin); margin: how far it might be,
    wobble included. js, ks: Jensen-Shannon and Kolmogorov-Smirnov distance; wasserstein: in standard deviations of the reference, None for texts.
    Each *_noise is what the distance stays under 19 times in 20 without drift. blamed: whether this feature is named as a cause (e-BH at 5 %).
    """

    feature: str
    evidence: float
    psi: float
    margin: float
    shift: float = 0.0
    psi_noise: float = 0.0
    blamed: bool = False
    js: float = 0.0
    js_noise: float = 0.0
    ks: float = 0.0
    ks_noise: float = 0.0
    wasserstein: float | None = None
    wasserstein_noise: float | None = None


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """One look at one variant. alarm: the dataset-level verdict under the false-alarm budget."""

    deployment: str
    number: int
    at: datetime
    rows: int
    alarm: bool
    evidence: float
    threshold: float
    features: tuple[FeatureDrift, ...] = ()


class Silencer(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that would have silenced an alert: a setting, its value now, and the value at which there would have been no alert.

    what: the same in words, if the setting's name does not say it.
    """

    setting: str
    now: float
    needed: float
    what: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person or the loop should know, with its evidence and what to do next.

    causes: the inputs it names. group: id of the alert that first told of the same cause ('' in old ledgers: its own). silencers: each alone would
    have kept it quiet. What follows `state` is not in the event that opened it, but in those that came later: see monitoring/alert_book.
    """

    id: AlertId
    kind: AlertKind
    deployment: str
    number: int
    opened_at: datetime
    severity: Severity
    summary: str
    evidence: dict[str, float | str] = {}
    budget: str = ""
    next_command: str = ""
    state: AlertState = "open"
    resolved_at: datetime | None = None
    causes: tuple[str, ...] = ()
    group: str = ""
    silencers: tuple[Silencer, ...] = ()
    changed_at: datetime | None = None
    """When its state last changed."""
    changed_by: str = ""
    """Who changed it: a person, or 'noria'."""
    reason: str = ""
    """What was said with the last change."""
    snoozed_until: datetime | None = None

    @property
    def cause(self) -> str:
        """The group that it belongs to; its own id if it stands alone."""
        return self.group or self.id

    @property
    def is_over(self) -> bool:
        """Whether it no longer stands."""
        return self.state == "resolved"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message about an alert, to one receiver.

    id: the same for every repetition of the message. change: 'joined' is an alert of a cause that was told of before, 'raised' the same with a higher
    severity, 'reminded' an open one told of again. by, reason: who brought the change about, and why. others: alerts of the same cause that stand
    besides and that this receiver was told of. link: the page that shows it, '' if the project's address is not known.
    """

    id: str
    change: AlertChange
    at: datetime
    alert: Alert
    by: str = ""
    reason: str = ""
    others: tuple[Alert, ...] = ()
    link: str = ""
