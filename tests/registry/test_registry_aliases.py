"""Aliases moved by hand are in the ledger, whatever happens in between; the latest stable version is the one that the rule names, with reasons."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.adapters.metadata.memory import open_store
from noria.domain.deployment import CanaryPlan, Rollout, Verdict
from noria.domain.events import AliasMoved, AliasRemoved, ModelDeleted, ModelVersionDeleted
from noria.domain.gate import Gate, GateReport, GateResult
from noria.domain.ids import Digest, EventId, RolloutId, RunId
from noria.domain.interval import Interval
from noria.domain.ledger import Cursor, Draft, Entry
from noria.domain.model import AliasMove, ModelVersion, SemanticVersion
from noria.errors import InputInvalid, NotFound, StoreUnavailable
from noria.ports.ledger import Ledger
from noria.ports.metadata import Metadata
from noria.registry.promote import alias_on, delete_model, delete_version, move_by_hand
from noria.registry.stable import latest_stable

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def gates(*, passed: bool) -> GateReport:
    gate = Gate(name="good enough", kind="absolute", metric="log_loss", limit=0.6, better="lower")
    measured = Interval(value=0.5, low=0.4, high=0.6, n=100)
    return GateReport(results=(GateResult(gate=gate, passed=passed, measured=measured),), rows=100)


def a_version(number: int, semantic: str, *, passed: bool | None = True, stable: str = "") -> ModelVersion:
    major, minor, patch = (int(part) for part in semantic.split("."))
    return ModelVersion(
        model="churn",
        number=number,
        version=SemanticVersion(major=major, minor=minor, patch=patch),
        version_reason="",
        run_id=RunId(f"run{number}"),
        bundle=Digest("blake3:0"),
        flavor="onnx",
        signature=None,
        created_at=NOON,
        gates=None if passed is None else gates(passed=passed),
        tags={"noria.stable": stable} if stable else {},
    )


@pytest.fixture
def store() -> Metadata:
    store = open_store("", project="p")
    for number in (1, 2, 3):
        store.models.register(a_version(number, f"{number}.0.0"))
    return store


def moved(store: Metadata, number: int | None, *, day: int, alias: str = "champion", reason: str = "better") -> None:
    move_by_hand(
        store.models,
        store.ledger,
        model="churn",
        alias=alias,
        number=number,
        at=NOON + day * DAY,
        actor="ada",
        reason=reason,
    )


def events(store: Metadata) -> list[object]:
    return [entry.event for entry in store.ledger.read()]


def test_a_move_by_hand_is_in_the_ledger_and_names_its_event(store: Metadata) -> None:
    moved(store, 1, day=0)
    moved(store, 2, day=1)
    moved(store, None, day=2, reason="withdrawn")

    assert events(store) == [
        AliasMoved(model="churn", alias="champion", number=1, previous=None, reason="better"),
        AliasMoved(model="churn", alias="champion", number=2, previous=1, reason="better"),
        AliasRemoved(model="churn", alias="champion", previous=2, reason="withdrawn"),
    ]
    entries = store.ledger.read()
    assert [move.cause for move in store.models.alias_history("churn")] == [entry.id for entry in entries]
    assert {entry.actor for entry in entries} == {"ada"}


def test_taking_away_what_points_nowhere_is_no_event(store: Metadata) -> None:
    moved(store, None, day=0)

    assert events(store) == []
    assert store.models.alias_history("churn") == []


def test_nobody_moves_an_alias_without_saying_why(store: Metadata) -> None:
    with pytest.raises(InputInvalid, match="reason"):
        moved(store, 1, day=0, reason=" ")
    with pytest.raises(NotFound):
        moved(store, 9, day=0)

    assert (events(store), store.models.aliases("churn")) == ([], {})


class Dying:
    """A ledger that is lost at the moment of an append: the process died between the move and its event."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def append(self, drafts: Sequence[Draft], *, advance: Cursor | None = None) -> list[Entry]:
        raise StoreUnavailable("the process is dead")

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)


def test_a_move_whose_event_was_lost_in_a_crash_gets_it_with_the_next_one(store: Metadata) -> None:
    with pytest.raises(StoreUnavailable):
        move_by_hand(
            store.models,
            Dying(store.ledger),  # type: ignore[arg-type]
            model="churn",
            alias="champion",
            number=1,
            at=NOON,
            actor="ada",
            reason="first",
        )
    assert events(store) == []

    moved(store, 2, day=1)

    assert [(x.number, x.reason) for x in events(store) if isinstance(x, AliasMoved)] == [(1, "first"), (2, "better")]
    assert [entry.id for entry in store.ledger.read()] == [m.cause for m in store.models.alias_history("churn")]


def test_the_champion_on_a_day_is_who_was_put_there_last_before(store: Metadata) -> None:
    moved(store, 1, day=0)
    moved(store, 2, day=10)
    moved(store, None, day=20, reason="withdrawn")

    found = [
        alias_on(store.models, model="churn", alias="champion", day=NOON + day * DAY) for day in (-1, 0, 9, 10, 30)
    ]

    assert found[0] is None
    assert [move.number for move in found[1:] if move] == [1, 1, 2, None]


def test_deleting_takes_the_aliases_away_with_their_events(store: Metadata) -> None:
    moved(store, 2, day=0)
    moved(store, 1, day=0, alias="shadow")

    delete_version(store.models, store.ledger, model="churn", number=2, at=NOON + DAY, actor="bob", reason="leak")
    delete_model(store.catalog, store.models, store.ledger, model="churn", at=NOON + DAY, actor="bob", reason="the end")

    gone = [event for event in events(store) if isinstance(event, AliasRemoved)]
    assert [(event.alias, event.previous) for event in gone] == [("champion", 2), ("shadow", 1)]
    assert "leak" in gone[0].reason
    assert ModelVersionDeleted(model="churn", number=2, reason="leak") in events(store)
    assert events(store)[-2] == ModelDeleted(model="churn", versions=2, reason="the end")
    entries = store.ledger.read()
    assert entries[-1].cause == entries[-2].id
    assert store.models.models() == []


def test_the_highest_that_passed_its_gates_is_stable(store: Metadata) -> None:
    store.models.register(a_version(4, "3.0.1"))
    store.models.register(a_version(5, "2.0.1"))

    found = latest_stable(store.models, "churn")

    assert found.version is not None
    assert (found.version.number, found.why, found.passed_over) == (4, "it passed its 1 gates", ())


def test_what_is_not_stable_is_passed_over_with_a_reason(store: Metadata) -> None:
    store.models.register(a_version(4, "4.0.0", passed=False))
    store.models.register(a_version(5, "5.0.0", passed=None))
    store.models.register(a_version(6, "6.0.0", stable="False"))

    found = latest_stable(store.models, "churn")

    assert found.version is not None
    assert found.version.number == 3
    assert [(over.number, over.why) for over in found.passed_over] == [
        (6, "its tag noria.stable says that it is not"),
        (5, "no gate judged it, and it was never champion"),
        (4, "it failed its gates, and it was never champion"),
    ]


def test_who_was_champion_or_is_vouched_for_needs_no_gates() -> None:
    store = open_store("", project="p")
    store.models.register(a_version(1, "1.0.0", passed=None))
    store.models.register(a_version(2, "2.0.0", passed=None, stable="true"))
    moved(store, 1, day=0)

    assert latest_stable(store.models, "churn").why == "its tag noria.stable says so"
    store.models.delete("churn", 2, at=NOON)
    assert latest_stable(store.models, "churn").why == "it became champion on 2013-07-01: better"


def test_a_champion_that_was_left_for_an_older_one_is_not_stable_until_it_comes_back(store: Metadata) -> None:
    moved(store, 2, day=0)
    moved(store, 3, day=1)
    moved(store, 2, day=2, reason="3 was slow")

    found = latest_stable(store.models, "churn")
    assert found.version is not None
    assert found.version.number == 2
    assert found.passed_over[0].why == "on 2013-07-03 the champion went from it back to version 2: 3 was slow"

    moved(store, 3, day=3, reason="3 is fast now")
    again = latest_stable(store.models, "churn")
    assert again.version is not None
    assert again.version.number == 3


def a_rollout(challenger: int, *, outcome: str = "rolled_back", day: int = 0) -> Rollout:
    verdict = Verdict(outcome="roll_back", reason="it is worse")
    rollout = Rollout(
        id=RolloutId("r"),
        challenger=challenger,
        champion=1,
        plan=CanaryPlan(),
        started_at=NOON + day * DAY,
        cause=EventId("e"),
        ended_at=NOON + (day + 1) * DAY,
        verdict=verdict,
    )
    return replace(rollout, outcome=outcome)


def test_who_lost_its_rollout_is_not_stable_though_its_gates_passed(store: Metadata) -> None:
    found = latest_stable(store.models, "churn", rollouts=[a_rollout(3), a_rollout(2, outcome="promoted")])

    assert found.version is not None
    assert found.version.number == 2
    assert found.passed_over[0].why == "its rollout was rolled back: it is worse"


def test_of_no_version_none_is_stable() -> None:
    store = open_store("", project="p")

    assert latest_stable(store.models, "churn").why == "model 'churn' has no version"
    store.models.register(a_version(1, "1.0.0", passed=False))
    found = latest_stable(store.models, "churn")
    assert (found.version, found.why) == (None, "no version of model 'churn' is stable")


def test_history_outlives_a_rename(store: Metadata) -> None:
    moved(store, 1, day=0)
    store.catalog.rename("churn", "leaving", at=NOON + DAY)

    expected = AliasMove(
        model="leaving",
        alias="champion",
        number=1,
        previous=None,
        at=NOON,
        actor="ada",
        reason="better",
        cause=store.ledger.read()[0].id,
    )
    assert alias_on(store.models, model="leaving", alias="champion", day=NOON) == expected
