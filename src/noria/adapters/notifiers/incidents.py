"""Which incident of a pager an alert belongs to. Pure. Called by the notifiers for pagers.

One incident for a cause and severity: what joins a cause pages nobody, and what makes it worse pages although somebody has acknowledged the
milder incident, which a pager would otherwise quietly add to.
"""

from noria.domain.alert import SEVERITIES, Alert, Notice, Severity

UNSAID = ("joined",)


def incident(alert: Alert, severity: Severity | None = None) -> str:
    """The id of the incident that an alert opens or worsens; severity: that of the same cause at another severity."""
    return f"{alert.cause}-{severity or alert.severity}"


def ended(notice: Notice) -> list[str]:
    """The incidents that end with a resolution: all of the cause with its last alert, else that of the alert if nothing as bad stands."""
    alert = notice.alert
    if not notice.others:
        return [incident(alert, severity) for severity in SEVERITIES]
    worst = max(SEVERITIES.index(other.severity) for other in notice.others)
    return [incident(alert)] if SEVERITIES.index(alert.severity) > worst else []
