"""Alerts to Prometheus's Alertmanager, by its API v2, which then groups, silences and routes them with all others. Loaded by app/plugins.

Alertmanager forgets what nobody repeats, and what stood when it was started anew; so everything that stands is told again every minute, with
an end in five. A snooze ends an alert there; a sign of life is an alert that always stands. The port is ports/notifier.
Source: prometheus.io/docs/alerting/latest/clients and the OpenAPI document of its API v2.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint
from noria.adapters.notifiers.wording import facts
from noria.domain.alert import Alert, Notice

REFRESH_S = 60.0
LASTS_S = 5 * REFRESH_S
SEVERITIES = {"info": "info", "warn": "warning", "page": "critical"}
WATCHDOG = "NoriaWatchdog"
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


def open_notifier(location: str, *, secret: str = "") -> "AlertmanagerNotifier":
    """Give a notifier for an Alertmanager at a URL. secret: sent as bearer token, if there is one. Raises SettingInvalid."""
    return AlertmanagerNotifier(location, secret=secret)


class AlertmanagerNotifier:
    """Alertmanager tells alerts apart by their labels: the same labels again are the same alert."""

    refresh_s = REFRESH_S

    def __init__(self, location: str, *, secret: str = "", timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = Endpoint(location, what="alertmanager", timeout_s=timeout_s)
        self._headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        self._post([alert_of(notice.alert, notice.at, link=notice.link)])

    def refresh(self, standing: Sequence[Notice], *, at: datetime) -> None:
        """See ports/notifier."""
        if standing:
            self._post([alert_of(notice.alert, at, link=notice.link) for notice in standing])

    def beat(self, *, at: datetime, every_s: float) -> None:
        """See ports/notifier: keeps the alert NoriaWatchdog standing, for a receiver that misses it when it ends."""
        labels = {"alertname": WATCHDOG, "severity": "none", "job": "noria"}
        annotations = {"summary": "Noria lives; tell somebody when this alert is missing"}
        until = at + timedelta(seconds=3 * every_s)
        self._post([{"labels": labels, "annotations": annotations, "endsAt": until.isoformat()}])

    def _post(self, alerts: list[dict[str, Any]]) -> None:
        self._endpoint.ask(msgspec.json.encode(alerts), self._headers, under="/api/v2/alerts")


def alert_of(alert: Alert, at: datetime, *, link: str = "") -> dict[str, Any]:
    """One alert as Alertmanager takes it. Its labels are its identity, so only what never changes is in them."""
    over = alert.is_over or alert.state == "snoozed"
    ends = at if over else at + timedelta(seconds=LASTS_S)
    annotations = {_NO_NAME.sub("_", name): value for name, value in facts(alert).items()}
    return {
        "labels": {
            "alertname": "Noria" + "".join(word.capitalize() for word in alert.kind.split("_")),
            "severity": SEVERITIES[alert.severity],
            "deployment": alert.deployment,
            "version": str(alert.number),
            "alert_id": alert.id,
            "cause": alert.cause,
            "job": "noria",
        },
        "annotations": annotations | {"summary": alert.summary, "next": alert.next_command, "state": alert.state},
        "startsAt": min(alert.opened_at, ends).isoformat(),
        "endsAt": ends.isoformat(),
        **({"generatorURL": link} if link else {}),
    }
