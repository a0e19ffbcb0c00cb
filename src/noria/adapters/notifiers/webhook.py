"""Alerts by HTTP: one POST of JSON to an address that the project configured, and to no other. Loaded by app/plugins; the port is ports/notifier.

The body is `{"text": ..., "alert": {...}}`: chat systems show `text`, programs read `alert`.
"""

import base64
import http.client
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from noria.domain.alert import Alert
from noria.errors import SettingInvalid, StoreUnavailable

TIMEOUT_SECONDS = 10.0
LATER = {408, 425, 429}
"""Answers below 500 that say: try again later."""


def open_notifier(location: str) -> "WebhookNotifier":
    """Give a notifier that posts to a URL, `http` or `https`; a user and a password in it are sent as basic authentication. Raises SettingInvalid.

    >>> open_notifier("https://alerts.example.org/noria").host
    'alerts.example.org'
    """
    try:
        url = urlsplit(location)
        port = url.port
    except ValueError as exc:
        raise SettingInvalid(
            "the address of the webhook is no URL", cause=str(exc), remedy="use https://host/path"
        ) from exc
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or not location.isascii()
        or any(c.isspace() for c in location)
    ):
        raise SettingInvalid(
            "the address of the webhook is no http or https URL",
            remedy="in noria.toml, [notify]: location = 'https://host/path'",
        )
    return WebhookNotifier(url, port=port)


class WebhookNotifier:
    """One connection an alert: alerts are rare. The URL's path and query may hold a secret and are never shown."""

    def __init__(self, url: SplitResult, *, port: int | None, timeout_s: float = TIMEOUT_SECONDS) -> None:
        self.host = url.hostname or ""
        self._secure = url.scheme == "https"
        self._port = port
        self._target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._credentials = f"{unquote(url.username)}:{unquote(url.password or '')}" if url.username else None
        self._timeout_s = timeout_s

    def notify(self, alert: Alert) -> None:
        """See ports/notifier. `Idempotency-Key` is the alert's id (with `-resolved` when it is over), so that a receiver can tell a repetition.

        Raises StoreUnavailable when the receiver is away or says 'later', SettingInvalid when it refuses: the address or the credentials are wrong.
        """
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self.host, self._port, timeout=self._timeout_s)
        try:
            connection.request("POST", self._target, body=message(alert), headers=self._headers(alert))
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            raise self._away(f"{type(exc).__name__}: {exc}") from exc
        finally:
            connection.close()
        if status >= 500 or status in LATER:
            raise self._away(f"it answers {status}")
        if not 200 <= status < 300:
            raise SettingInvalid(
                f"the webhook at {self.host!r} refuses alerts",
                cause=f"it answers {status}",
                remedy="correct the address or its credentials in noria.toml, [notify]; redirects are not followed",
            )

    def _headers(self, alert: Alert) -> dict[str, str]:
        key = alert.id if alert.state == "open" else f"{alert.id}-{alert.state}"
        headers = {"Content-Type": "application/json", "User-Agent": "noria", "Idempotency-Key": key}
        if self._credentials is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(self._credentials.encode()).decode()
        return headers

    def _away(self, cause: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"the webhook at {self.host!r} does not take alerts now",
            cause=cause,
            remedy="it is tried again with the next alert",
        )


def message(alert: Alert) -> bytes:
    """The body of the request."""
    parts = [f"{alert.deployment}/{alert.number}: {alert.summary}"]
    if alert.state == "resolved":
        parts.insert(0, "resolved:")
    if alert.next_command and alert.state == "open":
        parts.append(f"(next: {alert.next_command})")
    return msgspec.json.encode({"text": " ".join(parts), "alert": alert})
