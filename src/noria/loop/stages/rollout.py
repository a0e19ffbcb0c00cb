"""Let a version meet traffic: the first at once, later ones as a canary that the clock judges. Follows ModelVersionApproved, and ticks.

A generation is written under the id of its cause, then published for the workers; a repeated stage finds its generation and publishes it again.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from noria.domain import events as e
from noria.domain.deployment import Deployment, Rollout, Variant, Verdict
from noria.domain.ids import EventId, RolloutId, derive
from noria.domain.ledger import Entry
from noria.domain.model import ModelVersion
from noria.errors import NotFound
from noria.loop.context import Context, Recipe, Timed
from noria.serving import desired
from noria.serving.verdict import judge_rollout
from noria.stats.metrics import row_log_loss


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
        verdict = _verdict(context, recipe, rollout)
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


def _verdict(context: Context, recipe: Recipe, rollout: Rollout) -> Verdict:
    now = context.clock.now()
    frame = pl.DataFrame(
        context.predictions.joined(recipe.deployment, known_by=now, since=rollout.started_at, until=now)
    ).filter(pl.col("label").is_not_null() & (pl.col("rollout") == rollout.id))
    return judge_rollout(
        rollout.plan,
        champion_losses=_losses(frame, recipe, "champion"),
        challenger_losses=_losses(frame, recipe, "challenger"),
        champion_errors=0,
        challenger_errors=0,
        started_at=rollout.started_at,
        now=now,
    )


def _losses(frame: pl.DataFrame, recipe: Recipe, variant: str) -> np.ndarray:
    rows = frame.filter(pl.col("variant") == variant)
    return row_log_loss(rows["label"].to_numpy(), rows[f"out.{recipe.output}"].to_numpy())


def _current(context: Context, name: str) -> Deployment | None:
    try:
        return context.deployments.get(name)
    except NotFound:
        return None


def _variant(role: str, version: ModelVersion, weight: float) -> Variant:
    assert role in ("champion", "challenger")
    return Variant(
        name="champion" if role == "champion" else "challenger",
        model=version.model,
        number=version.number,
        version=str(version.version),
        bundle=version.bundle,
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
