"""A sign of life: one request to a URL that somebody outside watches (healthchecks.io, Dead Man's Snitch, Cronitor and their like).

When Noria dies or its loop hangs, the requests stop and that somebody raises the alarm. Loaded by app/plugins; the port is ports/notifier.
"""

from datetime import datetime

from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint


def open_notifier(location: str, *, secret: str = "") -> "HeartbeatSender":
    """Give a heart that asks a URL. secret: sent as bearer token, if there is one. Raises SettingInvalid."""
    return HeartbeatSender(location, secret=secret)


class HeartbeatSender:
    """Asks by POST, with nothing in it."""

    def __init__(self, location: str, *, secret: str = "", timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = Endpoint(location, what="heartbeat", timeout_s=timeout_s)
        self._headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def beat(self, *, at: datetime, every_s: float) -> None:
        """See ports/notifier."""
        self._endpoint.ask(b"", {**self._headers, "Content-Length": "0"})
