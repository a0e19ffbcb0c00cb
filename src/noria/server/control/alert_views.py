"""What the routes of alerts take and give. Beside views.py, which holds the rest. Called by alerts.py."""

from datetime import datetime

import msgspec

from noria.domain.alert import Alert
from noria.server.control.views import EventView


class AlertActIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something done about an alert. by: who does it, 'rest' if it is not said. only: this alert, and not all of the same cause."""

    reason: str = ""
    by: str = ""
    only: bool = False


class SnoozeIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A snooze: until a moment, or for some hours from now."""

    until: datetime | None = None
    hours: float | None = None
    reason: str = ""
    by: str = ""
    only: bool = False


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """One alert, what stands besides of the same cause, and everything that was said about it, oldest first."""

    alert: Alert
    others: list[Alert]
    history: list[EventView]


class ReceiverView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is told of alerts, but for its address and its secret. waiting: notices that it has not taken yet.

    tries, problem: of the last failures in a row, as far as this server made them.
    """

    name: str
    adapter: str
    severity: str
    kinds: list[str]
    deployments: list[str]
    resolved: bool
    repeat_minutes: float
    waiting: int
    waiting_since: datetime | None
    tries: int
    problem: str


class ReceiverTried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test. problem: why it was not taken."""

    taken: bool
    problem: str
