"""What holds a retraining back before the policy's limits do, and what each decision shows of them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from noria.domain.alert import Alert
from noria.domain.events import AlertOpened, AlertResolved, RetrainRequested
from noria.domain.ids import AlertId, EventId
from noria.domain.ledger import Entry
from noria.domain.policy import Bound, Policy, RetrainHistory, Unsound
from noria.retraining.bounds import audit, inside, needed_since_change, told
from noria.retraining.decide import decide
from noria.retraining.season import season_alert

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAST = RetrainHistory(requested_at=(NOW - timedelta(days=60),), labels_since_last=10_000, rows_of_last=50_000)


def an_alert(kind: str = "decay", severity: str = "page", **changes: object) -> Alert:
    alert = Alert(
        id=AlertId("a" * 32),
        kind=kind,  # type: ignore[arg-type]
        deployment="d",
        number=1,
        opened_at=NOW,
        severity=severity,  # type: ignore[arg-type]
        summary="what it says",
        evidence={"recent_excess_loss": 0.25},
    )
    return msgspec.structs.replace(alert, **changes)


def an_entry(event: object, at: datetime, seq: int) -> Entry:
    return Entry(
        seq=seq,
        id=EventId(f"e{seq}"),
        project="p",
        at=at,
        recorded_at=at,
        actor="noria",
        event=event,
        previous="",
        hash="",  # type: ignore[arg-type]
    )


def with_history(**changes: object) -> RetrainHistory:
    return msgspec.structs.replace(PAST, **changes)


@pytest.mark.parametrize("trigger", ["declared", "decay", "growth", "schedule", "hand", "new_data", "event", "webhook"])
@pytest.mark.parametrize(
    ("history", "words"),
    [
        (with_history(stopped=True), "the deployment is stopped"),
        (with_history(rollout_running=True), "a rollout is running"),
        (
            with_history(in_progress=True, waiting="version 3 for a person"),
            "under way, and waits: version 3 for a person",
        ),
    ],
)
def test_nothing_and_nobody_trains_for_a_stopped_deployment_or_beside_another_challenger(
    trigger: str, history: RetrainHistory, words: str
) -> None:
    found = decide(trigger, an_alert(), Policy(), history, now=NOW)

    assert not found.retrain
    assert words in found.reason


@pytest.mark.parametrize("kind", ["decay", "concept_drift"])
def test_a_change_after_which_answers_did_not_get_worse_is_no_reason(kind: str) -> None:
    found = decide("decay", an_alert(kind, "info"), Policy(), PAST, now=NOW)

    assert not found.retrain
    assert "did not get worse" in found.reason


def test_alerts_of_one_cause_ask_once() -> None:
    alert = an_alert(group="cause")
    asked = with_history(asked_for={"cause": NOW - timedelta(hours=5)})

    again = decide("decay", alert, Policy(cooldown_days=0), asked, now=NOW)
    later = decide("decay", alert, Policy(cooldown_days=0), asked, now=NOW + timedelta(hours=20))
    other = decide("decay", an_alert(group="other"), Policy(cooldown_days=0), asked, now=NOW)

    assert "5.0 hours ago because of the same cause" in again.reason
    assert (again.retrain, later.retrain, other.retrain) == (False, True, True)


@pytest.mark.parametrize("trigger", ["decay", "growth", "schedule", "new_data", "event", "webhook"])
def test_what_is_wrong_with_the_data_holds_back_all_but_a_person(trigger: str) -> None:
    flips = Unsound(since=NOW - timedelta(days=2), until=None, by="known", what="98% of 400 labels look flipped")
    history = with_history(unsound=(flips,), labels_since_last=40_000)

    held = decide(trigger, an_alert(), Policy(), history, now=NOW)

    assert not held.retrain
    assert "labels look poisoned" in held.reason
    assert "2026-06-06 00:00 UTC" in held.reason
    assert held.evidence["held_since"] == "2026-05-30T00:00:00+00:00"
    assert decide("hand", None, Policy(), history, now=NOW).retrain


def test_a_decay_that_wrong_data_explain_is_none() -> None:
    history = with_history(explained="2026-05-01 to 2026-05-04, 'price' is 0")

    found = decide("decay", an_alert(), Policy(), history, now=NOW)

    assert "the decay is explained by" in found.reason
    assert not found.retrain
    assert decide("schedule", None, Policy(), history, now=NOW).retrain


def test_a_season_that_comes_back_is_no_reason_unless_answers_decay() -> None:
    history = with_history(season_alert="b" * 32)

    drift = decide("input_drift", an_alert("input_drift", "warn"), Policy(season_days=365), history, now=NOW)
    decay = decide("decay", an_alert(), Policy(season_days=365), history, now=NOW)

    assert "the season comes back: the same drift stood 365 days ago (alert bbbbbbbb)" in drift.reason
    assert (drift.retrain, decay.retrain) == (False, True)


@pytest.mark.parametrize(
    ("days_ago", "lasted", "causes", "known"),
    [
        (365, 20, ("price", "shop"), True),
        (350, 3, ("price", "shop", "day"), True),
        (365, 20, ("weight",), False),
        (200, 20, ("price", "shop"), False),
        (365, None, ("price", "shop"), False),
    ],
)
def test_the_same_drift_one_season_ago(days_ago: int, lasted: int | None, causes: tuple[str, ...], known: bool) -> None:
    """About the same inputs, near enough to a season ago, and over since: what has stood ever since is no season."""
    opened = NOW - timedelta(days=days_ago)
    before = an_alert("input_drift", "warn", id=AlertId("b" * 32), opened_at=opened, causes=causes)
    entries = [an_entry(AlertOpened(deployment="d", alert=before), opened, 1)]
    if lasted is not None:
        over = AlertResolved(deployment="d", alert_id=before.id, reason="over")
        entries.append(an_entry(over, opened + timedelta(days=lasted), 2))
    alert = an_alert("input_drift", "warn", causes=("price", "shop"))

    assert season_alert(entries, alert, season_days=365) == (before.id if known else "")


def test_after_a_change_labels_of_the_new_world_count_and_fewer_will_do_the_more_it_hurts() -> None:
    changed = with_history(changed_at=NOW - timedelta(days=3), labels_since_change=500)

    found = decide("decay", an_alert(), Policy(minimum_labels=3000), changed, now=NOW)
    enough = decide("decay", an_alert(), Policy(minimum_labels=2000), changed, now=NOW)

    assert "too few labels of the changed world: 500 since 2026-05-29, 600 are needed" in found.reason
    assert (found.retrain, enough.retrain) == (False, True)
    harms = [0.0, 0.01, 0.05, 0.2, 1.0, 100.0]
    needed = [needed_since_change(Policy(minimum_labels=3000), harm) for harm in harms]
    assert needed == sorted(needed, reverse=True)
    assert (needed[0], needed[-1]) == (3000, 300)


def test_each_decision_shows_the_limits_beside_what_was_found() -> None:
    found = decide("growth", None, Policy(), with_history(labels_since_last=30_000), now=NOW)

    assert found.retrain
    assert [(b.name, b.limit, b.found) for b in found.bounds] == [
        ("cooldown_days", 21.0, 60.0),
        ("budget_per_year", 8.0, 1.0),
        ("unreserved_budget", 6.0, 1.0),
        ("minimum_labels", 3000.0, 30_000.0),
        ("growth", 0.4, 0.6),
    ]
    assert inside(found.bounds)
    assert told(found.bounds) == (
        "60 days since the last (at least 21), 1 before it in 365 days (at most 8 in all), "
        "6 of these are not kept for a decay, "
        "30,000 new labels (at least 3,000), the data grew by 60% (at least 40%)"
    )
    assert not inside(decide("decay", an_alert(), Policy(cooldown_days=90), PAST, now=NOW).bounds)


def test_growth_leaves_a_quarter_of_the_budget_to_what_cannot_wait() -> None:
    spent = tuple(NOW - timedelta(days=30 + 30 * i) for i in range(6))
    history = with_history(requested_at=spent, labels_since_last=40_000)

    grown = decide("growth", None, Policy(), history, now=NOW)

    assert "is spent (but for 2 that are kept for a decay); the next is free on" in grown.reason
    assert decide("decay", an_alert(), Policy(), history, now=NOW).retrain
    assert not decide("decay", an_alert(), Policy(budget_per_year=0), history, now=NOW).retrain


def test_a_champion_of_the_old_world_may_be_replaced_sooner_each_time_twice_as_much_is_known() -> None:
    late = with_history(
        requested_at=(NOW - timedelta(days=5),),
        changed_at=NOW - timedelta(days=9),
        labels_since_change=1800,
        change_labels_of_last=800,
        change_labels_of_champion=0,
    )

    tried = decide("decay", an_alert(), Policy(), late, now=NOW)
    little = decide("decay", an_alert(), Policy(), msgspec.structs.replace(late, change_labels_of_last=1000), now=NOW)
    knows = decide("decay", an_alert(), Policy(), msgspec.structs.replace(late, change_labels_of_champion=800), now=NOW)

    assert [b.name for b in tried.bounds] == ["change_cooldown_days", "budget_per_year", "labels_since_change"]
    assert (tried.retrain, little.retrain, knows.retrain) == (True, False, False)
    assert "cooling down" in little.reason
    assert "cooling down" in knows.reason


def test_the_record_itself_shows_who_left_the_policy() -> None:
    """Cool-down and budget are counted again: an event that claims to have kept them is found out."""

    def request(trigger: str, found: float, *, kept: bool) -> RetrainRequested:
        bound = Bound(name="cooldown_days", limit=21, found=found, kept=kept)
        return RetrainRequested(
            deployment="d",
            model="m",
            reason="",
            trigger=trigger,
            data_until=NOW,
            bounds=(bound,),  # type: ignore[arg-type]
        )

    days = [0, 30, 40, 45]
    events = [
        request("decay", 99, kept=True),
        request("decay", 30, kept=True),
        request("decay", 25, kept=True),
        request("hand", 5, kept=False),
    ]

    found = audit(an_entry(x, NOW + timedelta(days=d), d + 1) for x, d in zip(events, days, strict=True))

    assert [each.is_inside for each in found] == [True, True, False, True]
    assert found[2].exceeded == ("10.0 days since the last by the ledger (at least 21)",)
    assert found[3].exceeded == ("5 days since the last (at least 21)",)
