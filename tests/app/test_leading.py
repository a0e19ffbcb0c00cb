"""One leader at a time: by clocks of their own that never jump, whatever the wall clock does and whoever dies."""

import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, cast

import pytest

from noria.adapters.metadata.memory import open_store
from noria.app.leading import LEASE, Leadership, strokes
from noria.domain import events as e
from noria.errors import StoreUnavailable
from noria.ports.leases import LeaseStore
from noria.testing.clock import FakeClock


@dataclass
class Ticking:
    """A clock that never jumps, by hand."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Planes:
    """Control planes over one store, each with a clock of its own."""

    store: Any = field(default_factory=lambda: open_store("", project="p"))
    wall: FakeClock = field(default_factory=lambda: FakeClock(datetime(2026, 1, 1, tzinfo=UTC)))

    def plane(self, name: str, *, clock: Ticking, leases: LeaseStore | None = None, seconds: float = 9) -> Leadership:
        return Leadership(
            leases or self.store.leases,
            self.store.ledger,
            clock=self.wall,
            seconds=seconds,
            holder=name,
            monotonic=clock,
        )

    def elected(self) -> list[tuple[str, int, str]]:
        found = [x.event for x in self.store.ledger.read(limit=10_000)]
        return [(x.holder, x.token, x.reason) for x in found if isinstance(x, e.LeaderElected)]


def test_the_first_leads_and_the_second_waits() -> None:
    planes, clock = Planes(), Ticking()
    a, b = planes.plane("a", clock=clock), planes.plane("b", clock=clock)

    for _ in range(20):
        assert (a.beat(), b.beat()) == (True, False)
        clock.at += 3
    assert planes.elected() == [("a", 1, "there was no leader")]


def test_a_leader_that_is_gone_is_replaced_within_two_lease_times() -> None:
    planes, clock = Planes(), Ticking()
    a, b = planes.plane("a", clock=clock), planes.plane("b", clock=clock)
    a.beat()
    b.beat()
    gone = clock.at

    while not b.beat():
        clock.at += b.look_s
        assert clock.at - gone < 2 * 9

    assert not a.is_leader
    assert planes.elected()[-1] == ("b", 2, "a gave no sign of life for 9 s")
    assert not a.beat(), "who was replaced sees it"
    assert not a.beat()
    assert planes.elected()[-1][0] == "b"


def test_a_leader_that_leaves_is_replaced_at_once() -> None:
    planes, clock = Planes(), Ticking()
    a, b = planes.plane("a", clock=clock), planes.plane("b", clock=clock)
    a.start()
    b.beat()

    a.stop()

    assert not a.is_leader
    assert b.beat()
    assert planes.elected()[-1] == ("b", 2, "the leader before gave the lease back")


def test_wall_clocks_that_jump_change_nothing() -> None:
    planes, clock = Planes(), Ticking()
    a, b = planes.plane("a", clock=clock), planes.plane("b", clock=Ticking(5.0))
    a.beat()
    b.beat()
    planes.wall.advance(days=5000)

    assert a.beat()
    assert not b.beat()


class Away:
    """Leases behind a line that may be cut: the real ones while it holds."""

    def __init__(self, inner: LeaseStore) -> None:
        self._inner, self.cut = inner, False

    def __getattr__(self, name: str) -> Any:
        if self.cut:
            raise StoreUnavailable("the store is away")
        return getattr(self._inner, name)


def test_a_leader_that_cannot_reach_the_store_stops_before_another_begins() -> None:
    planes, clock = Planes(), Ticking()
    line = Away(planes.store.leases)
    a, b = planes.plane("a", clock=clock, leases=cast(LeaseStore, line)), planes.plane("b", clock=clock)
    a.beat()
    b.beat()
    line.cut = True

    while not b.is_leader:
        clock.at += 0.5
        a.beat()
        b.beat()
        assert not (a.is_leader and b.is_leader)

    line.cut = False
    assert not a.beat()


@pytest.mark.parametrize("seed", range(8))
def test_of_many_at_most_one_leads_at_any_time_and_soon_one_does(seed: int) -> None:
    """Beats come late or not at all, lines are cut, processes sleep; clocks start anywhere but run alike. Tokens rise by one with each leader."""
    rng = random.Random(seed)
    planes = Planes()
    clocks = [Ticking(rng.random() * 1e6) for _ in range(4)]
    lines = [Away(planes.store.leases) for _ in clocks]
    them = [
        planes.plane(str(n), clock=clock, leases=cast(LeaseStore, line))
        for n, (clock, line) in enumerate(zip(clocks, lines, strict=True))
    ]
    without = 0.0
    for _ in range(600):
        for clock in clocks:
            clock.at += 1
        for plane, line in zip(them, lines, strict=True):
            if rng.random() < 0.03:
                line.cut = not line.cut
            if rng.random() < 0.4:
                plane.beat()
        leaders = sum(plane.is_leader for plane in them)
        assert leaders <= 1
        without = 0 if leaders or all(line.cut for line in lines) else without + 1
        assert without < 90
    tokens = [token for _, token, _ in planes.elected()]
    assert tokens
    assert all(later > earlier for earlier, later in pairwise(tokens))


def test_the_change_is_put_on_record_once_the_ledger_is_there() -> None:
    planes, clock = Planes(), Ticking()
    ledger = Away(planes.store.ledger)
    a = Leadership(planes.store.leases, cast(Any, ledger), clock=planes.wall, seconds=9, holder="a", monotonic=clock)
    ledger.cut = True
    assert a.beat()
    assert planes.elected() == []
    ledger.cut = False
    a.beat()
    a.beat()

    assert planes.elected() == [("a", 1, "there was no leader")]


def test_a_stroke_that_fails_is_not_the_last() -> None:
    leader = Planes().plane("a", clock=Ticking(), seconds=0.003)
    leader.beat()
    stop, faults = threading.Event(), [KeyError("a bug"), StoreUnavailable("away")]

    def stroke() -> None:
        if faults:
            raise faults.pop()
        stop.set()

    strokes(stroke, leader, every_s=0.0, stop=stop)

    assert faults == []


def test_only_the_leader_strikes_and_it_strikes_at_once_when_it_takes_over() -> None:
    planes, clock = Planes(), Ticking()
    leader, follower = planes.plane("a", clock=clock), planes.plane("b", clock=clock, seconds=0.003)
    leader.beat()
    follower.beat()
    stop, struck = threading.Event(), threading.Event()
    begun = clock.at
    thread = threading.Thread(
        target=strokes, args=(struck.set, follower), kwargs={"every_s": 60.0, "stop": stop, "monotonic": clock}
    )
    thread.start()
    leader.stop()
    clock.at += 61
    follower.beat()
    clock.at = begun + 61

    assert struck.wait(20)
    stop.set()
    thread.join(20)
    assert planes.store.leases.find(LEASE).holder == "b"
