"""Decide which alerts open and which are over. Pure: today's reports and the open alerts in, changes out; the same look twice changes nothing.

Finding drift and decay is monitoring/drift and monitoring/quality; what an alert leads to is retraining/decide. Called by loop/stages.

Severity follows harm, not surprise: inputs with seasons drift, so a drift alone is 'info'. It becomes 'warn' when labelled answers got worse
with it; a decay pages.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from noria.domain.alert import Alert, AlertKind, DriftReport
from noria.domain.ids import AlertId, derive
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitoring.drift import Drift
from noria.monitoring.profile import SCORE
from noria.monitoring.quality import SMALLEST_DECAY, Decay
from noria.stats.sequential import margin_of

RESOLVE_BELOW = 2.0
"""An alert is over when the evidence has fallen this many powers of ten under its threshold: no flapping around the line."""

MISSING_FLOOR = 0.15
"""A rise of the missing share below this is not a data problem."""


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """An open alert that is over, and why."""

    alert: Alert
    reason: str


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a look changes: alerts to open and alerts to resolve."""

    opened: tuple[Alert, ...] = ()
    resolved: tuple[Resolution, ...] = ()


class BrokenInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input that is missing far more often than in training. Shares in [0, 1]."""

    feature: str
    share: float
    reference: float
    allowed: float


def alert_id(deployment: str, number: int, kind: AlertKind, now: datetime) -> AlertId:
    """The id of an alert: one per deployment, version, kind and UTC day, so a repeated look meets itself."""
    return AlertId(derive("alert", deployment, str(number), kind, now.astimezone(UTC).date().isoformat()))


def broken_inputs(
    profile: ReferenceProfile, counts: WindowCounts, *, minimum_rows: int = 100
) -> tuple[BrokenInput, ...]:
    """Inputs whose missing share rose by more than its margin and by more than fifteen rows in a hundred, worst first; none below `minimum_rows`."""
    found: list[BrokenInput] = []
    for feature in profile.features:
        now, then = counts.counts.get(feature.name, ()), feature.counts
        if feature.name == SCORE or sum(now) < minimum_rows or sum(then) == 0:
            continue
        reference, share = then[-1] / sum(then), now[-1] / sum(now)
        wobble = feature.wobble[-2] if len(feature.wobble) > 1 else 0.0
        margin = float(margin_of(reference, sum(then), wobble, windows=profile.windows, floor=MISSING_FLOOR))
        if share > reference + margin:
            found.append(BrokenInput(feature=feature.name, share=share, reference=reference, allowed=margin))
    return tuple(sorted(found, key=lambda b: (b.reference - b.share, b.feature)))


def hurts(decay: Decay | None, *, smallest: float = SMALLEST_DECAY) -> bool:
    """Whether the newest labelled days were worse than the scores themselves expected, by more than chance and by more than `smallest` nats."""
    return decay is not None and (
        decay.alarm or (decay.recent is not None and decay.recent.low > 0 and decay.recent.value > smallest)
    )


def look(
    open_alerts: Sequence[Alert],
    *,
    deployment: str,
    number: int,
    now: datetime,
    drift: Drift | None = None,
    decay: Decay | None = None,
    broken: Sequence[BrokenInput] | None = None,
    known: Collection[AlertId] = (),
) -> Changes:
    """Compare reports with what is open. A report of None says nothing: its alerts stay as they are.

    number: the version that answers now; alerts of other versions are over. known: ids that were opened before (also resolved ones), so that
    one day opens one alert of a kind at most.
    """
    resolved = [
        Resolution(alert=a, reason=f"version {a.number} no longer answers, version {number} does")
        for a in open_alerts
        if a.deployment == deployment and a.number != number
    ]
    current = {a.kind: a for a in open_alerts if a.deployment == deployment and a.number == number}
    harmful = hurts(decay)
    wanted: list[tuple[AlertKind, Alert | None, str]] = []
    if drift is not None:
        sides: tuple[tuple[AlertKind, str, DriftReport], ...] = (
            ("input_drift", "inputs", drift.inputs),
            ("prediction_drift", "predictions", drift.prediction),
        )
        for kind, name, side in sides:
            alert = _drift_alert(kind, name, side, drift=drift, harmful=harmful, decay=decay) if side.alarm else None
            calm = side.evidence < side.threshold - RESOLVE_BELOW
            wanted.append((kind, alert, f"the {name} are within their margins again" if calm else ""))
    if decay is not None:
        calm = decay.evidence < decay.threshold - RESOLVE_BELOW
        wanted.append(
            (
                "decay",
                _decay_alert(decay) if decay.alarm else None,
                "labelled days are as good as expected again" if calm else "",
            )
        )
    if broken is not None:
        wanted.append(
            (
                "data_quality",
                _quality_alert(broken) if broken else None,
                "the inputs are filled again" if not broken else "",
            )
        )
    opened: list[Alert] = []
    for kind, alert, over in wanted:
        standing = current.get(kind)
        identity = alert_id(deployment, number, kind, now)
        if alert is not None and standing is None and identity not in known:
            command = f"noria why {identity}"
            opened.append(
                msgspec.structs.replace(
                    alert, id=identity, deployment=deployment, number=number, opened_at=now, next_command=command
                )
            )
        elif alert is None and standing is not None and over:
            resolved.append(Resolution(alert=standing, reason=over))
    return Changes(opened=tuple(opened), resolved=tuple(resolved))


def _draft(
    kind: AlertKind,
    severity: Literal["info", "warn", "page"],
    summary: str,
    *,
    evidence: dict[str, float | str],
    budget: str,
) -> Alert:
    """An alert without its identity, which `look` adds."""
    return Alert(
        id=AlertId(""),
        kind=kind,
        deployment="",
        number=0,
        opened_at=datetime.fromtimestamp(0, UTC),
        severity=severity,
        summary=summary,
        evidence=evidence,
        budget=budget,
    )


def _drift_alert(
    kind: AlertKind, name: str, side: DriftReport, *, drift: Drift, harmful: bool, decay: Decay | None
) -> Alert:
    blamed = [f for f in side.features if f.blamed] or list(side.features[:3])
    causes = ", ".join(f"{f.feature!r} by {f.shift:.1%} (allowed {f.margin:.1%})" for f in blamed[:3])
    more = f" and {len(blamed) - 3} more" if len(blamed) > 3 else ""
    harm = "labelled answers got worse with it" if harmful else "no harm to labelled answers is seen"
    evidence: dict[str, float | str] = {
        "log10_evidence": side.evidence,
        "log10_threshold": side.threshold,
        "windows": float(drift.windows),
        "rows": float(side.rows),
        "harm": harm,
    }
    for f in blamed[:8]:
        evidence[f"shift.{f.feature}"] = f.shift
        evidence[f"margin.{f.feature}"] = f.margin
        evidence[f"psi.{f.feature}"] = f.psi
        evidence[f"psi_noise.{f.feature}"] = f.psi_noise
    if decay is not None and decay.recent is not None:
        evidence["recent_excess_loss"] = decay.recent.value
    summary = f"the {name} drifted: {causes}{more}; {harm}"
    return _draft(kind, "warn" if harmful else "info", summary, evidence=evidence, budget=drift.budget)


def _decay_alert(decay: Decay) -> Alert:
    recent = (
        f"{decay.recent.value:+.4f} [{decay.recent.low:+.4f}, {decay.recent.high:+.4f}] nats"
        if decay.recent
        else "not measurable"
    )
    evidence: dict[str, float | str] = {
        "log10_evidence": decay.evidence,
        "log10_threshold": decay.threshold,
        "statistic": decay.statistic,
        "days": float(decay.days),
        "labels": float(decay.rows),
        "recent_bias": decay.recent_bias,
    }
    if decay.recent is not None:
        evidence |= {
            "recent_excess_loss": decay.recent.value,
            "recent_excess_low": decay.recent.low,
            "recent_excess_high": decay.recent.high,
        }
    summary = f"the model has decayed: {decay.statistic}; loss beyond expectation over the newest days {recent}, bias {decay.recent_bias:+.3f}"
    return _draft("decay", "page", summary, evidence=evidence, budget=decay.budget)


def _quality_alert(broken: Sequence[BrokenInput]) -> Alert:
    worst = broken[0]
    more = f" and {len(broken) - 1} more inputs" if len(broken) > 1 else ""
    summary = f"{worst.feature!r} is missing in {worst.share:.1%} of the rows ({worst.reference:.1%} in training){more}"
    evidence: dict[str, float | str] = {f"missing.{b.feature}": b.share for b in broken[:20]}
    evidence["allowed_rise"] = worst.allowed
    return _draft(
        "data_quality",
        "warn",
        summary,
        evidence=evidence,
        budget="opens when a missing share leaves its margin; not a sequential test",
    )
