"""Word alerts: a report in, an alert without its identity out, with its evidence, the inputs it names and what would have silenced it. Pure.

Which alerts open is monitoring/alert, which calls this; other parts of watching word their own with `draft`.

Severity follows harm, not surprise: inputs with seasons drift, so a drift alone is 'info'. It becomes 'warn' when labelled answers got worse
with it; a decay pages.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from noria.domain.alert import Alert, AlertKind, DriftReport, Severity, Silencer
from noria.domain.ids import AlertId

if TYPE_CHECKING:  # wording needs no numpy, and a server that words one alert does not load it
    from noria.monitoring.drift import Drift
    from noria.monitoring.quality import Decay

LARGEST_RATIO = 12.0
"""Powers of ten beyond which a budget is not offered as something that would have silenced an alert."""


def draft(
    kind: AlertKind,
    severity: Severity,
    summary: str,
    *,
    evidence: dict[str, float | str],
    budget: str,
    causes: Sequence[str] = (),
    silencers: Sequence[Silencer] = (),
    next_command: str = "",
) -> Alert:
    """An alert without its identity, which `look` adds. causes: the inputs that it names. next_command: `noria why` if it is not said."""
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
        causes=tuple(causes),
        silencers=tuple(silencers),
        next_command=next_command,
    )


def drift_alert(
    kind: AlertKind,
    name: str,
    side: DriftReport,
    *,
    drift: "Drift",
    harmful: bool,
    decay: "Decay | None",
    false_page_days: float | None = None,
) -> Alert:
    """What is said of inputs, or of predictions, that left their margins."""
    named = [f for f in side.features if f.blamed]
    blamed = named or list(side.features[:3])
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
    silencers = rarer(false_page_days, side.evidence, side.threshold)
    if blamed:
        widest = max(blamed, key=lambda f: f.shift)
        what = f"a margin of every input as wide as the largest shift, that of {widest.feature!r}"
        silencers.append(Silencer(setting="margin", now=widest.margin, needed=widest.shift, what=what))
    return draft(
        kind,
        "warn" if harmful else "info",
        summary,
        evidence=evidence,
        budget=drift.budget,
        causes=[f.feature for f in named] if kind == "input_drift" else (),
        silencers=silencers,
    )


def rarer(false_page_days: float | None, evidence: float, threshold: float) -> list[Silencer]:
    """The budget of false alarms whose threshold (log10) the evidence would not have passed; none if no budget is near.

    >>> rarer(365.0, 5.0, 4.0)[0].needed
    3650.0
    """
    if false_page_days is None or not 0 <= evidence - threshold <= LARGEST_RATIO:
        return []
    needed = false_page_days * 10.0 ** (evidence - threshold)
    return [
        Silencer(
            setting="false_page_days",
            now=false_page_days,
            needed=needed,
            what="days between two false alarms on average",
        )
    ]


def decay_alert(decay: "Decay", *, false_page_days: float | None = None) -> Alert:
    """What is said of a model that has decayed. Severity follows harm: nobody is woken while the answers are better than when it was accepted."""
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
    if decay.began:
        evidence["began"] = decay.began
    if decay.changed_at:
        evidence["changed_at"] = decay.changed_at
    if decay.where:
        evidence["where"] = decay.where
    what = (
        "the scores are off, though answers are better than at acceptance" if decay.better else "the model has decayed"
    )
    summary = f"{what}: {decay.statistic}; loss beyond expectation over the newest days {recent}, bias {decay.recent_bias:+.3f}"
    summary += (f", since about {decay.began}" if decay.began else "") + (
        f", most plainly for {decay.where}" if decay.where else ""
    )
    silencers = rarer(false_page_days, decay.evidence, decay.threshold)
    severity: Severity = "info" if decay.better else "page"
    return draft("decay", severity, summary, evidence=evidence, budget=decay.budget, silencers=silencers)


def silent_alert(*, quiet: timedelta, longest: timedelta, allowed: timedelta) -> Alert:
    """What is said of a deployment that is not asked any more."""
    return draft(
        "no_predictions",
        "warn",
        f"nothing was asked for {_span(quiet)}; the longest silence before was {_span(longest)}",
        evidence={
            "quiet_s": quiet.total_seconds(),
            "longest_before_s": longest.total_seconds(),
            "allowed_s": allowed.total_seconds(),
        },
        budget="opens when a silence is three times as long as any before it; not a sequential test",
        next_command="noria status",
    )


def unlooked_alert(*, last: datetime, quiet: timedelta, allowed: timedelta) -> Alert:
    """What is said when nothing watches any more."""
    return draft(
        "no_look",
        "page",
        f"nothing has been watched for {_span(quiet)}: the loop has not looked since {last:%Y-%m-%d %H:%M} UTC",
        evidence={"quiet_s": quiet.total_seconds(), "allowed_s": allowed.total_seconds()},
        budget="opens when the loop misses three of its strokes; not a statistical test",
        next_command="noria up",
    )


def _span(length: timedelta) -> str:
    """A time in the largest unit that is at least once in it."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} s"
