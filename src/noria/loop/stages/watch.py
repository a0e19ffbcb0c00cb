"""Watch what is served: count new windows, look for drift and decay, open and resolve alerts. On each stroke of the clock.

Everything is folded again from counts and the joined log, so a look that is repeated after a crash sees the same and changes nothing.
"""

import json
from collections.abc import Sequence
from datetime import datetime

import msgspec
import polars as pl

from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.ids import AlertId, Digest
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.errors import NotFound, StoreUnavailable
from noria.loop.context import Context, Recipe, Timed
from noria.monitoring.alert import broken_inputs, look
from noria.monitoring.drift import Budget, Drift, detect
from noria.monitoring.profile import window
from noria.monitoring.quality import Decay, daily, decay
from noria.registry.packaged import bundle_of
from noria.wire.tables import open_table

CHAMPION_KINDS = ("RolloutPromoted",)
ALERT_KINDS = ("AlertOpened", "AlertResolved")


def watch(context: Context) -> Sequence[Timed]:
    """Look at every deployment; AlertOpened and AlertResolved for what changed."""
    timed: list[Timed] = []
    for name, recipe in context.recipes.items():
        try:
            champion = context.deployments.get(name).variant("champion")
        except NotFound:
            continue
        assert champion is not None
        timed.extend(_look(context, recipe, champion))
    return timed


def _look(context: Context, recipe: Recipe, champion: Variant) -> list[Timed]:
    now = context.clock.now()
    since = _champion_since(context, recipe, champion.number)
    counted = _count(context, recipe, now=now)
    _, profile = _profile_of(context, champion.bundle)
    drift = _drift(context, recipe, champion, profile, since=since)
    newest = [each for each in counted if each.number == champion.number]
    standing, known = _alerts(context, recipe)
    changes = look(
        standing,
        deployment=recipe.deployment,
        number=champion.number,
        now=now,
        drift=drift,
        decay=_decay(context, recipe, champion, profile, since=since, now=now),
        broken=broken_inputs(profile, newest[-1]) if newest else None,
        known=known,
    )
    for alert in changes.opened:
        _notify(context, alert)
    opened = [
        Timed(key=alert.id, event=e.AlertOpened(deployment=recipe.deployment, alert=alert)) for alert in changes.opened
    ]
    over = [
        Timed(
            key=f"{resolution.alert.id}-over",
            event=e.AlertResolved(deployment=recipe.deployment, alert_id=resolution.alert.id, reason=resolution.reason),
        )
        for resolution in changes.resolved
    ]
    return [*over, *opened]


def _count(context: Context, recipe: Recipe, *, now: datetime) -> list[WindowCounts]:
    """Count what was served since the last look, one window a version. The log is compacted first, so a year of looks stays cheap."""
    context.predictions.compact(recipe.deployment)
    begun = (
        context.counts.latest(recipe.deployment) or context.deployments.at_generation(recipe.deployment, 1).updated_at
    )
    if begun >= now:
        return []
    wanted = ["number", "redacted", *(f"in.{name}" for name in recipe.features), f"out.{recipe.output}"]
    frame = open_table(context.predictions.scan(recipe.deployment, since=begun, until=now, columns=wanted))
    windows = []
    for (number,), rows in frame.group_by("number", maintain_order=True):
        try:
            version = context.models.get(recipe.model, int(str(number)))
        except NotFound:
            continue  # it answered and was deleted since: there is nothing left to compare its answers with
        digest, profile = _profile_of(context, bundle_of(version))
        redacted = {name for each in rows["redacted"].unique() if each is not None for name in json.loads(each)}
        columns = {name: rows[f"in.{name}"].to_numpy() for name in recipe.features if name not in redacted}
        scores = rows[f"out.{recipe.output}"].to_numpy()
        windows.append(
            window(
                profile,
                columns,
                scores,
                deployment=recipe.deployment,
                number=version.number,
                profile_digest=digest,
                since=begun,
                until=now,
                unseen=redacted,
            )
        )
    context.counts.put(windows)
    return windows


def _drift(context: Context, recipe: Recipe, champion: Variant, profile: ReferenceProfile, *, since: datetime) -> Drift:
    windows = context.counts.windows(recipe.deployment, champion.number, since=since)
    budget = Budget(windows=max(2, round(recipe.false_page_days * 86400 / profile.window_seconds)))
    return detect(profile, windows, budget=budget)


def _decay(
    context: Context, recipe: Recipe, champion: Variant, profile: ReferenceProfile, *, since: datetime, now: datetime
) -> Decay:
    output = f"out.{recipe.output}"
    joined = open_table(
        context.predictions.joined(
            recipe.deployment, known_by=now, since=since, until=now, columns=["number", "at", "label", output]
        )
    )
    rows = joined.filter((pl.col("number") == champion.number) & pl.col("label").is_not_null())
    days = (
        daily(
            rows["label"].to_numpy(),
            rows[output].to_numpy(),
            at=rows["at"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]"),
            known_by=now,
        )
        if rows.height
        else []
    )
    return decay(profile, days, budget_days=max(2, round(recipe.false_page_days)))


def _profile_of(context: Context, bundle: Digest) -> tuple[Digest, ReferenceProfile]:
    manifest = msgspec.json.decode(context.blobs.get(bundle), type=Bundle)
    if manifest.profile is None:
        raise NotFound(
            "the bundle carries no reference profile",
            cause=f"bundle {bundle}",
            remedy="package the model through the loop",
        )
    return manifest.profile, msgspec.json.decode(context.blobs.get(manifest.profile), type=ReferenceProfile)


def _champion_since(context: Context, recipe: Recipe, number: int) -> datetime:
    """When this version became champion."""
    for entry in context.ledger.latest(limit=10_000, kinds=CHAMPION_KINDS):
        event = entry.event
        if isinstance(event, e.RolloutPromoted) and event.deployment == recipe.deployment and event.number == number:
            return entry.at
    return context.deployments.get(recipe.deployment).updated_at


def _alerts(context: Context, recipe: Recipe) -> tuple[list[Alert], set[AlertId]]:
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


def _notify(context: Context, alert: Alert) -> None:
    """Tell people. A receiver that is away does not stop the loop: the alert stands in the ledger either way."""
    try:
        context.notifier.notify(alert)
    except StoreUnavailable:
        return
