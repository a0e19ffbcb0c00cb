"""Decide whether a trigger becomes a retraining, and say why in words that stand in the ledger. Pure: no clock, no store.

Detecting drift is monitoring/; choosing the rows is retraining/pool; running is pipeline/. Called by loop/stages/decide.
"""

from datetime import datetime, timedelta

from noria.domain.alert import Alert
from noria.domain.interval import Interval
from noria.domain.policy import Decision, Policy, RetrainHistory
from noria.errors import InputInvalid
from noria.retraining.review import evidence_for_review

TRIGGERS = ("declared", "decay", "input_drift", "growth", "schedule", "hand")
ALERTS = ("decay", "input_drift")
BROKEN = ("data_quality", "skew")
"""Kinds of alerts that tell of inputs which are wrong, not of a world that has changed."""
YEAR = timedelta(days=365)


def decide(
    trigger: str,
    alert: Alert | None,
    policy: Policy,
    history: RetrainHistory,
    *,
    now: datetime,
    gain: Interval | None = None,
) -> Decision:
    """To retrain or not. The first rule that speaks against it decides; the evidence of a yes names what the rules saw.

    A person ('hand') and a declaration are held back only by a training under way; everything else keeps cool-down, budget and minimum of labels.
    A drift without harm is no reason: a challenger would learn the same world again, and broken inputs must be repaired, not learnt.
    gain: challenger minus champion in a cheap back-test, if one was made for a scheduled review. Raises InputInvalid for an unknown trigger.

    >>> decide("decay", None, Policy(), RetrainHistory(in_progress=True), now=datetime(2026, 1, 1)).reason
    'a retraining is already under way'
    """
    if trigger not in TRIGGERS:
        raise InputInvalid(f"unknown trigger {trigger!r}", remedy=f"use one of {', '.join(TRIGGERS)}")
    evidence = _evidence(alert, history, now)
    if history.in_progress:
        return Decision(retrain=False, reason="a retraining is already under way", evidence=evidence)
    if trigger in ("hand", "declared"):
        reason = (
            "asked for by hand"
            if trigger == "hand"
            else "a first version is needed: nothing answers under this name yet"
        )
        return Decision(retrain=True, reason=reason, evidence=evidence)
    judged = _by_trigger(trigger, alert, policy, history, gain=gain, evidence=evidence)
    if trigger in ALERTS and not judged.retrain:
        return judged  # a drift that does no harm is no reason at any time; that says more than a cool-down
    refusal = _bounds(trigger, policy, history, now=now)
    return Decision(retrain=False, reason=refusal, evidence=evidence) if refusal else judged


def _by_trigger(
    trigger: str,
    alert: Alert | None,
    policy: Policy,
    history: RetrainHistory,
    *,
    gain: Interval | None,
    evidence: dict[str, float | str],
) -> Decision:
    """What the trigger itself says, before the policy's bounds."""
    if trigger in ALERTS:
        return _after_alert(alert, history, evidence)
    if trigger == "growth":
        return _after_growth(policy, history, evidence)
    return _after_review(gain, history, evidence)


def _bounds(trigger: str, policy: Policy, history: RetrainHistory, *, now: datetime) -> str:
    """What the policy forbids, in words; empty when nothing does."""
    if trigger not in policy.on:
        return f"the policy does not retrain on {trigger!r} (it does on {', '.join(policy.on) or 'nothing'})"
    last = max(history.requested_at, default=None)
    if last is not None and now < last + timedelta(days=policy.cooldown_days):
        until = last + timedelta(days=policy.cooldown_days)
        return f"cooling down until {until:%Y-%m-%d %H:%M} UTC: the last retraining was asked for on {last:%Y-%m-%d}"
    spent = sum(1 for at in history.requested_at if at > now - YEAR)
    if spent >= policy.budget_per_year:
        oldest = min(at for at in history.requested_at if at > now - YEAR)
        return f"the budget of {policy.budget_per_year} retrainings in 365 days is spent; the next is free on {oldest + YEAR:%Y-%m-%d}"
    if history.labels_since_last < policy.minimum_labels:
        return f"too few new labels: {history.labels_since_last} have arrived since the last retraining, {policy.minimum_labels} are needed"
    return ""


def _after_alert(alert: Alert | None, history: RetrainHistory, evidence: dict[str, float | str]) -> Decision:
    if alert is None:
        return Decision(retrain=False, reason="there is no alert to act on", evidence=evidence)
    if alert.kind in BROKEN:
        reason = f"an input is broken, which a retraining would only learn; repair it first ({alert.summary})"
        return Decision(retrain=False, reason=reason, evidence=evidence)
    if alert.kind != "decay" and alert.severity == "info":
        reason = f"the drift does not hurt: {alert.summary}"
        return Decision(retrain=False, reason=reason, evidence=evidence)
    reason = f"{alert.summary}; {history.labels_since_last} labels have arrived since the last retraining"
    return Decision(retrain=True, reason=reason, evidence=evidence)


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


def _evidence(alert: Alert | None, history: RetrainHistory, now: datetime) -> dict[str, float | str]:
    found: dict[str, float | str] = {
        "labels_since_last": float(history.labels_since_last),
        "retrainings_in_365_days": float(sum(1 for at in history.requested_at if at > now - YEAR)),
    }
    if history.requested_at:
        found["days_since_last"] = round((now - max(history.requested_at)).total_seconds() / 86400, 3)
    if alert is not None:
        found |= {"alert": alert.id, "alert_kind": alert.kind, "alert_severity": alert.severity}
        found |= {
            name: alert.evidence[name]
            for name in ("log10_evidence", "log10_threshold", "recent_excess_loss")
            if name in alert.evidence
        }
    return found
