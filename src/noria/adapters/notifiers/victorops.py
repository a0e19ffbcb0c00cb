"""Alerts in the form of VictorOps, now Splunk On-Call: its REST endpoint for generic integrations. Loaded by app/plugins; the port is ports/notifier.

Which incident it is says `incidents`; its id is the entity_id. Source: help.victorops.com, "REST Endpoint Integration Guide".
"""

from typing import Any

import msgspec

from noria.adapters.notifiers import incidents
from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint
from noria.adapters.notifiers.wording import facts, headline, paragraph
from noria.domain.alert import Notice

TYPES = {"info": "INFO", "warn": "WARNING", "page": "CRITICAL"}
UNSAID = ("snoozed", *incidents.UNSAID)


def open_notifier(location: str, *, secret: str = "") -> "VictorOpsNotifier":
    """Give a notifier that posts to the integration's address, which ends in its key and a routing key. Raises SettingInvalid.

    secret: the whole address, for those who keep it out of `location`.
    """
    return VictorOpsNotifier(location or secret)


class VictorOpsNotifier:
    """One request a notice, one for each incident that ends."""

    def __init__(self, location: str, *, timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = Endpoint(location, what="victorops receiver", timeout_s=timeout_s)

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        for body in messages(notice):
            self._endpoint.ask(msgspec.json.encode(body))


def messages(notice: Notice) -> list[dict[str, Any]]:
    """The body of each request of a notice."""
    incident = incidents.incident(notice.alert)
    match notice.change:
        case "resolved":
            return [_message(notice, "RECOVERY", each) for each in incidents.ended(notice)]
        case "acknowledged":
            return [_message(notice, "ACKNOWLEDGEMENT", incident)]
        case "tested":
            return [_message(notice, "INFO", incident), _message(notice, "RECOVERY", incident)]
        case change if change in UNSAID:
            return []
        case _:
            return [_message(notice, TYPES[notice.alert.severity], incident)]


def _message(notice: Notice, kind: str, incident: str) -> dict[str, Any]:
    alert = notice.alert
    return {
        "message_type": kind,
        "entity_id": incident,
        "entity_display_name": headline(notice, limit=200),
        "state_message": paragraph(notice, limit=15_000),
        "state_start_time": int(alert.opened_at.timestamp()),
        "monitoring_tool": "noria",
        **{f"noria.{name}": value for name, value in facts(alert).items()},
        **({"alert_url": notice.link} if notice.link else {}),
    }
