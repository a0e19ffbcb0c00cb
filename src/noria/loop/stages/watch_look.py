"""What a look saw, as the noun that /metrics and dashboards show. It decides nothing: that is monitoring/alert. Called by stages/watch."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from noria.domain.deployment import Variant
from noria.domain.finding import Finding
from noria.domain.look import LabelState, Look, QualityState
from noria.monitoring.drift import Drift
from noria.monitoring.quality import Decay


def look_of(
    champion: Variant,
    drift: Drift,
    decay: Decay,
    *,
    deployment: str,
    at: datetime,
    findings: Sequence[Finding] | None = None,
    labels: LabelState | None = None,
) -> Look:
    """The numbers of one look, as they were when alerts were decided."""
    recent = decay.recent
    return Look(
        deployment=deployment,
        number=champion.number,
        at=at,
        inputs=drift.inputs,
        prediction=drift.prediction,
        windows=drift.windows,
        quality=QualityState(
            evidence=decay.evidence,
            threshold=decay.threshold,
            alarm=decay.alarm,
            rows=decay.rows,
            bias=decay.recent_bias,
            excess=recent.value if recent else None,
            excess_low=recent.low if recent else None,
            excess_high=recent.high if recent else None,
        ),
        labels=labels,
        findings=dict(Counter(each.kind for each in findings or ())),
    )
