"""The limits of a policy beside what was found: how a retraining shows that it stayed inside its policy. Pure.

What the limits lead to is retraining/decide. Called by decide, and by whoever tells or audits requests of the ledger.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil, sqrt

import msgspec

from noria.domain.events import RetrainRequested
from noria.domain.ids import EventId
from noria.domain.ledger import Entry
from noria.domain.policy import Bound, Policy, RetrainHistory

YEAR = timedelta(days=365)
BY_PERSON = ("hand", "declared")
"""Triggers by which a person asks, who may exceed the policy."""

SMALLEST_HARM = 0.01
"""Loss (nats) beyond expectation from which on an answer counts as worse; a change that costs no more needs all of `minimum_labels`."""

TOLD = {
    "cooldown_days": "{found:.4g} days since the last (at least {limit:g})",
    "change_cooldown_days": "{found:.4g} days since the last, which could not know the change (at least {limit:g})",
    "budget_per_year": "{found:.0f} before it in 365 days (at most {limit:g} in all)",
    "unreserved_budget": "{limit:g} of these are not kept for a decay",
    "minimum_labels": "{found:,.0f} new labels (at least {limit:,.0f})",
    "labels_since_change": "{found:,.0f} labels since the world changed (at least {limit:,.0f})",
    "growth": "the data grew by {found:.0%} (at least {limit:.0%})",
}

LEAST = 300
MORE = 2.0
PATIENT = ("growth", "schedule")

ORDER = (
    "cooldown_days",
    "change_cooldown_days",
    "budget_per_year",
    "unreserved_budget",
    "minimum_labels",
    "labels_since_change",
    "growth",
)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one request of the ledger stayed inside its policy. exceeded: sentences about limits that were not kept."""

    id: EventId
    at: datetime
    deployment: str
    trigger: str
    by_person: bool
    exceeded: tuple[str, ...] = ()

    @property
    def is_inside(self) -> bool:
        """Whether every limit was kept, or a person asked."""
        return self.by_person or not self.exceeded


def believed(requested_at: Iterable[datetime], policy: Policy, *, now: datetime) -> tuple[datetime, ...]:
    """When retrainings were asked for, as far as a clock that may have jumped can be believed: none of them later than now.

    One that lies ahead counts as of now; one further ahead than a cool-down was written by a clock that ran away, and must not close the deployment
    until then: it is left out. So a clock that was set back costs at most a second cool-down, and one that ran ahead at most one training.

    >>> now = datetime(2026, 1, 1)
    >>> believed([datetime(2030, 1, 1), datetime(2026, 1, 2)], Policy(cooldown_days=21), now=now) == (now,)
    True
    """
    ahead = now + timedelta(days=policy.cooldown_days)
    return tuple(min(at, now) for at in requested_at if at <= ahead)


def bounds_of(
    trigger: str, policy: Policy, history: RetrainHistory, *, now: datetime, harm: float = 0.0
) -> tuple[Bound, ...]:
    """Each limit that counts for this trigger, beside what was found. harm: loss beyond expectation over the newest labelled days, in nats.

    What came with new data brought its labels itself, so no minimum of arrived ones counts for it. Never asked before: no cool-down.

    >>> [b.name for b in bounds_of("decay", Policy(), RetrainHistory(), now=datetime(2026, 1, 1))]
    ['budget_per_year', 'minimum_labels']
    """
    found = []
    last = max(history.requested_at, default=None)
    if last is not None:
        name, limit = cooldown_of(trigger, policy, history, harm=harm)
        days = round((now - last).total_seconds() / 86400, 3)
        found.append(Bound(name=name, limit=limit, found=days, kept=now >= last + timedelta(days=limit)))
    spent = sum(1 for at in history.requested_at if at > now - YEAR)
    for name, budget in (
        ("budget_per_year", policy.budget_per_year),
        ("unreserved_budget", budget_of(trigger, policy)),
    ):
        if name == "budget_per_year" or budget < policy.budget_per_year:
            found.append(Bound(name=name, limit=float(budget), found=float(spent), kept=spent < budget))
    if trigger == "decay" and history.labels_since_change is not None:
        limit = float(needed_since_change(policy, harm))
        found.append(_at_least("labels_since_change", limit, float(history.labels_since_change)))
    elif trigger not in ("new_data", "declared"):
        found.append(_at_least("minimum_labels", float(policy.minimum_labels), float(history.labels_since_last)))
    if trigger == "growth" and history.rows_of_last > 0:
        found.append(_at_least("growth", policy.growth, history.labels_since_last / history.rows_of_last))
    return tuple(found)


def cooldown_of(trigger: str, policy: Policy, history: RetrainHistory, *, harm: float = 0.0) -> tuple[str, float]:
    """Which cool-down counts, and its days: a shorter one after a decay, while the champion does not know the changed world.

    Each further attempt must rest on twice as much of that world as the last one, so there are few.

    >>> cooldown_of("decay", Policy(), RetrainHistory(labels_since_change=900, change_labels_of_last=40, change_labels_of_champion=0), harm=0.25)
    ('change_cooldown_days', 3.0)
    """
    taught, last, now = history.change_labels_of_champion, history.change_labels_of_last, history.labels_since_change
    is_old = trigger == "decay" and taught is not None and taught < needed_since_change(policy, harm)
    if is_old and (now is None or now >= MORE * (last or 0)):
        return "change_cooldown_days", min(policy.change_cooldown_days, policy.cooldown_days)
    return "cooldown_days", policy.cooldown_days


def budget_of(trigger: str, policy: Policy) -> int:
    """How many retrainings of the budget this trigger may use: growth and calendar can wait, so they leave a quarter to what cannot.

    >>> [budget_of(trigger, Policy(budget_per_year=8)) for trigger in ("decay", "growth")]
    [8, 6]
    """
    return policy.budget_per_year - (policy.budget_per_year // 4 if trigger in PATIENT else 0)


def needed_since_change(policy: Policy, harm: float) -> int:
    """Labels of the changed world from which on a training is worth its cost: fewer, the more each day of waiting costs.

    A learner's loss above the best falls as 1 / rows while waiting costs `harm` a row; the sum is least where rows grow with 1 / sqrt(harm). Never
    fewer than LEAST, or `minimum_labels` if that is less: on too few rows no gate could tell a good challenger.

    >>> needed_since_change(Policy(minimum_labels=3000), 0.25), needed_since_change(Policy(minimum_labels=3000), 0.001)
    (600, 3000)
    """
    wanted = ceil(policy.minimum_labels * sqrt(SMALLEST_HARM / max(harm, SMALLEST_HARM)))
    return max(wanted, min(policy.minimum_labels, LEAST))


def refusal(trigger: str, policy: Policy, history: RetrainHistory, bounds: Sequence[Bound], *, now: datetime) -> str:
    """What the policy forbids, in words; empty when nothing does."""
    if trigger not in policy.on:
        return f"the policy does not retrain on {trigger!r} (it does on {', '.join(policy.on) or 'nothing'})"
    broken = {bound.name: bound for bound in bounds if not bound.kept}
    for name in broken.keys() & {"cooldown_days", "change_cooldown_days"}:
        last = max(history.requested_at)
        until = last + timedelta(days=broken[name].limit)
        return f"cooling down until {until:%Y-%m-%d %H:%M} UTC: the last retraining was asked for on {last:%Y-%m-%d}"
    if "budget_per_year" in broken or "unreserved_budget" in broken:
        allowed = budget_of(trigger, policy)
        kept = policy.budget_per_year - allowed
        but = f" (but for {kept} that are kept for a decay)" if kept else ""
        spent = sorted(at for at in history.requested_at if at > now - YEAR)[-allowed:]
        then = f"; the next is free on {spent[0] + YEAR:%Y-%m-%d}" if allowed and spent else ""
        return f"the budget of {policy.budget_per_year} retrainings in 365 days is spent{but}{then}"
    if "minimum_labels" in broken:
        found = broken["minimum_labels"]
        return f"too few new labels: {found.found:.0f} have arrived since the last retraining, {found.limit:.0f} are needed"
    if "labels_since_change" in broken and history.changed_at is not None:
        found = broken["labels_since_change"]
        return (
            f"too few labels of the changed world: {found.found:.0f} since {history.changed_at:%Y-%m-%d}, {found.limit:.0f} are needed "
            "before a challenger can have learnt it"
        )
    return ""


def told(bounds: Iterable[Bound]) -> str:
    """The limits beside what was found, in words; '' without any.

    >>> told([Bound(name="budget_per_year", limit=8, found=2, kept=True), Bound(name="cooldown_days", limit=21, found=30.5, kept=True)])
    '30.5 days since the last (at least 21), 2 before it in 365 days (at most 8 in all)'
    """
    ordered = sorted(bounds, key=lambda b: ORDER.index(b.name) if b.name in ORDER else len(ORDER))
    return ", ".join(_told(bound) for bound in ordered)


def inside(bounds: Iterable[Bound]) -> bool:
    """Whether every limit was kept."""
    return all(bound.kept for bound in bounds)


def audit(entries: Iterable[Entry]) -> list[Kept]:
    """For each request to retrain, whether it stayed inside the policy that it names; cool-down and budget are counted again from the ledger itself.

    entries: of the ledger, oldest first; others than RetrainRequested are passed over.
    """
    earlier: dict[str, list[datetime]] = {}
    found = []
    for entry in entries:
        event = entry.event
        if not isinstance(event, RetrainRequested):
            continue
        before = earlier.setdefault(event.deployment, [])
        exceeded = [_told(bound) for bound in event.bounds if not bound.kept]
        exceeded += [text for bound in event.bounds if bound.kept for text in _counted(bound, before, entry.at)]
        found.append(
            Kept(
                id=entry.id,
                at=entry.at,
                deployment=event.deployment,
                trigger=event.trigger,
                by_person=event.trigger in BY_PERSON,
                exceeded=tuple(exceeded),
            )
        )
        before.append(entry.at)
    return found


def _counted(bound: Bound, before: Sequence[datetime], at: datetime) -> list[str]:
    """What the ledger itself says against a limit that was said to be kept. A second of difference is the time that a decision takes."""
    if bound.name in ("cooldown_days", "change_cooldown_days") and before:
        days = (at - before[-1]).total_seconds() / 86400
        if days < bound.limit - 1 / 86400:
            return [f"{days:.1f} days since the last by the ledger (at least {bound.limit:g})"]
    if bound.name in ("budget_per_year", "unreserved_budget"):
        spent = sum(1 for each in before if each > at - YEAR)
        if spent >= bound.limit:
            return [f"{spent} before it in 365 days by the ledger (at most {bound.limit:g} in all)"]
    return []


def _at_least(name: str, limit: float, found: float) -> Bound:
    return Bound(name=name, limit=limit, found=found, kept=found >= limit)


def _told(bound: Bound) -> str:
    said = TOLD.get(bound.name, "{name} {found:g} (limit {limit:g})")
    return said.format(name=bound.name, found=bound.found, limit=bound.limit)
