"""Alerts by HTTP: one POST of JSON to an address that the project configured. Loaded by app/plugins; the port is ports/notifier.

The body is `{"text": ..., "notice": {...}}`: chat systems show `text`, programs read `notice`. With a secret each message is signed as Standard
Webhooks has it (standardwebhooks.com), so that a receiver knows who sent it.
"""

import base64
import hmac
from datetime import datetime
from hashlib import sha256

import msgspec

from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint
from noria.adapters.notifiers.wording import SAID
from noria.domain.alert import Notice
from noria.errors import SettingInvalid

PREFIX = "whsec_"


def open_notifier(location: str, *, secret: str = "") -> "WebhookNotifier":
    """Give a notifier that posts to a URL, `http` or `https`; a user and a password in it are sent as basic authentication.

    secret: signs the messages; `whsec_` and base64, or any text. Raises SettingInvalid.

    >>> open_notifier("https://alerts.example.org/noria").host
    'alerts.example.org'
    """
    return WebhookNotifier(location, secret=secret)


class WebhookNotifier:
    """One connection a notice: alerts are rare. The URL's path and query may hold a secret and are never shown."""

    def __init__(self, location: str, *, secret: str = "", timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = Endpoint(location, what="webhook", timeout_s=timeout_s)
        self._key = _key(secret)
        self.host = self._endpoint.host

    def notify(self, notice: Notice) -> None:
        """See ports/notifier. `Idempotency-Key` is the notice's id, so that a receiver can tell a repetition."""
        body = message(notice)
        headers = {"Idempotency-Key": notice.id}
        if self._key:
            headers |= signed(body, self._key, identity=notice.id, at=notice.at)
        self._endpoint.ask(body, headers)


def message(notice: Notice) -> bytes:
    """The body of the request."""
    alert = notice.alert
    parts = [f"{alert.deployment}/{alert.number}: {alert.summary}"]
    if SAID[notice.change]:
        parts.insert(0, f"{SAID[notice.change]}:")
    if alert.next_command and not alert.is_over:
        parts.append(f"(next: {alert.next_command})")
    return msgspec.json.encode({"text": " ".join(parts), "notice": notice})


def signed(body: bytes, key: bytes, *, identity: str, at: datetime) -> dict[str, str]:
    """The three headers of a signed message."""
    moment = str(int(at.timestamp()))
    digest = hmac.new(key, f"{identity}.{moment}.".encode() + body, sha256).digest()
    return {
        "webhook-id": identity,
        "webhook-timestamp": moment,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError as exc:
        raise SettingInvalid(
            "the secret of the webhook is not what its beginning says", cause=f"no base64 follows {PREFIX!r}"
        ) from exc
