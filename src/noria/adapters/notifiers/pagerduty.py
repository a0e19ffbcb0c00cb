"""Alerts as incidents, in the form of PagerDuty's Events API v2. Loaded by app/plugins; the port is ports/notifier.

Which incident it is says `incidents`; its id is the dedup_key, so that what repeats a message changes nothing.
Source: developer.pagerduty.com, "Events API v2" (send an alert event; payload limits).
"""

from typing import Any

import msgspec

from noria.adapters.notifiers import incidents
from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint, demanded
from noria.adapters.notifiers.wording import facts, headline
from noria.domain.alert import Notice

ADDRESS = "https://events.pagerduty.com/v2/enqueue"
SEVERITIES = {"info": "info", "warn": "warning", "page": "critical"}
UNSAID = ("snoozed", *incidents.UNSAID)
"""The protocol has no word for a snooze: it is made in PagerDuty itself."""


def open_notifier(location: str, *, secret: str = "") -> "PagerDutyNotifier":
    """Give a notifier for a service. secret: its integration (routing) key. location: where its events are taken, PagerDuty's own if empty.

    Raises SettingInvalid.
    """
    return PagerDutyNotifier(location or ADDRESS, secret=demanded(secret, what="pagerduty", name="routing key"))


class PagerDutyNotifier:
    """One event a notice; one for each incident that ends."""

    def __init__(self, location: str, *, secret: str, timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = Endpoint(location, what="pagerduty receiver", timeout_s=timeout_s)
        self._key = secret

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        for body in events(notice):
            self._endpoint.ask(msgspec.json.encode({"routing_key": self._key, **body}), blot=self._key)


def events(notice: Notice) -> list[dict[str, Any]]:
    """The events of a notice, without the key."""
    incident = incidents.incident(notice.alert)
    over = {"event_action": "resolve", "dedup_key": incident}
    match notice.change:
        case "resolved":
            return [over | {"dedup_key": each} for each in incidents.ended(notice)]
        case "acknowledged":
            return [{"event_action": "acknowledge", "dedup_key": incident}]
        case "tested":
            return [_trigger(notice, incident), over]
        case change if change in UNSAID:
            return []
        case _:
            return [_trigger(notice, incident)]


def _trigger(notice: Notice, incident: str) -> dict[str, Any]:
    alert = notice.alert
    body: dict[str, Any] = {"event_action": "trigger", "dedup_key": incident}
    body["payload"] = {
        "summary": headline(notice, limit=1024),
        "source": f"noria/{alert.deployment}",
        "severity": SEVERITIES[alert.severity],
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
