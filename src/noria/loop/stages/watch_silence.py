"""Tell of a drift alarm, when it opens, what would have silenced it. It takes some ten looks, so it is done then and not at each. Called by watch."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from noria.domain import events as e
from noria.domain.alert import Alert, AlertKind
from noria.domain.deployment import Variant
from noria.domain.profile import ReferenceProfile
from noria.loop.champion import judged_windows
from noria.loop.context import Context, Recipe, Timed
from noria.loop.stages.watch_counts import budget_of
from noria.monitoring.drift_silence import Silence, silencers, silences

DRIFTS: tuple[AlertKind, ...] = ("input_drift", "prediction_drift")


def with_silencers(
    context: Context,
    recipe: Recipe,
    champion: Variant,
    profile: ReferenceProfile,
    timed: Sequence[Timed],
    *,
    since: datetime,
) -> list[Timed]:
    """The same events, those that open a drift alert with the margin and the budget that would have kept it quiet."""
    if not any(_drift_in(each) for each in timed):
        return list(timed)
    budget = budget_of(recipe, profile)
    windows = judged_windows(context.counts, recipe.deployment, champion.number, profile, since=since)
    found: dict[str, Silence] = dict(zip(DRIFTS, silences(profile, windows, budget=budget), strict=True))
    enriched: list[Timed] = []
    for each in timed:
        alert = _drift_in(each)
        if alert is not None:
            told = silencers(found[alert.kind], budget, window_seconds=profile.window_seconds)
            alert = msgspec.structs.replace(alert, silencers=told)
            enriched.append(Timed(key=each.key, event=e.AlertOpened(deployment=recipe.deployment, alert=alert)))
        else:
            enriched.append(each)
    return enriched


def _drift_in(timed: Timed) -> Alert | None:
    """The drift alert that an event opens, if it does."""
    event = timed.event
    return event.alert if isinstance(event, e.AlertOpened) and event.alert.kind in DRIFTS else None
