"""Alerts in the form of VictorOps, now Splunk On-Call: its REST endpoint for generic integrations. Loaded by app/plugins; the port is ports/notifier.

A cause is one incident: its id is the entity_id. Source: help.victorops.com, "REST Endpoint Integration Guide".
"""

from typing import Any

import msgspec

from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint
from noria.adapters.notifiers.wording import facts, headline, paragraph
from noria.domain.alert import Notice

TYPES = {"info": "INFO", "warn": "WARNING", "page": "CRITICAL"}
UNSAID = ("snoozed", "joined")


def open_notifier(location: str, *, secret: str = "") -> "VictorOpsNotifier":
    """Give a notifier that posts to the integration's address, which ends in its key and a routing key. Raises SettingInvalid.

    secret: the whole address, for those who keep it out of `location`.
    """
    return VictorOpsNotifier(location or secret)


class VictorOpsNotifier:
    """One request a notice."""

    def __init__(self, location: str, *, timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = Endpoint(location, what="victorops receiver", timeout_s=timeout_s)

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        if notice.change in UNSAID or (notice.change == "resolved" and notice.others):
            return
        self._endpoint.ask(msgspec.json.encode(message(notice)))
        if notice.change == "tested":
            self._endpoint.ask(msgspec.json.encode(message(notice) | {"message_type": "RECOVERY"}))


def message(notice: Notice) -> dict[str, Any]:
    """The body of the request."""
    alert = notice.alert
    kind = {"acknowledged": "ACKNOWLEDGEMENT", "resolved": "RECOVERY"}.get(notice.change, TYPES[alert.severity])
    return {
        "message_type": kind,
        "entity_id": alert.cause,
        "entity_display_name": headline(notice, limit=200),
        "state_message": paragraph(notice, limit=15_000),
        "state_start_time": int(alert.opened_at.timestamp()),
        "monitoring_tool": "noria",
        **{f"noria.{name}": value for name, value in facts(alert).items()},
        **({"alert_url": notice.link} if notice.link else {}),
    }
