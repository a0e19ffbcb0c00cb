"""Which alerts stand, and how people hear of new ones. Called by stages/watch."""

from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.ids import AlertId
from noria.errors import StoreUnavailable
from noria.loop.context import Context, Recipe

ALERT_KINDS = ("AlertOpened", "AlertResolved")


def standing_alerts(context: Context, recipe: Recipe) -> tuple[list[Alert], set[AlertId]]:
    """Alerts of this deployment that are open, and the ids of all that ever were."""
    opened: dict[AlertId, Alert] = {}
    known: set[AlertId] = set()
    for entry in context.ledger.read(limit=1_000_000, kinds=ALERT_KINDS):
        event = entry.event
        if isinstance(event, e.AlertOpened) and event.deployment == recipe.deployment:
            opened[event.alert.id] = event.alert
            known.add(event.alert.id)
        elif isinstance(event, e.AlertResolved):
            opened.pop(event.alert_id, None)
    return list(opened.values()), known


def tell_people(context: Context, alert: Alert) -> None:
    """Tell people. A receiver that is away does not stop the loop: the alert stands in the ledger either way."""
    try:
        context.notifier.notify(alert)
    except StoreUnavailable:
        return
