"""Triggers fire once for each time they are due, whatever clocks, crashes and a second loop do; what follows is the policy's decision."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import polars as pl
import pytest

import noria
from noria.adapters.metadata.memory import open_store
from noria.adapters.tables.memory import open_store as open_tables
from noria.domain import events as e
from noria.domain.ids import Digest, EventId, RunId
from noria.domain.ledger import Draft, Entry
from noria.domain.trigger import TriggerRule
from noria.errors import SettingInvalid
from noria.loop.context import Context, Recipe
from noria.loop.firing import check, with_newest_data
from noria.loop.reactor import Reactor
from noria.loop.stages.decide import review
from noria.loop.stages.triggers import fire
from noria.ports.ledger import Ledger
from noria.ports.tables import TableStore
from tests.loop.small import BEGIN, open_life

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NIGHTLY = TriggerRule(name="nightly", kind="cron", cron="0 3 * * *")
ORDERS = TriggerRule(name="orders", kind="new_data", dataset="orders", minimum_rows=2)
FAILURES = TriggerRule(name="again", kind="event", event="RunFailed")
ORDER_SCHEMA = noria.Schema(columns=(noria.Column(name="n", dtype="int64"),))


@dataclass
class Jumping:
    """A clock that goes where it is put, also back."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def go(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Part:
    """The part of a context that firing uses."""

    ledger: Ledger
    tables: TableStore
    clock: Jumping
    recipes: dict[str, Recipe]


class World:
    """Deployments with triggers and nothing else; the wheel notes what fires and does nothing about it."""

    def __init__(self, *rules: TriggerRule, deployments: Sequence[str] = ("churn",)) -> None:
        self.ledger = open_store("", project="p").ledger
        self.tables = open_tables("")
        self.clock = Jumping()
        self.deployments = deployments
        self.declare(*rules)

    def declare(self, *rules: TriggerRule) -> None:
        self.recipes = {
            name: Recipe(
                deployment=name,
                model=name,
                base=Digest("blake3:0"),
                schema=noria.Schema(columns=()),
                features=(),
                candidates={},
                gates=(),
                triggers=rules,
            )
            for name in self.deployments
        }

    def reactor(self, ledger: Ledger | None = None) -> Reactor:
        part = Part(ledger or self.ledger, self.tables, self.clock, self.recipes)
        return Reactor(cast(Context, part), stages={}, ticks={"fire": fire})

    def look(self, **by: float) -> None:
        self.clock.go(**by)
        self.reactor().tick()

    def fired(self) -> list[e.TriggerFired]:
        return [x.event for x in self.ledger.read(limit=10_000) if isinstance(x.event, e.TriggerFired)]

    def dues(self) -> list[tuple[str, int]]:
        return [(f"{x.firing.due:%m-%d %H:%M}", x.firing.missed) for x in self.fired()]

    def add(self, rows: int, *, dataset: str = "orders", salt: int = 0) -> None:
        frame = pl.DataFrame({"n": [salt * 1000 + n for n in range(rows)]})
        self.tables.write(dataset, frame, schema=ORDER_SCHEMA, at=self.clock.now())

    def tell(self, event: e.AnyEvent, *, name: str) -> Entry:
        draft = Draft(id=EventId(name), at=self.clock.now(), actor="test", event=event)
        return self.ledger.append([draft])[0]


def failed(deployment: str = "churn") -> e.RunFailed:
    return e.RunFailed(deployment=deployment, model=deployment, run_id=RunId("r"), error="no")


def test_rules_are_put_on_record_when_they_change_and_only_then() -> None:
    world = World(NIGHTLY)
    world.look()
    world.look()
    world.declare(ORDERS)
    world.look()
    world.declare(NIGHTLY)
    world.look()
    world.declare()
    world.look()
    world.look()

    declared = [x.event.rules for x in world.ledger.read() if isinstance(x.event, e.TriggersDeclared)]
    assert declared == [(NIGHTLY,), (ORDERS,), (NIGHTLY,), ()]


def test_nothing_is_written_where_nothing_is_declared() -> None:
    world = World()
    world.look()

    assert world.ledger.head().seq == 0


def test_a_due_time_fires_once_and_none_from_before_the_declaration() -> None:
    world = World(NIGHTLY)
    world.look()
    for _ in range(60):
        world.look(minutes=59)

    assert world.dues() == [("05-05 03:00", 0), ("05-06 03:00", 0)]
    first = world.ledger.read(kinds=("TriggerFired",))[0]
    assert world.ledger.get(first.cause or EventId("")).event == e.TriggersDeclared(
        deployment="churn", rules=(NIGHTLY,)
    )


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("one", [("05-08 03:00", 3)]),
        ("all", [("05-05 03:00", 0), ("05-06 03:00", 0), ("05-07 03:00", 0), ("05-08 03:00", 0)]),
        ("none", []),
    ],
)
def test_after_a_silence_what_was_missed_is_made_up_for_as_declared(catch_up: str, expected: object) -> None:
    world = World(msgspec.structs.replace(NIGHTLY, catch_up=catch_up))
    world.look()
    world.look(days=4)
    world.look(minutes=1)

    assert world.dues() == expected


def test_a_rule_that_is_declared_anew_beside_others_keeps_its_past() -> None:
    world = World(NIGHTLY)
    world.look()
    world.clock.go(days=1)
    world.declare(NIGHTLY, ORDERS)
    world.look()
    world.look()

    assert world.dues() == [("05-05 03:00", 0)]


def test_a_clock_that_ran_years_ahead_and_came_back_silences_nothing() -> None:
    world = World(NIGHTLY)
    world.look()
    world.look(days=1500)
    world.look(days=-1500)
    for _ in range(4):
        world.look(hours=15)

    assert [due for due, _ in world.dues()[1:]] == ["05-05 03:00", "05-06 03:00"]


def test_a_rule_declared_by_a_clock_ahead_still_fires_when_the_clock_is_right_again() -> None:
    world = World(NIGHTLY)
    world.clock.go(days=1500)
    world.look()
    world.look(days=-1500)
    for _ in range(16 * 12):
        world.look(minutes=5)

    assert world.dues() == [("05-05 03:00", 0)]


@pytest.mark.parametrize("seed", range(6))
def test_wherever_a_loop_is_killed_and_wherever_its_clock_jumps_each_key_fires_once(seed: int) -> None:
    rng = random.Random(seed)
    world = World(msgspec.structs.replace(NIGHTLY, catch_up="all"), ORDERS, FAILURES, deployments=("churn", "risk"))
    world.look()

    for step in range(40):
        world.clock.go(hours=rng.choice([1, 5, 20, -7, -30, 60]))
        if rng.random() < 0.5:
            world.add(3, salt=step)
        if rng.random() < 0.5:
            world.tell(failed(rng.choice(world.deployments)), name=f"failed{step}")
        killing = KillingLedger(world.ledger, at=rng.randint(1, 3), after=rng.random() < 0.5)
        try:
            world.reactor(cast(Ledger, killing)).tick()
        except Killed:
            continue
    world.look()

    keys = [x.firing.key for x in world.fired()]
    assert len(keys) == len(set(keys)), f"seed {seed}"
    told = {x.id for x in world.ledger.read(limit=10_000, kinds=("RunFailed",))}
    covered = sum(1 + x.firing.missed for x in world.fired() if x.firing.cause is not None)
    assert covered == len(told), f"seed {seed}: an event was lost"
    newest = {x.deployment: x.firing.key for x in world.fired() if x.kind_of_trigger == "new_data"}
    number = world.tables.versions("orders")[-1].number
    assert newest == {name: f"{name}/orders/orders/{number}" for name in world.deployments}


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


class KillingLedger:
    """A ledger that ends the process before or after a chosen append: every call reaches the real one."""

    def __init__(self, inner: Ledger, *, at: int, after: bool) -> None:
        self._inner, self._left, self._after = inner, at, after

    def append(self, drafts: Sequence[Draft], **more: Any) -> list[Entry]:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        written = self._inner.append(drafts, **more)
        if self._left == 0:
            raise Killed
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_new_data_fires_for_the_newest_version_that_is_large_enough() -> None:
    world = World(ORDERS)
    world.add(9)
    world.look()
    world.add(1, salt=1)
    world.look()
    assert world.fired() == [], "version 1 stood before, version 2 is too small"

    for salt in (2, 3):
        world.add(3, salt=salt)
    world.look()
    world.look()

    (fired,) = world.fired()
    assert (fired.firing.key, fired.firing.missed) == ("churn/orders/orders/4", 1)


def test_a_version_that_arrived_is_what_is_learnt_from_then_on() -> None:
    world = World(ORDERS)
    world.add(3)
    world.recipes = {"churn": replace(world.recipes["churn"], base=world.tables.versions("orders")[0].digest)}
    world.look()
    world.add(4, salt=1)
    world.look()
    fired = world.ledger.latest(limit=1)[0]

    def asked(name: str, trigger: e.Trigger, cause: EventId | None) -> Digest:
        request = e.RetrainRequested(
            deployment="churn", model="churn", reason="", trigger=trigger, data_until=NOON, evidence={}
        )
        draft = Draft(id=EventId(name), at=NOON, actor="noria", event=request, cause=cause)
        entry = world.ledger.append([draft])[0]
        return with_newest_data(world.recipes["churn"], entry, ledger=world.ledger, tables=world.tables).base

    first, second = (version.digest for version in world.tables.versions("orders"))
    assert asked("before", "growth", None) == first
    assert asked("by the trigger", "new_data", fired.id) == second
    assert asked("after", "decay", None) == second


def test_an_event_fires_for_the_deployment_that_it_is_about() -> None:
    world = World(FAILURES, deployments=("churn", "risk"))
    world.tell(failed(), name="before")
    world.look()
    world.tell(failed("risk"), name="one")
    world.tell(failed("risk"), name="two")
    world.look()
    world.look()

    (fired,) = world.fired()
    assert (fired.deployment, fired.firing.cause, fired.firing.missed) == ("risk", "two", 1)
    assert world.ledger.cursor("triggers:churn").seq == 0, "nothing fired: nothing is written"
    assert world.ledger.latest(limit=1)[0].cause == "two"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (TriggerRule(name="a", kind="cron", cron="0 3 * *"), "no schedule"),
        (TriggerRule(name="a", kind="cron", cron="0 3 * * *", zone="Mars"), "time zone"),
        (TriggerRule(name="a", kind="new_data"), "no dataset"),
        (TriggerRule(name="a", kind="new_data", dataset="churn-training"), "each training"),
        (TriggerRule(name="a", kind="event", event="RetrainRequested"), "waits for"),
        (TriggerRule(name="a", kind="event", event="Nonsense"), "no kind of event"),
        (TriggerRule(name="a", kind="webhook"), "no secret"),
        (TriggerRule(name="a", kind="webhook", secret="hunter2"), "plain sight"),
        (TriggerRule(name="a/b", kind="webhook", secret="env:S"), "no name"),
    ],
)
def test_a_trigger_that_cannot_be_is_refused_by_name(rule: TriggerRule, said: str) -> None:
    with pytest.raises(SettingInvalid, match=said) as caught:
        check([rule], deployment="churn")
    assert f"{rule.name!r} of deployment 'churn'" in caught.value.problem


def test_two_triggers_of_one_name_are_refused() -> None:
    with pytest.raises(SettingInvalid, match="two have it"):
        check([NIGHTLY, NIGHTLY], deployment="churn")


TWICE_A_DAY = TriggerRule(name="noon and night", kind="cron", cron="0 0,12 * * *")


def eager(recipe: noria.Recipe) -> noria.Recipe:
    """The same with a trigger, and a policy that has few labels and no cool-down to wait for."""
    policy = msgspec.structs.replace(recipe.policy, minimum_labels=1, cooldown_days=0.5)
    return replace(recipe, policy=policy, triggers=(TWICE_A_DAY,))


def test_a_firing_asks_for_a_training_within_the_policy_and_says_why() -> None:
    """The whole way: fired, decided, trained; then fired again, and refused while the rollout runs."""
    with open_life(change=eager) as life:
        life.declare().live(range(BEGIN + 2, BEGIN + 4))
        life.clock.advance(hours=13)
        life.loop.tick()

        kinds = life.kinds()
        asked = [x for x in life.all(e.RetrainRequested) if x.trigger == "schedule"]
        refused = [x for x in life.all(e.RetrainSuppressed) if x.trigger == "schedule"]
        fired = life.all(e.TriggerFired)
    assert kinds.count("TriggersDeclared") == 1
    assert len(fired) == len(asked) + len(refused) == 2, "one a stroke, for the noon before as well"
    assert [x.reason for x in refused] == ["a rollout is running: its verdict comes before another challenger"]
    assert asked[0].reason.startswith("trigger 'noon and night' was due at 2026-01-2")
    assert asked[0].evidence["firing"] in [x.firing.key for x in fired]
    assert all(bound.kept for bound in asked[0].bounds)


def growing(recipe: noria.Recipe) -> noria.Recipe:
    """The same, trained as soon as a few labels have come."""
    policy = msgspec.structs.replace(recipe.policy, minimum_labels=1, cooldown_days=0.5, growth=0.01, on=("growth",))
    return replace(recipe, policy=policy)


def test_two_loops_that_review_at_once_ask_for_one_training() -> None:
    """Both look before either has written, each at its own moment."""
    with open_life(change=growing) as life:
        life.declare()
        for day in range(BEGIN + 2, BEGIN + 4):
            life.live_without_a_look(day)
        first = review(life.loop.context)
        life.clock.advance(seconds=7)
        second = review(life.again(life.recipe).loop.context)
        for found in (first, second):
            Reactor(life.loop.context, stages={}, ticks={"review": lambda _, found=found: found}).tick()

        asked = [x for x in life.all(e.RetrainRequested) if x.trigger == "growth"]

    assert len(first) == len(second) == 1
    assert first[0].event != second[0].event, "they looked at different moments"
    assert len(asked) == 1
