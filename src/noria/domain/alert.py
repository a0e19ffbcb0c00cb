"""Alerts and what they rest on. Opening and resolving is monitoring/alert."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import AlertId

AlertKind = Literal["input_drift", "prediction_drift", "decay", "data_quality"]


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far one feature moved. evidence: log10 of its e-value (above 0: more likely drifted); psi is shown, it decides nothing (ADR 10).

    margin: largest allowed shift of a cumulative share; shift: the largest seen in the newest windows. psi_noise: what PSI stays under 19 times in 20
    without drift. blamed: whether this feature is named as a cause (e-BH at 5 %).
    """

    feature: str
    evidence: float
    psi: float
    margin: float
    shift: float = 0.0
    psi_noise: float = 0.0
    blamed: bool = False


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


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person or the loop should know, with its evidence and what to do next."""

    id: AlertId
    kind: AlertKind
    deployment: str
    number: int
    opened_at: datetime
    severity: Literal["info", "warn", "page"]
    summary: str
    evidence: dict[str, float | str] = {}
    budget: str = ""
    next_command: str = ""
    state: Literal["open", "resolved"] = "open"
    resolved_at: datetime | None = None
