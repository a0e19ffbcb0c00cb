"""Decide whether to retrain: asked by a declaration, an alert, or the clock. The rule itself is retraining/decide; here it gets its facts."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.ids import EventId
from noria.domain.ledger import Entry
from noria.domain.policy import Decision, RetrainHistory
from noria.loop.context import Context, Recipe, Timed
from noria.retraining import decide as rule
from noria.wire.tables import open_table

ENDINGS = (e.RunFailed, e.GatesFailed, e.RolloutPromoted, e.RolloutRolledBack)
KINDS = ("RetrainRequested", "RunFinished", "StageFailed", *(kind.__name__ for kind in ENDINGS))

DECAYS = ("decay", "concept_drift")
UNTEACHABLE = ("slice", "fairness", "no_predictions", "no_look")
"""Kinds of alerts that ask for a person and not for a training."""


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
    """AlertOpened -> RetrainRequested or RetrainSuppressed; nothing for alerts that no training could answer."""
    event = entry.event
    assert isinstance(event, e.AlertOpened)
    if event.alert.kind in UNTEACHABLE:
        return []
    recipe = context.recipe(event.deployment)
    trigger: e.Trigger = "decay" if event.alert.kind in DECAYS else "input_drift"
    decision = _judge(trigger, event.alert, recipe, context, now=entry.at, before=entry.seq)
    return [_event(decision, recipe, trigger, until=entry.at)]


def review(context: Context) -> Sequence[Timed]:
    """What needs no new alarm: a decay that still stands, data that grew enough (policy.growth), the calendar (policy.review_days).

    A standing decay and growth are looked at on every stroke and told only when they lead to something; a scheduled look is always told. Without the
    first, a challenger that was refused because too few labels of the new world had arrived would have been the last one.
    """
    timed = []
    now = context.clock.now()
    for name, recipe in context.recipes.items():
        looked = _last_look(context, name)
        if looked is None or not any(d.name == name for d in context.deployments.all()):
            continue
        if now - _last_request(context, name) < timedelta(days=recipe.policy.cooldown_days):
            continue  # nothing could be asked for: spare the counting of labels
        past = history(context, recipe, now=now)
        standing = _standing_decay(context, name)
        if standing is not None:
            again = rule.decide("decay", standing, recipe.policy, past, now=now)
            if again.retrain:
                key = f"{standing.id}-again-{now.isoformat()}"
                timed.append(
                    Timed(key=key, event=_event(again, recipe, "decay", until=now), cause=_opening(context, standing))
                )
                continue
        grown = rule.decide("growth", None, recipe.policy, past, now=now)
        if grown.retrain:
            timed.append(
                Timed(key=f"{name}-growth-{now.isoformat()}", event=_event(grown, recipe, "growth", until=now))
            )
            continue
        looked = _last_look(context, name)
        if (
            recipe.policy.review_days
            and looked is not None
            and now - looked >= timedelta(days=recipe.policy.review_days)
        ):
            due = rule.decide("schedule", None, recipe.policy, past, now=now)
            timed.append(Timed(key=f"{name}-{now.isoformat()}", event=_event(due, recipe, "schedule", until=now)))
    return timed


def history(context: Context, recipe: Recipe, *, now: datetime, before: int | None = None) -> RetrainHistory:
    """What the ledger knows of this deployment's retrainings, and how many labels came since the champion learnt.

    Growth is counted from the champion's training, not from the last attempt: a refused challenger has taught production nothing.
    """
    requested: list[datetime] = []
    champion_since: datetime | None = None
    in_progress = False
    attempt, learnt = (datetime.min.replace(tzinfo=UTC), 0), (datetime.min.replace(tzinfo=UTC), 0)
    for entry in context.ledger.read(limit=1_000_000, kinds=KINDS):
        if before is not None and entry.seq >= before:
            break
        event = entry.event
        if isinstance(event, e.StageFailed):
            in_progress = in_progress and not _ended(entry, recipe, context)
            continue
        if getattr(event, "deployment", None) != recipe.deployment:
            continue
        if isinstance(event, e.RetrainRequested):
            requested.append(entry.at)
            in_progress = True
        elif isinstance(event, e.RunFinished):
            attempt = (event.window.known_by, event.rows)
        elif isinstance(event, ENDINGS):
            in_progress = False
            if isinstance(event, e.RolloutPromoted):
                champion_since, learnt = entry.at, attempt
    # Labels of predictions asked for long before the training are no news of the world after it; looking for them would read the whole log.
    since = learnt[0] - timedelta(days=recipe.policy.backtest_days) if learnt[1] else None
    joined = open_table(
        context.predictions.joined(recipe.deployment, known_by=now, since=since, columns=["label", "label_at"])
    )
    return RetrainHistory(
        requested_at=tuple(requested),
        champion_since=champion_since,
        in_progress=in_progress,
        labels_since_last=joined.filter(pl.col("label").is_not_null() & (pl.col("label_at") > learnt[0])).height,
        rows_of_last=learnt[1],
    )


def _ended(failed: Entry, recipe: Recipe, context: Context) -> bool:
    """Whether a failed stage was one between a request and its rollout: then nothing follows, and the training is over."""
    if failed.cause is None:
        return False
    event = context.ledger.get(failed.cause).event
    return getattr(event, "deployment", None) == recipe.deployment and not isinstance(event, e.AlertOpened)


def _judge(
    trigger: e.Trigger,
    alert: Alert | None,
    recipe: Recipe,
    context: Context,
    *,
    now: datetime,
    before: int | None = None,
) -> Decision:
    return rule.decide(trigger, alert, recipe.policy, history(context, recipe, now=now, before=before), now=now)


def _event(
    decision: Decision, recipe: Recipe, trigger: e.Trigger, *, until: datetime
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


def _standing_decay(context: Context, deployment: str) -> Alert | None:
    """The decay alert of this deployment that is open, if one is."""
    over: set[str] = set()
    for entry in context.ledger.latest(limit=10_000, kinds=("AlertOpened", "AlertResolved")):
        event = entry.event
        if isinstance(event, e.AlertResolved):
            over.add(event.alert_id)
        elif isinstance(event, e.AlertOpened) and (event.deployment, event.alert.kind) == (deployment, "decay"):
            return None if event.alert.id in over else event.alert
    return None


def _opening(context: Context, alert: Alert) -> EventId | None:
    """The event that opened an alert."""
    for entry in context.ledger.latest(limit=10_000, kinds=("AlertOpened",)):
        if isinstance(entry.event, e.AlertOpened) and entry.event.alert.id == alert.id:
            return entry.id
    return None


def _last_request(context: Context, deployment: str) -> datetime:
    """When a training was last asked for; the beginning of time if it never was."""
    for entry in context.ledger.latest(limit=10_000, kinds=("RetrainRequested",)):
        if isinstance(entry.event, e.RetrainRequested) and entry.event.deployment == deployment:
            return entry.at
    return datetime.min.replace(tzinfo=UTC)


def _last_look(context: Context, deployment: str) -> datetime | None:
    """When the loop last asked for a training, or last looked by the calendar."""
    for entry in context.ledger.latest(limit=10_000, kinds=("RetrainRequested", "RetrainSuppressed")):
        event = entry.event
        if isinstance(event, e.RetrainRequested) and event.deployment == deployment:
            return entry.at
        if isinstance(event, e.RetrainSuppressed) and event.deployment == deployment and event.trigger == "schedule":
            return entry.at
    return None
