"""Decide whether to retrain: asked by a declaration, by an alert, or by the calendar. The rule itself is retraining/decide; here it is given its facts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.ledger import Entry
from noria.domain.policy import Decision, RetrainHistory
from noria.loop.context import Context, Recipe, Timed
from noria.retraining import decide as rule

Trigger = Literal["decay", "input_drift", "schedule", "hand"]
ENDINGS = (e.RunFailed, e.GatesFailed, e.RolloutPromoted, e.RolloutRolledBack)
KINDS = ("RetrainRequested", "RetrainSuppressed", *(kind.__name__ for kind in ENDINGS))


def ask_for_the_first(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """DeploymentDeclared -> RetrainRequested, if nothing answers under this name yet; else the running loop takes over the new declaration."""
    event = entry.event
    assert isinstance(event, e.DeploymentDeclared)
    if any(d.name == event.deployment for d in context.deployments.all()):
        return []
    reason = "a first version is needed: nothing answers under this name yet"
    requested = e.RetrainRequested(
        deployment=event.deployment, model=event.model, reason=reason, trigger="declared", data_until=entry.at
    )
    return [requested]


def decide(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """AlertOpened -> RetrainRequested or RetrainSuppressed."""
    event = entry.event
    assert isinstance(event, e.AlertOpened)
    recipe = context.recipe(event.deployment)
    trigger: Trigger = "decay" if event.alert.kind == "decay" else "input_drift"
    decision = _judge(trigger, event.alert, recipe, context, now=entry.at, before=entry.seq)
    return [_event(decision, recipe, trigger, until=entry.at)]


def review(context: Context) -> Sequence[Timed]:
    """With no alarm for a while, look at the evidence by the calendar (policy.review_days)."""
    timed = []
    now = context.clock.now()
    for name, recipe in context.recipes.items():
        if not recipe.policy.review_days or "schedule" not in recipe.policy.on:
            continue
        looked = _last_look(context, name)
        if looked is None or now - looked < timedelta(days=recipe.policy.review_days):
            continue
        decision = _judge("schedule", None, recipe, context, now=now)
        timed.append(Timed(key=f"{name}-{now:%Y-%m-%dT%H:%M}", event=_event(decision, recipe, "schedule", until=now)))
    return timed


def history(context: Context, recipe: Recipe, *, now: datetime, before: int | None = None) -> RetrainHistory:
    """What the ledger knows of this deployment's retrainings, and how many labels came since the last one."""
    requested: list[datetime] = []
    champion_since: datetime | None = None
    in_progress = False
    for entry in context.ledger.read(limit=1_000_000, kinds=KINDS):
        if before is not None and entry.seq >= before:
            break
        event = entry.event
        if getattr(event, "deployment", None) != recipe.deployment:
            continue
        if isinstance(event, e.RetrainRequested):
            requested.append(entry.at)
            in_progress = True
        elif isinstance(event, ENDINGS):
            in_progress = False
            if isinstance(event, e.RolloutPromoted):
                champion_since = entry.at
    last = requested[-1] if requested else None
    joined = pl.DataFrame(context.predictions.joined(recipe.deployment, known_by=now, since=last))
    labels = joined["label"].drop_nulls().len() if "label" in joined.columns else 0
    return RetrainHistory(
        requested_at=tuple(requested), champion_since=champion_since, in_progress=in_progress, labels_since_last=labels
    )


def _judge(
    trigger: Trigger, alert: Alert | None, recipe: Recipe, context: Context, *, now: datetime, before: int | None = None
) -> Decision:
    return rule.decide(trigger, alert, recipe.policy, history(context, recipe, now=now, before=before), now=now)


def _event(
    decision: Decision, recipe: Recipe, trigger: Trigger, *, until: datetime
) -> e.RetrainRequested | e.RetrainSuppressed:
    if decision.retrain:
        return e.RetrainRequested(
            deployment=recipe.deployment,
            model=recipe.model,
            reason=decision.reason,
            trigger=trigger,
            data_until=until,
            evidence=decision.evidence,
        )
    return e.RetrainSuppressed(
        deployment=recipe.deployment,
        model=recipe.model,
        reason=decision.reason,
        trigger=trigger,
        evidence=decision.evidence,
    )


def _last_look(context: Context, deployment: str) -> datetime | None:
    """When the loop last asked for a training, or last looked by the calendar."""
    for entry in context.ledger.latest(limit=10_000, kinds=("RetrainRequested", "RetrainSuppressed")):
        event = entry.event
        if isinstance(event, e.RetrainRequested) and event.deployment == deployment:
            return entry.at
        if isinstance(event, e.RetrainSuppressed) and event.deployment == deployment and event.trigger == "schedule":
            return entry.at
    return None
