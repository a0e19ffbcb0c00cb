"""Decide whether a trigger becomes a retraining, and say why in words that stand in the ledger. Pure: no clock, no store.

Detecting drift is monitoring/; the policy's limits are retraining/bounds; choosing the rows is retraining/pool. Called by loop/stages/decide.
"""

from datetime import datetime, timedelta

from noria.domain.alert import Alert
from noria.domain.interval import Interval
from noria.domain.policy import Decision, Policy, RetrainHistory
from noria.errors import InputInvalid
from noria.retraining.bounds import YEAR, bounds_of, refusal
from noria.retraining.review import evidence_for_review

ALERTS = ("decay", "input_drift")
FIRED = ("new_data", "event", "webhook")
"""What a declared trigger of these kinds asks for; one by the calendar asks as 'schedule'."""
TRIGGERS = ("declared", *ALERTS, "growth", "schedule", "hand", *FIRED)
BROKEN = ("data_quality", "skew")
"""Kinds of alerts that tell of inputs which are wrong, not of a world that has changed."""
DECAYS = ("decay", "concept_drift")
HELD = "held_since"
"""In the evidence of a decision that was held back by the data, wrong or too few: since when that is."""


def decide(
    trigger: str,
    alert: Alert | None,
    policy: Policy,
    history: RetrainHistory,
    *,
    now: datetime,
    gain: Interval | None = None,
    because: str = "",
) -> Decision:
    """To retrain or not. The first rule that speaks against it decides; every decision carries the policy's limits beside what was found.

    In this order: a person has stopped the deployment; a rollout or a training is under way; the trigger itself says no (a drift without harm: a
    challenger would learn the same world again; answers that got better; a season that comes back; too little growth); one cause has asked before;
    inputs or labels look wrong, which is to be repaired and not learnt; the policy's limits; gates that have too few rows to judge by. A person
    ('hand') and a declaration are held back only by the first two. gain: challenger minus champion in a cheap back-test, if one was made for a
    scheduled review. because: what a declared trigger says of why it fired. Raises InputInvalid for an unknown trigger.

    >>> decide("decay", None, Policy(), RetrainHistory(in_progress=True), now=datetime(2026, 1, 1)).reason
    'a retraining is already under way'
    """
    if trigger not in TRIGGERS:
        raise InputInvalid(f"unknown trigger {trigger!r}", remedy=f"use one of {', '.join(TRIGGERS)}")
    evidence = _evidence(alert, history, now)
    bounds = bounds_of(trigger, policy, history, now=now, harm=_harm(alert))

    def said(retrain: bool, reason: str) -> Decision:
        return Decision(retrain=retrain, reason=reason, evidence=evidence, bounds=bounds)

    if busy := _under_way(history):
        return said(False, busy)
    if trigger == "hand":
        return said(True, f"asked for by hand: {because}" if because else "asked for by hand")
    if trigger == "declared":
        return said(True, "a first version is needed: nothing answers under this name yet")
    judged = _by_trigger(trigger, alert, policy, history, gain=gain, evidence=evidence, because=because)
    evidence |= judged.evidence
    if not judged.retrain:
        return said(False, judged.reason)
    held = _unsound(policy, history) or _explained(trigger, history)
    if held:
        evidence[HELD] = min((each.since.isoformat() for each in history.unsound), default=history.explained)
    elif history.unmeasured:
        evidence[HELD] = str(history.changed_at or history.champion_taught_until)
    for against in (
        _asked_before(alert, policy, history, now),
        held,
        refusal(trigger, policy, history, bounds, now=now),
        history.unmeasured and f"the gates could not judge a challenger yet: {history.unmeasured}",
    ):
        if against:
            return said(False, against)
    return said(True, judged.reason)


def is_harmless(alert: Alert) -> bool:
    """Whether an alert of drift or decay tells of something that costs no quality, or of answers that even got better."""
    return alert.severity == "info"


def _under_way(history: RetrainHistory) -> str:
    if history.stopped:
        return "the deployment is stopped: the loop leaves it alone until a person lets it go on"
    if history.rollout_running:
        return "a rollout is running: its verdict comes before another challenger"
    if history.in_progress:
        waits = f", and waits: {history.waiting}" if history.waiting else ""
        return f"a retraining is already under way{waits}"
    return ""


def _by_trigger(
    trigger: str,
    alert: Alert | None,
    policy: Policy,
    history: RetrainHistory,
    *,
    gain: Interval | None,
    evidence: dict[str, float | str],
    because: str,
) -> Decision:
    """What the trigger itself says, before the policy's bounds."""
    if trigger in ALERTS:
        return _after_alert(alert, policy, history, evidence)
    if trigger == "growth":
        return _after_growth(policy, history, evidence)
    if trigger in FIRED or because:
        fired = because or f"a trigger of kind {trigger!r} fired"
        reason = f"{fired}; {history.labels_since_last} labels have arrived since the last retraining"
        return Decision(retrain=True, reason=reason, evidence=evidence)
    return _after_review(gain, history, evidence)


def _after_alert(
    alert: Alert | None, policy: Policy, history: RetrainHistory, evidence: dict[str, float | str]
) -> Decision:
    def no(reason: str) -> Decision:
        return Decision(retrain=False, reason=reason, evidence=evidence)

    if alert is None:
        return no("there is no alert to act on")
    if alert.kind in BROKEN:
        return no(f"an input is broken, which a retraining would only learn; repair it first ({alert.summary})")
    if is_harmless(alert):
        if alert.kind in DECAYS:
            return no(f"answers did not get worse, so there is nothing to mend: {alert.summary}")
        return no(f"the drift does not hurt: {alert.summary}")
    if alert.kind not in DECAYS and history.season_alert:
        evidence["season_alert"] = history.season_alert
        return no(
            f"the season comes back: the same drift stood {policy.season_days:g} days ago (alert {history.season_alert[:8]}); "
            f"should answers decay with it, that is an alert of its own ({alert.summary})"
        )
    reason = f"{alert.summary}; {history.labels_since_last} labels have arrived since the last retraining"
    return Decision(retrain=True, reason=reason, evidence=evidence)


def _asked_before(alert: Alert | None, policy: Policy, history: RetrainHistory, now: datetime) -> str:
    """Whether another alert of the same cause has asked a short while ago."""
    asked = history.asked_for.get(alert.cause) if alert is not None else None
    if asked is None or now - asked >= timedelta(hours=policy.quiet_hours):
        return ""
    hours = (now - asked).total_seconds() / 3600
    return f"a training was asked for {hours:.1f} hours ago because of the same cause, which asks once in {policy.quiet_hours:g} hours"


def _unsound(policy: Policy, history: RetrainHistory) -> str:
    """What is wrong with the data now, and until when the policy waits for it to pass."""
    if not history.unsound:
        return ""
    worst = max(history.unsound, key=lambda each: (each.by == "known", each.since))
    days = policy.mend_days if worst.by == "asked" else policy.doubt_days
    until = worst.since + timedelta(days=days)
    held = "an input is broken" if worst.by == "asked" else "labels look poisoned"
    return (
        f"{held}, which a challenger would only learn: {worst.what} (since {worst.since:%Y-%m-%d %H:%M} UTC). Held back until it has passed, "
        f"a person asks (noria retrain), or {until:%Y-%m-%d %H:%M} UTC, from when on it counts as how the world is"
    )


def _explained(trigger: str, history: RetrainHistory) -> str:
    """A decay that was nothing but days of broken inputs or wrong labels, which are over."""
    if trigger != "decay" or not history.explained:
        return ""
    said = "the decay is explained by what was wrong with the data, which is nothing to learn from"
    return f"{said}: {history.explained}; without it none is seen"


def _after_growth(policy: Policy, history: RetrainHistory, evidence: dict[str, float | str]) -> Decision:
    if policy.growth <= 0:
        return Decision(
            retrain=False, reason="the policy does not retrain by growth of the data (growth = 0)", evidence=evidence
        )
    if history.rows_of_last <= 0:
        return Decision(
            retrain=False, reason="it is not known from how many rows the last training learnt", evidence=evidence
        )
    share = history.labels_since_last / history.rows_of_last
    evidence["growth"] = share
    if share < policy.growth:
        reason = f"the data grew by {share:.0%} since the last training ({history.rows_of_last} rows), {policy.growth:.0%} are needed"
        return Decision(retrain=False, reason=reason, evidence=evidence)
    reason = f"the data grew by {share:.0%}: {history.labels_since_last} new labels beside the {history.rows_of_last} rows of the last training"
    return Decision(retrain=True, reason=reason, evidence=evidence)


def _after_review(gain: Interval | None, history: RetrainHistory, evidence: dict[str, float | str]) -> Decision:
    """A review with a back-test follows its evidence; one without trains a challenger, as the gates decide on it anyway."""
    if gain is not None:
        return evidence_for_review(gain, evidence=evidence)
    reason = (
        f"the review is due and {history.labels_since_last} new labels have arrived; the gates decide on the challenger"
    )
    return Decision(retrain=True, reason=reason, evidence=evidence)


def _harm(alert: Alert | None) -> float:
    """Loss that an alert tells of, in nats over all answers: since the change, if it knows that, for older days only dilute it."""
    if alert is None:
        return 0.0
    of_all = alert.evidence.get("where", "all") == "all"  # the loss of a group says little of the whole
    names = ("recent_excess_loss", "cost_rise", *(("loss_after",) if of_all else ()))
    said = [alert.evidence.get(name) for name in names]
    return max((value for value in said if isinstance(value, float)), default=0.0)


def _evidence(alert: Alert | None, history: RetrainHistory, now: datetime) -> dict[str, float | str]:
    found: dict[str, float | str] = {
        "labels_since_last": float(history.labels_since_last),
        "retrainings_in_365_days": float(sum(1 for at in history.requested_at if at > now - YEAR)),
    }
    if history.requested_at:
        found["days_since_last"] = round((now - max(history.requested_at)).total_seconds() / 86400, 3)
    if history.changed_at is not None:
        found["changed_at"] = history.changed_at.isoformat()
        if history.labels_since_change is not None:
            found["labels_since_change"] = float(history.labels_since_change)
    if alert is not None:
        found |= {"alert": alert.id, "alert_kind": alert.kind, "alert_severity": alert.severity, "cause": alert.cause}
        found |= {
            name: alert.evidence[name]
            for name in ("log10_evidence", "log10_threshold", "recent_excess_loss")
            if name in alert.evidence
        }
    return found
