"""One page for one cause: which alerts belong together. Pure. Called by monitoring/alert and loop/stages.

A broken input moves the inputs, then the answers, then the quality: four alarms, one cause. An alert joins what stands when it names the same
input, or when it names none and comes of the same version; two that name different inputs are two causes. Silence stands alone, but for data
that are too few.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from msgspec.structs import replace

from noria.domain.alert import SEVERITIES, Alert

UPSTREAM = {
    "data_quality": 0,
    "skew": 0,
    "input_drift": 1,
    "text_drift": 1,
    "prediction_drift": 2,
    "decay": 3,
    "concept_drift": 3,
    "slice": 4,
    "fairness": 4,
}
"""Kinds by their place between cause and effect."""

NEIGHBOURS = timedelta(days=1)
"""Alerts of different deployments that name the same input belong together if they were opened within this time."""


def grouped(opened: Iterable[Alert], standing: Sequence[Alert]) -> list[Alert]:
    """The new alerts, causes before effects, each with its group: a standing alert's, that of one before it in the list, or its own id."""
    there = [alert for alert in standing if not alert.is_over]
    found = []
    for alert in sorted(opened, key=_rank):
        group = next((other.cause for other in there if _same_cause(alert, other)), alert.id)
        alert = replace(alert, group=group)
        found.append(alert)
        there.append(alert)
    return found


def _rank(alert: Alert) -> tuple[int, int, str]:
    return UPSTREAM.get(alert.kind, len(UPSTREAM)), -SEVERITIES.index(alert.severity), alert.id


def _is_silence(alert: Alert) -> bool:
    """Whether it may tell of a deployment that is asked less: by itself, or as what is wrong with the data and names no input."""
    return alert.kind == "no_predictions" or (alert.kind == "data_quality" and not alert.causes)


def _same_cause(alert: Alert, other: Alert) -> bool:
    if "no_predictions" in (alert.kind, other.kind):
        return _is_silence(alert) and _is_silence(other) and alert.deployment == other.deployment
    if alert.kind not in UPSTREAM or other.kind not in UPSTREAM:
        return False
    shared = bool(set(alert.causes) & set(other.causes))
    if (alert.deployment, alert.number) == (other.deployment, other.number):
        return shared or not alert.causes or not other.causes
    return shared and alert.kind == other.kind and abs(alert.opened_at - other.opened_at) <= NEIGHBOURS
