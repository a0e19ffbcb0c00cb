"""Alerts as incidents, in the form of PagerDuty's Events API v2. Loaded by app/plugins; the port is ports/notifier.

A cause is one incident: its id is the dedup_key, so what joins a cause adds to the incident and what repeats a message changes nothing; it is
resolved with the last alert of the cause. Source: developer.pagerduty.com, "Events API v2" (send an alert event; payload limits).
"""

from typing import Any

import msgspec

from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint, demanded
from noria.adapters.notifiers.wording import facts, headline
from noria.domain.alert import Alert, Notice

ADDRESS = "https://events.pagerduty.com/v2/enqueue"
SEVERITIES = {"info": "info", "warn": "warning", "page": "critical"}
UNSAID = ("snoozed",)
"""The protocol has no word for it: a snooze is made in PagerDuty itself."""


def open_notifier(location: str, *, secret: str = "") -> "PagerDutyNotifier":
    """Give a notifier for a service. secret: its integration (routing) key. location: where its events are taken, PagerDuty's own if empty.

    Raises SettingInvalid.
    """
    return PagerDutyNotifier(location or ADDRESS, secret=demanded(secret, what="pagerduty", name="routing key"))


class PagerDutyNotifier:
    """One event a notice."""

    def __init__(self, location: str, *, secret: str, timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = Endpoint(location, what="pagerduty receiver", timeout_s=timeout_s)
        self._key = secret

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        if notice.change in UNSAID or (notice.change == "resolved" and notice.others):
            return
        self._endpoint.ask(msgspec.json.encode({"routing_key": self._key, **event(notice)}), blot=self._key)
        if notice.change == "tested":
            over = {"routing_key": self._key, "event_action": "resolve", "dedup_key": notice.alert.cause}
            self._endpoint.ask(msgspec.json.encode(over), blot=self._key)


def event(notice: Notice) -> dict[str, Any]:
    """The event without its key."""
    alert = notice.alert
    action = {"acknowledged": "acknowledge", "resolved": "resolve"}.get(notice.change, "trigger")
    body: dict[str, Any] = {"event_action": action, "dedup_key": alert.cause}
    if action != "trigger":
        return body
    body["payload"] = {
        "summary": headline(notice, limit=1024),
        "source": f"noria/{alert.deployment}",
        "severity": SEVERITIES[_worst(notice).severity],
        "timestamp": notice.at.isoformat(),
        "component": f"{alert.deployment}/{alert.number}",
        "group": alert.deployment,
        "class": alert.kind,
        "custom_details": facts(alert) | {"next": alert.next_command},
    }
    body["client"] = "Noria"
    if notice.link:
        body |= {"client_url": notice.link, "links": [{"href": notice.link, "text": "the deployment in Noria"}]}
    return body


def _worst(notice: Notice) -> Alert:
    order = list(SEVERITIES)
    return max((notice.alert, *notice.others), key=lambda alert: order.index(alert.severity))
