"""The notifier port: how an alert reaches people."""

from typing import Protocol

from noria.domain.alert import Alert


class Notifier(Protocol):
    """Delivers alerts. The same alert id twice is one message where the receiver can tell."""

    def notify(self, alert: Alert) -> None:
        """Deliver one alert. Raises StoreUnavailable when the receiver is away; the caller tries again later."""
        ...
