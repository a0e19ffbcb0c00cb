"""What a decision to retrain may know of the past: folded from the ledger, with the labels that came since. Called by stages/decide and stages/train.

The rule itself is retraining/decide; whether the data can be learnt from is decide_sound.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
import polars as pl

from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.deployment import Deployment
from noria.domain.ids import AlertId, EventId, RunId
from noria.domain.ledger import Entry
from noria.domain.policy import RetrainHistory
from noria.errors import NotFound
from noria.loop.context import Context, Recipe
from noria.retraining.bounds import believed
from noria.retraining.decide import DECAYS, is_harmless
from noria.retraining.season import season_alert
from noria.wire.tables import open_table

UNTAUGHT = (e.RunFailed, e.GatesFailed)
ENDINGS = (
    *UNTAUGHT,
    e.RolloutPromoted,
    e.RolloutRolledBack,
    e.DeploymentChanged,
    e.DeploymentRolledBack,
    e.DeploymentStopped,
)
"""Events after which no training is under way; the last three only while a rollout is."""
BY_HAND = (e.DeploymentChanged, e.DeploymentRolledBack, e.DeploymentStopped)
STEPS = ("RetrainRequested", "RunFinished", "StageFailed", "ModelVersionRegistered", "ModelVersionApproved")
KINDS = (
    *STEPS,
    "RolloutStarted",
    "AlertOpened",
    "AlertResolved",
    *(kind.__name__ for kind in ENDINGS),
)
BEGINNING = datetime.min.replace(tzinfo=UTC)


QUIET_AHEAD = timedelta(days=1)
"""A cause that asked further ahead of now than this did so by a clock that ran away: it keeps nobody quiet."""


class _Learnt(NamedTuple):
    """What a version learnt from: so many rows, with the labels known until then."""

    until: datetime
    rows: int


NOTHING = _Learnt(BEGINNING, 0)


@dataclass
class _Past:
    """The fold."""

    requested: list[datetime] = field(default_factory=list)
    asked_for: dict[str, datetime] = field(default_factory=dict)
    phase: str = ""
    waiting: str = ""
    champion_since: datetime | None = None
    attempt: _Learnt = NOTHING
    learnt: _Learnt = NOTHING
    runs: dict[RunId, _Learnt] = field(default_factory=dict)
    versions: dict[int, _Learnt] = field(default_factory=dict)
    changed_at: datetime | None = None
    standing: set[AlertId] = field(default_factory=set)
    """Alerts that tell of harm to the champion's answers, and are not over."""
    calm: datetime | None = None
    """When it had changed last, as far as was known before the first of those that stand."""

    def champion(self, number: int, at: datetime) -> None:
        """This version answers since then; of one that came from elsewhere the last training is taken."""
        self.champion_since, self.learnt = at, self.versions.get(number, self.attempt)
        self.standing.clear()  # they told of the one before: what it did not know is a change still

    def taught_until(self) -> datetime | None:
        """Until when the champion has learnt; None: nothing answers yet, or the ledger does not say."""
        return self.learnt.until if self.champion_since is not None and self.learnt.until > BEGINNING else None

    def doubt(self, alert: AlertId, changed_at: datetime | None) -> None:
        """An alert tells of harm, and may say since when the world is another one."""
        self.calm = self.calm if self.standing else self.changed_at
        self.standing.add(alert)
        self.changed_at = changed_at or self.changed_at

    def ease(self, alert: AlertId) -> None:
        """It is over. When none is left the same champion is as good as before, so the world is the one from before."""
        if alert in self.standing:
            self.standing.remove(alert)
            self.changed_at = self.changed_at if self.standing else self.calm


def history(
    context: Context, recipe: Recipe, *, now: datetime, before: int | None = None, alert: Alert | None = None
) -> RetrainHistory:
    """What the ledger knows of this deployment's retrainings, and how many labels came since the champion learnt.

    before: what stands in the ledger from this seq on is not known yet, but for trainings: of two alerts of one stroke the second must see what the
    first has asked for. alert: the one that asks; it may say since when the world is another one.
    Growth is counted from the champion's training, not from the last attempt: a refused challenger has taught production nothing.
    """
    past = _fold(context, recipe, before=before)
    changed_at = change_of(alert) or past.changed_at
    current = standing(context, recipe.deployment)
    found = RetrainHistory(
        requested_at=believed(past.requested, recipe.policy, now=now),
        champion_since=past.champion_since,
        in_progress=bool(past.phase),
        stopped=current is not None and current.stopped is not None,
        rollout_running=current is not None and current.rollout is not None and current.rollout.outcome == "running",
        changed_at=changed_at,
        asked_for={k: min(at, now) for k, at in past.asked_for.items() if at - now < QUIET_AHEAD},
        season_alert=season_alert(_alerts(context, recipe, before), alert, season_days=recipe.policy.season_days),
        waiting=past.waiting,
        champion_taught_until=past.taught_until(),
    )
    return _with_labels(found, past.learnt, context, recipe, now=now)


def changed_before(context: Context, recipe: Recipe, entry: Entry) -> datetime | None:
    """When the world last changed, as far as was known when this training was asked for."""
    return _fold(context, recipe, before=entry.seq + 1).changed_at


def taught_before(context: Context, recipe: Recipe, entry: Entry) -> datetime | None:
    """Until when the champion had learnt, as of this request; None: nothing answers yet, or the ledger does not say."""
    return _fold(context, recipe, before=entry.seq + 1).taught_until()


def change_of(alert: Alert | None) -> datetime | None:
    """Since when the world is another one for the model, by an alert that tells of harm to its answers; None where it does not say."""
    if alert is None or alert.kind not in DECAYS or is_harmless(alert):
        return None
    return _moment(alert.evidence.get("changed_at") or alert.evidence.get("began"))


def champion_since(context: Context, recipe: Recipe) -> datetime | None:
    """Since when the champion answers, by the ledger; None: it does not say."""
    return _fold(context, recipe, before=None).champion_since


def standing(context: Context, name: str) -> Deployment | None:
    """The deployment, if something answers under this name."""
    try:
        return context.deployments.get(name)
    except NotFound:
        return None


def _with_labels(
    found: RetrainHistory, learnt: _Learnt, context: Context, recipe: Recipe, *, now: datetime
) -> RetrainHistory:
    """The same with the labels counted. After a change only what was asked for since then tells of the world as it is.

    What that is compared with are the rows that the champion learnt from: those of before the change among them, if by evidence they were worth it.
    """
    # Labels of predictions asked for long before the training are no news of the world after it; looking for them would read the whole log. Nor is a
    # change of before: the champion knows the world since then.
    since = learnt.until - timedelta(days=recipe.policy.backtest_days) if learnt.rows else None
    changed_at = found.changed_at
    joined = open_table(
        context.predictions.joined(recipe.deployment, known_by=now, since=since, columns=["at", "label", "label_at"])
    ).filter(pl.col("label").is_not_null())
    new = joined.filter(pl.col("label_at") > learnt.until)
    if since is not None:
        new = new.filter(pl.col("at") >= since)
    after = known = taught = None
    if changed_at is not None and (since is None or changed_at >= since):
        changed = joined.filter(pl.col("at") >= changed_at)
        new = new.filter(pl.col("at") >= changed_at)
        after = changed.height
        if found.requested_at:
            known = changed.filter(pl.col("label_at") <= max(found.requested_at)).height
            taught = changed.filter(pl.col("label_at") <= learnt.until).height
    return msgspec.structs.replace(
        found,
        labels_since_last=new.height,
        rows_of_last=learnt.rows,
        labels_since_change=after,
        change_labels_of_last=known,
        change_labels_of_champion=taught,
    )


def _fold(context: Context, recipe: Recipe, *, before: int | None) -> _Past:
    past = _Past()
    for entry in context.ledger.read(limit=1_000_000, kinds=KINDS):
        event = entry.event
        if before is not None and entry.seq >= before and not isinstance(event, e.RetrainRequested):
            continue
        if isinstance(event, e.StageFailed):
            past.phase = "" if _ended(entry, recipe, context) else past.phase
        elif getattr(event, "deployment", None) == recipe.deployment:
            _take(past, entry, recipe)
    return past


def _take(past: _Past, entry: Entry, recipe: Recipe) -> None:
    """One event of this deployment."""
    event = entry.event
    if isinstance(event, e.AlertOpened):
        if event.alert.kind in DECAYS and not is_harmless(event.alert):
            past.doubt(event.alert.id, change_of(event.alert))
    elif isinstance(event, e.AlertResolved):
        past.ease(event.alert_id)
    elif isinstance(event, e.RetrainRequested):
        past.requested.append(entry.at)
        past.phase, past.waiting = "training", ""
        past.changed_at = _moment(event.evidence.get("changed_at")) or past.changed_at
        past.asked_for |= {str(event.evidence["cause"]): entry.at} if "cause" in event.evidence else {}
    elif isinstance(event, e.RunFinished):
        past.attempt = past.runs[event.run_id] = _Learnt(event.window.known_by, event.rows)
    elif isinstance(event, e.ModelVersionRegistered):
        past.versions[event.number] = past.runs.get(event.run_id, past.attempt)
        if recipe.approval != "gates" and past.phase:
            past.waiting = f'version {event.number} for a person (noria models {event.model}/{event.number} --approve --because "...")'
    elif isinstance(event, e.ModelVersionApproved):
        past.waiting = ""
    elif isinstance(event, e.RolloutStarted):
        past.phase = "rollout"
    elif isinstance(event, ENDINGS):
        _end(past, event, entry.at)


def _end(past: _Past, event: e.AnyEvent, at: datetime) -> None:
    if isinstance(event, BY_HAND):
        past.phase = "" if past.phase == "rollout" else past.phase
    else:
        past.phase, past.waiting = "", ""
    if isinstance(event, e.RolloutPromoted | e.DeploymentRolledBack):
        past.champion(event.number, at)
    elif isinstance(event, e.DeploymentChanged):
        champions = [variant.number for variant in event.variants if variant.name == "champion"]
        if champions and past.learnt != past.versions.get(champions[0], past.learnt):
            past.champion(champions[0], at)


def _ended(failed: Entry, recipe: Recipe, context: Context) -> bool:
    """Whether a failed stage was one between a request and its rollout: then nothing follows, and the training is over."""
    if failed.cause is None:
        return False
    event = context.ledger.get(failed.cause).event
    asking = (e.AlertOpened, e.TriggerFired)
    return getattr(event, "deployment", None) == recipe.deployment and not isinstance(event, asking)


def _alerts(context: Context, recipe: Recipe, before: int | None) -> Sequence[Entry]:
    """What the ledger tells of this deployment's alerts, oldest first; read only where a season is known."""
    if recipe.policy.season_days <= 0:
        return ()
    entries: Iterable[Entry] = context.ledger.read(limit=1_000_000, kinds=("AlertOpened", "AlertResolved"))
    return [
        x
        for x in entries
        if (before is None or x.seq < before) and getattr(x.event, "deployment", None) == recipe.deployment
    ]


def _moment(said: float | str | None) -> datetime | None:
    if not isinstance(said, str) or not said:
        return None
    moment = datetime.fromisoformat(said)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def opening(context: Context, alert: Alert) -> EventId | None:
    """The event that opened an alert."""
    for entry in context.ledger.latest(limit=10_000, kinds=("AlertOpened",)):
        if isinstance(entry.event, e.AlertOpened) and entry.event.alert.id == alert.id:
            return entry.id
    return None
