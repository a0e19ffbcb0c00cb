"""Count what was served since the last look, in the bins of each version's profile, and judge the counts for drift. Called by stages/watch."""

import json
from datetime import datetime

import msgspec

from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.ids import Digest
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.errors import NotFound
from noria.loop.context import Context, Recipe
from noria.monitoring.drift import Budget, Drift, detect
from noria.monitoring.profile import window
from noria.registry.packaged import bundle_of
from noria.wire.tables import open_table


def count_served(context: Context, recipe: Recipe, *, now: datetime) -> list[WindowCounts]:
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
        digest, profile = profile_of(context, bundle_of(version))
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


def drift_of(
    context: Context, recipe: Recipe, champion: Variant, profile: ReferenceProfile, *, since: datetime
) -> Drift:
    windows = context.counts.windows(recipe.deployment, champion.number, since=since)
    budget = Budget(windows=max(2, round(recipe.false_page_days * 86400 / profile.window_seconds)))
    return detect(profile, windows, budget=budget)


def profile_of(context: Context, bundle: Digest) -> tuple[Digest, ReferenceProfile]:
    manifest = msgspec.json.decode(context.blobs.get(bundle), type=Bundle)
    if manifest.profile is None:
        raise NotFound(
            "the bundle carries no reference profile",
            cause=f"bundle {bundle}",
            remedy="package the model through the loop",
        )
    return manifest.profile, msgspec.json.decode(context.blobs.get(manifest.profile), type=ReferenceProfile)
