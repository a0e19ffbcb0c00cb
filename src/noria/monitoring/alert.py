"""Decide which alerts open and which are over. Pure: today's reports and the standing alerts in, changes out; the same look twice changes nothing.

Finding drift and decay is monitoring/drift and monitoring/quality; wording is monitoring/alert_drafts, grouping monitoring/alert_group; how people's
answers change an alert is monitoring/alert_book; what an alert leads to is retraining/decide. Called by loop/stages.
"""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec

from noria.domain.alert import Alert, AlertKind, DriftReport
from noria.domain.ids import AlertId, derive
from noria.domain.profile import WindowCounts
from noria.monitoring.alert_drafts import decay_alert, drift_alert, silent_alert
from noria.monitoring.alert_group import grouped
from noria.monitoring.drift import Drift
from noria.monitoring.quality import SMALLEST_DECAY, Decay

RESOLVE_BELOW = 2.0
"""An alert is over when the evidence has fallen this many powers of ten under its threshold: no flapping around the line."""

SILENCE = 3.0
"""A silence this many times as long as any before is one to tell of."""

BRIEF = timedelta(hours=1)
"""So long a deployment may be quiet without a question."""

FEWEST_WINDOWS = 20
"""Windows from which on the usual silences of a deployment are known."""


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """An open alert that is over, and why."""

    alert: Alert
    reason: str


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a look changes: alerts to open and alerts to resolve."""

    opened: tuple[Alert, ...] = ()
    resolved: tuple[Resolution, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one look says about one kind of alert: something to tell of, or that it is over ('' says neither: what stands stays)."""

    alert: Alert | None = None
    over: str = ""


def alert_id(deployment: str, number: int, kind: AlertKind, now: datetime) -> AlertId:
    """The id of an alert: one per deployment, version, kind and UTC day, so a repeated look meets itself."""
    return AlertId(derive("alert", deployment, str(number), kind, now.astimezone(UTC).date().isoformat()))


def hurts(decay: Decay | None, *, smallest: float = SMALLEST_DECAY) -> bool:
    """Whether the newest labelled days were worse than the scores themselves expected, by more than chance and by more than `smallest` nats."""
    return decay is not None and (
        decay.alarm or (decay.recent is not None and decay.recent.low > 0 and decay.recent.value > smallest)
    )


def silence(
    windows: Sequence[WindowCounts], *, last: datetime | None, now: datetime, stroke: timedelta = timedelta()
) -> Report:
    """Whether a deployment is asked no more: it was quiet for three times as long as ever before, and for longer than two strokes of the clock.

    windows: its counted windows in time order. last: where its newest ends. An hour is no silence. Below 20 windows nothing is said.
    """
    if last is not None and now - last <= BRIEF:
        return Report(over="it is asked as usual again")
    if last is None or len(windows) < FEWEST_WINDOWS:
        return Report()
    longest = max((b.until - a.until for a, b in pairwise(windows)), default=timedelta())
    allowed = max(SILENCE * longest, BRIEF, 2 * stroke)
    quiet = now - last
    if quiet > allowed:
        return Report(alert=silent_alert(quiet=quiet, longest=longest, allowed=allowed))
    return Report(over="it is asked as usual again")


def look(
    standing: Sequence[Alert],
    *,
    deployment: str,
    number: int,
    now: datetime,
    drift: Drift | None = None,
    decay: Decay | None = None,
    reports: Mapping[AlertKind, Report] | None = None,
    known: Collection[AlertId] = (),
    false_page_days: float | None = None,
) -> Changes:
    """Compare reports with what stands. A report of None says nothing: its alerts stay as they are, and so do those of kinds without a report.

    standing: alerts that are not over, those of other deployments too: a new one may have their cause. number: the version that answers now; alerts
    of other versions are over. reports: by kind, what other parts of watching found; one that names a kind twice adds to nothing, it replaces.
    known: ids that were opened before (also resolved ones), so that one day opens one alert of a kind at most. false_page_days: the budget, to say
    which one would have silenced an alert.
    """
    own = [a for a in standing if a.deployment == deployment]
    resolved = [
        Resolution(alert=a, reason=f"version {a.number} no longer answers, version {number} does")
        for a in own
        if a.number != number
    ]
    current = {a.kind: a for a in own if a.number == number}
    found = dict(_found(drift, decay, false_page_days)) | dict(reports or {})
    opened: list[Alert] = []
    for kind, report in found.items():
        before = current.get(kind)
        identity = alert_id(deployment, number, kind, now)
        if report.alert is not None and before is None and identity not in known:
            command = report.alert.next_command or _next(kind, deployment, identity)
            opened.append(
                msgspec.structs.replace(
                    report.alert, id=identity, deployment=deployment, number=number, opened_at=now, next_command=command
                )
            )
        elif report.alert is None and before is not None and report.over:
            resolved.append(Resolution(alert=before, reason=report.over))
    over = {each.alert.id for each in resolved}
    opened = grouped(opened, [a for a in standing if a.id not in over])
    return Changes(opened=tuple(opened), resolved=tuple(resolved))


def _next(kind: AlertKind, deployment: str, identity: AlertId) -> str:
    """The command that shows more: where answers got worse, where they did; else what led to the alert and what followed."""
    if kind in ("decay", "concept_drift", "slice"):
        causes = "" if kind == "slice" else " --causes"
        return f"noria errors {shlex.quote(deployment)}{causes}"
    return f"noria why {identity}"


def _found(
    drift: Drift | None, decay: Decay | None, false_page_days: float | None
) -> Iterator[tuple[AlertKind, Report]]:
    """What drift and decay say, by kind."""
    harmful = hurts(decay)
    sides: tuple[tuple[AlertKind, str, DriftReport], ...] = ()
    if drift is not None:
        sides = (("input_drift", "inputs", drift.inputs), ("prediction_drift", "predictions", drift.prediction))
    for kind, name, side in sides:
        assert drift is not None
        alert = None
        if side.alarm:
            alert = drift_alert(
                kind, name, side, drift=drift, harmful=harmful, decay=decay, false_page_days=false_page_days
            )
        calm = side.evidence < side.threshold - RESOLVE_BELOW
        yield kind, Report(alert=alert, over=f"the {name} are within their margins again" if calm else "")
    if decay is not None:
        calm = decay.evidence < decay.threshold - RESOLVE_BELOW
        yield (
            "decay",
            Report(
                alert=decay_alert(decay, false_page_days=false_page_days) if decay.alarm else None,
                over="labelled days are as good as expected again" if calm else "",
            ),
        )
