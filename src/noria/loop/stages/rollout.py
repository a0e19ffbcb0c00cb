"""Let a version meet traffic: the first at once, later ones as a canary that the clock judges. Follows ModelVersionApproved, and ticks.

A generation is written under the id of its cause, then published for the workers; a repeated stage finds its generation and publishes it again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from noria.domain import events as e
from noria.domain.deployment import Deployment, Rollout, Variant, VariantRole, Verdict
from noria.domain.ids import EventId, RolloutId, derive
from noria.domain.ledger import Entry
from noria.domain.model import ModelVersion
from noria.errors import NotFound
from noria.loop.context import Context, Recipe, Timed
from noria.loop.held import columns_of
from noria.loop.training import as_sent
from noria.packaging.bundle import open_bundle
from noria.registry.packaged import bundle_of
from noria.serving import desired, looks
from noria.serving.verdict import judge_rollout
from noria.stats.metrics import row_log_loss
from noria.wire.tables import open_table

Losses: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
ROLES: tuple[VariantRole, VariantRole] = ("champion", "challenger")


def roll_out(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """ModelVersionApproved -> RolloutPromoted (no champion yet) or RolloutStarted (a canary beside the champion)."""
    event = entry.event
    assert isinstance(event, e.ModelVersionApproved)
    recipe = context.recipe(event.deployment)
    version = context.models.get(event.model, event.number)
    current = _current(context, event.deployment)
    if current is None or (current.cause == entry.id and len(current.variants) == 1):
        deployment = _put(context, current, entry.id, recipe, [_variant("champion", version, 1.0)], rollout=None)
        promoted = e.RolloutPromoted(
            deployment=event.deployment,
            model=event.model,
            number=event.number,
            previous=None,
            generation=deployment.generation,
        )
        return [promoted]
    champion = current.variant("champion")
    assert champion is not None
    rollout = Rollout(
        id=RolloutId(derive("rollout", entry.id)),
        challenger=event.number,
        champion=champion.number,
        plan=recipe.canary,
        started_at=context.clock.now(),
        cause=entry.id,
    )
    weight = recipe.canary.weight
    champion_version = context.models.get(champion.model, champion.number)
    variants = [_variant("champion", champion_version, 1.0 - weight), _variant("challenger", version, weight)]
    deployment = _put(context, current, entry.id, recipe, variants, rollout=rollout)
    assert deployment.rollout is not None
    started = e.RolloutStarted(
        deployment=event.deployment,
        rollout=deployment.rollout,
        variants=deployment.variants,
        generation=deployment.generation,
    )
    return [started]


def judge(context: Context) -> Sequence[Timed]:
    """Look at every running rollout; promote or roll back when the evidence says so."""
    timed = []
    for name, recipe in context.recipes.items():
        current = _current(context, name)
        if current is None or current.rollout is None:
            continue
        rollout = current.rollout
        key = f"{rollout.id}-verdict"
        cause = EventId(derive("verdict", rollout.id))
        if rollout.outcome != "running":
            if current.cause == cause and rollout.verdict is not None:
                timed.append(Timed(key=key, event=_closing(current, rollout, rollout.verdict), cause=rollout.cause))
            continue
        verdict = _verdict(context, recipe, current, rollout)
        looks.keep(context.blobs, current, rollout, verdict, at=context.clock.now())
        if verdict.outcome == "wait":
            continue
        won = verdict.outcome == "promote"
        staying = current.variant("challenger" if won else "champion")
        assert staying is not None
        version = context.models.get(staying.model, staying.number)
        ended = Rollout(
            id=rollout.id,
            challenger=rollout.challenger,
            champion=rollout.champion,
            plan=rollout.plan,
            started_at=rollout.started_at,
            cause=rollout.cause,
            ended_at=context.clock.now(),
            outcome="promoted" if won else "rolled_back",
            verdict=verdict,
        )
        deployment = _put(context, current, cause, recipe, [_variant("champion", version, 1.0)], rollout=ended)
        timed.append(Timed(key=key, event=_closing(deployment, ended, verdict), cause=rollout.cause))
    return timed


def _closing(deployment: Deployment, rollout: Rollout, verdict: Verdict) -> e.AnyEvent:
    if rollout.outcome == "promoted":
        return e.RolloutPromoted(
            deployment=deployment.name,
            model=deployment.model,
            number=rollout.challenger,
            previous=rollout.champion,
            generation=deployment.generation,
            rollout_id=rollout.id,
            verdict=verdict,
        )
    return e.RolloutRolledBack(
        deployment=deployment.name,
        model=deployment.model,
        number=rollout.challenger,
        champion=rollout.champion,
        generation=deployment.generation,
        rollout_id=rollout.id,
        verdict=verdict,
    )


def _verdict(context: Context, recipe: Recipe, current: Deployment, rollout: Rollout) -> Verdict:
    now = context.clock.now()
    own = ["at", "label", "rollout", "variant", "redacted", f"out.{recipe.output}"]
    wanted = [*own, *(f"in.{name}" for name in recipe.features)]
    joined = open_table(
        context.predictions.joined(recipe.deployment, known_by=now, since=rollout.started_at, until=now, columns=wanted)
    )
    frame = joined.filter(pl.col("label").is_not_null() & (pl.col("rollout") == rollout.id)).sort(
        "at", maintain_order=True
    )
    return judge_rollout(
        rollout.plan,
        champion_losses=_losses(frame, recipe, "champion"),
        challenger_losses=_losses(frame, recipe, "challenger"),
        started_at=rollout.started_at,
        now=now,
        paired_losses=_paired(context, recipe, current, frame) if rollout.plan.paired else None,
    )


def _losses(frame: pl.DataFrame, recipe: Recipe, variant: str) -> Losses:
    rows = frame.filter(pl.col("variant") == variant)
    return (
        row_log_loss(rows["label"].to_numpy(), rows[f"out.{recipe.output}"].to_numpy()) if rows.height else np.zeros(0)
    )


def _paired(context: Context, recipe: Recipe, current: Deployment, frame: pl.DataFrame) -> Losses:
    """Challenger minus champion on every labelled row, each answering what the other did as well; in the order of time."""
    frame = as_sent(frame, recipe)
    if frame.height == 0:
        return np.zeros(0)
    rows = frame.select([pl.col(f"in.{name}").alias(name) for name in recipe.features])
    losses = []
    for role in ROLES:
        variant = current.variant(role)
        assert variant is not None
        opened = open_bundle(variant.bundle, blobs=context.blobs, cache=context.home / "cache", flavors=context.flavors)
        p = np.asarray(opened.predictor.predict(columns_of(rows, recipe))[recipe.output], dtype=np.float64).reshape(-1)
        losses.append(row_log_loss(frame["label"].to_numpy(), p))
    return np.asarray(losses[1] - losses[0])


def _current(context: Context, name: str) -> Deployment | None:
    try:
        return context.deployments.get(name)
    except NotFound:
        return None


def _variant(role: VariantRole, version: ModelVersion, weight: float) -> Variant:
    return Variant(
        name=role,
        model=version.model,
        number=version.number,
        version=str(version.version),
        bundle=bundle_of(version),
        weight=weight,
    )


def _put(
    context: Context,
    current: Deployment | None,
    cause: EventId,
    recipe: Recipe,
    variants: Sequence[Variant],
    *,
    rollout: Rollout | None,
) -> Deployment:
    """Write the next generation once for its cause, and publish it."""
    if current is not None and current.cause == cause:
        desired.publish(context.blobs, current)
        return current
    at: datetime = context.clock.now()
    deployment = context.deployments.put(
        Deployment(
            name=recipe.deployment,
            model=recipe.model,
            generation=(current.generation if current else 0) + 1,
            variants=tuple(variants),
            updated_at=at,
            rollout=rollout,
            cause=cause,
        )
    )
    desired.publish(context.blobs, deployment)
    return deployment
