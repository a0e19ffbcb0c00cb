"""Alerts in the form of Opgenie's (and Jira Service Management's) Alert API; signs of life to its heartbeats. Loaded by app/plugins.

A cause is one alert there: its id is the alias, by which Opgenie counts repetitions instead of paging again. The port is ports/notifier.
Source: docs.opgenie.com, "Alert API" and "Heartbeat API".
"""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint, demanded
from noria.adapters.notifiers.wording import facts, headline, paragraph
from noria.domain.alert import Notice

ADDRESS = "https://api.opgenie.com"
PRIORITIES = {"info": "P5", "warn": "P3", "page": "P1"}
HEARTBEAT = "noria"


def open_notifier(location: str, *, secret: str = "") -> "OpgenieNotifier":
    """Give a notifier for an API key (secret). location: the API's address, Opgenie's own if empty; for a heart, its fragment names the heartbeat.

    Raises SettingInvalid.
    """
    address, _, heartbeat = (location or ADDRESS).partition("#")
    key = demanded(secret, what="opgenie", name="API key")
    return OpgenieNotifier(address or ADDRESS, secret=key, heartbeat=heartbeat or HEARTBEAT)


class OpgenieNotifier:
    """One request a notice; Opgenie answers before it has worked on it, and takes the same alias for the same alert."""

    def __init__(
        self, location: str, *, secret: str, heartbeat: str = HEARTBEAT, timeout_s: float = TIMEOUT_SECONDS
    ) -> None:
        self._endpoint = Endpoint(location, what="opgenie receiver", timeout_s=timeout_s)
        self._heartbeat = heartbeat
        self._key = secret

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        if notice.change == "resolved" and notice.others:
            return
        under, query, body = request(notice)
        self._ask(body, under=under, query=query)
        if notice.change == "tested":
            self._ask({"source": "noria"}, under=f"{under}/{quote(notice.alert.cause, safe='')}/close", query=ALIAS)

    def beat(self, *, at: datetime, every_s: float) -> None:
        """See ports/notifier: pings the heartbeat of that name."""
        self._ask({}, under=f"/v2/heartbeats/{quote(self._heartbeat, safe='')}/ping")

    def _ask(self, body: dict[str, Any], *, under: str, query: str = "") -> None:
        headers = {"Authorization": f"GenieKey {self._key}"}
        self._endpoint.ask(msgspec.json.encode(body), headers, under=under, query=query, blot=self._key)


ALIAS = "identifierType=alias"


def request(notice: Notice) -> tuple[str, str, dict[str, Any]]:
    """Path, query and body of the request."""
    alert = notice.alert
    one = f"/v2/alerts/{quote(alert.cause, safe='')}"
    said = {"user": notice.by, "source": "noria", "note": notice.reason or notice.change}
    match notice.change:
        case "resolved":
            return f"{one}/close", ALIAS, said
        case "acknowledged":
            return f"{one}/acknowledge", ALIAS, said
        case "snoozed" if alert.snoozed_until is not None:
            return f"{one}/snooze", ALIAS, said | {"endTime": alert.snoozed_until.isoformat()}
        case _:
            return "/v2/alerts", "", _alert(notice)


def _alert(notice: Notice) -> dict[str, Any]:
    alert = notice.alert
    worst = max((alert, *notice.others), key=lambda a: list(PRIORITIES).index(a.severity))
    return {
        "message": headline(notice, limit=130),
        "alias": alert.cause,
        "description": paragraph(notice, limit=15_000),
        "entity": f"{alert.deployment}/{alert.number}",
        "source": "noria",
        "priority": PRIORITIES[worst.severity],
        "tags": ["noria", alert.kind, alert.severity],
        "details": facts(alert) | ({"link": notice.link} if notice.link else {}),
    }
