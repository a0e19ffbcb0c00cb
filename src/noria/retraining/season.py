"""Whether a drift is a season that comes back: the same one stood one season ago. Pure.

What follows from that is retraining/decide. Called by loop/stages.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from noria.domain.alert import Alert
from noria.domain.events import AlertOpened, AlertResolved
from noria.domain.ledger import Entry

LEEWAY = 1 / 12
"""Seasons do not come to the day: by so much of a season may the same drift be early or late, but by a day at least."""

ALIKE = 0.5
"""Share of all inputs that two alerts name which both must name to tell of the same drift (Jaccard)."""


def season_alert(entries: Iterable[Entry], alert: Alert | None, *, season_days: float) -> str:
    """Id of the alert of the same kind about the same inputs that stood one season before this one opened; '' if there was none.

    entries: AlertOpened and AlertResolved of the deployment, oldest first. season_days: 0 knows no season.

    >>> season_alert([], None, season_days=365)
    ''
    """
    if alert is None or season_days <= 0:
        return ""
    ago = alert.opened_at - timedelta(days=season_days)
    leeway = timedelta(days=max(1.0, season_days * LEEWAY))
    opened: dict[str, Alert] = {}
    over: dict[str, datetime] = {}
    for entry in entries:
        if isinstance(entry.event, AlertOpened):
            opened[entry.event.alert.id] = entry.event.alert
        elif isinstance(entry.event, AlertResolved):
            over.setdefault(entry.event.alert_id, entry.at)
    for before in opened.values():
        ended = over.get(before.id, alert.opened_at)
        stood = before.opened_at <= ago + leeway and ended >= ago - leeway
        # What has stood ever since is no season: it came once and stayed.
        if stood and ended < alert.opened_at and _alike(before, alert):
            return before.id
    return ""


def _alike(one: Alert, other: Alert) -> bool:
    if one.kind != other.kind or one.id == other.id:
        return False
    named, also = set(one.causes), set(other.causes)
    if not named and not also:
        return True
    return len(named & also) >= ALIKE * len(named | also)
