"""What findings about the data open as an alert: one for all of them, worst first. Finding is data_quality.py. Called by loop/stages."""

from collections.abc import Sequence

from noria.domain.alert import Alert, Silencer
from noria.domain.finding import Finding
from noria.monitoring.alert import Report
from noria.monitoring.alert_drafts import draft
from noria.monitoring.data_quality import EVIDENCE

SHARES = "share of rows"


def report_of(findings: Sequence[Finding]) -> Report:
    """An alert for the findings that somebody should hear of ('info' ones are shown only), or that the data are as expected again."""
    told = [each for each in findings if each.severity != "info"]
    return Report(alert=_alert(told) if told else None, over="the data are as expected again")


def _alert(told: Sequence[Finding]) -> Alert:
    worst = told[0]
    more = f"; and {len(told) - 1} more" if len(told) > 1 else ""
    evidence: dict[str, float | str] = {}
    for each in told[:20]:
        name = f"{each.kind}.{each.about}" if each.about else each.kind
        evidence[name] = each.value
        if each.allowed:
            evidence[f"{name}.allowed"] = each.allowed
    shares = [each for each in told if each.evidence is not None and each.unit == SHARES]
    return draft(
        "data_quality",
        "page" if any(each.severity == "page" for each in told) else "warn",
        f"{worst.summary}{more}; {worst.remedy}" if worst.remedy else f"{worst.summary}{more}",
        evidence=evidence,
        budget=f"a share opens it with evidence of 10^{EVIDENCE:.0f} against what is allowed: false less than once in a million windows an input",
        causes=list(dict.fromkeys(each.about for each in told if each.about)),
        silencers=[
            Silencer(
                setting=f"allowed share of {each.kind} {each.about}".rstrip(),
                now=each.allowed,
                needed=each.value,
                what="a share that the reference had too would be no finding",
            )
            for each in shares[:3]
        ],
    )
