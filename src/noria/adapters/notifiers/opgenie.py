"""Alerts in the form of Opgenie's (and Jira Service Management's) Alert API; signs of life to its heartbeats. Loaded by app/plugins.

What is one alert there says `incidents`: its id is the alias, by which Opgenie counts repetitions instead of paging again.
Source: docs.opgenie.com, "Alert API" and "Heartbeat API".
"""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from noria.adapters.notifiers import incidents
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
    """One request a notice, one for each alert there that ends; Opgenie answers before it has worked on it."""

    def __init__(
        self, location: str, *, secret: str, heartbeat: str = HEARTBEAT, timeout_s: float = TIMEOUT_SECONDS
    ) -> None:
        self._endpoint = Endpoint(location, what="opgenie receiver", timeout_s=timeout_s)
        self._heartbeat = heartbeat
        self._key = secret

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        for under, query, body in requests(notice):
            self._ask(body, under=under, query=query)

    def beat(self, *, at: datetime, every_s: float) -> None:
        """See ports/notifier: pings the heartbeat of that name."""
        self._ask({}, under=f"/v2/heartbeats/{quote(self._heartbeat, safe='')}/ping")

    def _ask(self, body: dict[str, Any], *, under: str, query: str = "") -> None:
        headers = {"Authorization": f"GenieKey {self._key}"}
        self._endpoint.ask(msgspec.json.encode(body), headers, under=under, query=query, blot=self._key)


ALIAS = "identifierType=alias"


def requests(notice: Notice) -> list[tuple[str, str, dict[str, Any]]]:
    """Path, query and body of each request of a notice."""
    alert = notice.alert
    incident = incidents.incident(alert)
    said = {"user": notice.by or "noria", "source": "noria", "note": notice.reason or notice.change}
    match notice.change:
        case "resolved":
            return [(_under(each, "close"), ALIAS, said) for each in incidents.ended(notice)]
        case "acknowledged":
            return [(_under(incident, "acknowledge"), ALIAS, said)]
        case "snoozed" if alert.snoozed_until is not None:
            return [(_under(incident, "snooze"), ALIAS, said | {"endTime": alert.snoozed_until.isoformat()})]
        case "tested":
            return [("/v2/alerts", "", _alert(notice, incident)), (_under(incident, "close"), ALIAS, said)]
        case change if change in incidents.UNSAID:
            return []
        case _:
            return [("/v2/alerts", "", _alert(notice, incident))]


def _under(incident: str, verb: str) -> str:
    return f"/v2/alerts/{quote(incident, safe='')}/{verb}"


def _alert(notice: Notice, incident: str) -> dict[str, Any]:
    alert = notice.alert
    return {
        "message": headline(notice, limit=130),
        "alias": incident,
        "description": paragraph(notice, limit=15_000),
        "entity": f"{alert.deployment}/{alert.number}",
        "source": "noria",
        "priority": PRIORITIES[alert.severity],
        "tags": ["noria", alert.kind, alert.severity],
        "details": facts(alert) | ({"link": notice.link} if notice.link else {}),
    }
