"""The reactor does each effect once, wherever it is killed, and however many of it there are."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest

from noria.adapters.metadata.memory import open_store as open_memory
from noria.adapters.metadata.sqlite import open_store as open_sqlite
from noria.domain import events as e
from noria.domain.ids import EventId
from noria.domain.ledger import Draft, Entry
from noria.errors import DiskFull, NotFound
from noria.loop.context import Context, Timed
from noria.loop.reactor import Reactor
from noria.ports.ledger import Ledger
from noria.testing.clock import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@dataclass
class OnlyLedger:
    """The part of a context that the reactor itself uses."""

    ledger: Ledger
    clock: FakeClock


def context(ledger: Ledger) -> Context:
    return cast(Context, OnlyLedger(ledger, FakeClock(NOW)))


def moved(number: int) -> e.AliasMoved:
    return e.AliasMoved(model="m", alias="champion", number=number, previous=None, reason="")


def asked(number: int) -> e.RetrainRequested:
    return e.RetrainRequested(deployment=f"d{number}", model="m", reason="", trigger="hand", data_until=NOW)


def start(ledger: Ledger, events: int) -> None:
    ledger.append([Draft(id=EventId(f"first{i}"), at=NOW, actor="t", event=asked(i)) for i in range(events)])


def chain(entry: Entry, _: Context) -> Sequence[e.AnyEvent]:
    """RetrainRequested -> two AliasMoved, and each AliasMoved -> nothing."""
    deployment = cast(e.RetrainRequested, entry.event).deployment
    number = int(deployment[1:])
    return [moved(10 * number), moved(10 * number + 1)]


def effects(ledger: Ledger) -> list[int]:
    return [entry.event.number for entry in ledger.read() if isinstance(entry.event, e.AliasMoved)]


class KillingLedger:
    """A ledger that ends the process before or after a chosen append. The fault, not a stand-in for the store: every call reaches the real one."""

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


@pytest.mark.parametrize("seed", range(20))
def test_every_effect_is_written_once_when_killed_at_any_append(seed: int) -> None:
    rng = random.Random(seed)
    ledger = open_memory("", project="p").ledger
    start(ledger, 5)

    for _ in range(rng.randint(1, 4)):
        killing = KillingLedger(ledger, at=rng.randint(1, 8), after=rng.random() < 0.5)
        try:
            Reactor(context(cast(Ledger, killing)), stages={e.RetrainRequested: chain}, ticks={}).turn()
        except Killed:
            continue
    Reactor(context(ledger), stages={e.RetrainRequested: chain}, ticks={}).turn()

    assert effects(ledger) == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41], f"seed {seed}"


def test_two_reactors_at_once_write_each_effect_once(tmp_path: Path) -> None:
    stores = [open_sqlite(str(tmp_path / "meta.db"), project="p") for _ in range(2)]
    start(stores[0].ledger, 8)

    threads = [
        Thread(target=Reactor(context(s.ledger), stages={e.RetrainRequested: chain}, ticks={}).turn) for s in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(effects(stores[0].ledger)) == sorted(10 * i + j for i in range(8) for j in (0, 1))
    for store in stores:
        store.close()


def test_a_stage_that_fails_is_told_and_the_loop_goes_on() -> None:
    ledger = open_memory("", project="p").ledger
    start(ledger, 2)

    def sometimes(entry: Entry, ctx: Context) -> Sequence[e.AnyEvent]:
        if cast(e.RetrainRequested, entry.event).deployment == "d0":
            raise NotFound("no recipe", remedy="name it")
        return chain(entry, ctx)

    Reactor(context(ledger), stages={e.RetrainRequested: sometimes}, ticks={}).turn()

    failed = [x.event for x in ledger.read() if isinstance(x.event, e.StageFailed)]
    assert [(f.stage, f.error_code) for f in failed] == [("sometimes", "noria-2001")]
    assert effects(ledger) == [10, 11]


def test_a_full_disk_stops_the_wheel_and_nothing_is_skipped() -> None:
    ledger = open_memory("", project="p").ledger
    start(ledger, 1)
    full = [True]

    def needs_room(entry: Entry, ctx: Context) -> Sequence[e.AnyEvent]:
        if full[0]:
            raise DiskFull("no room")
        return chain(entry, ctx)

    reactor = Reactor(context(ledger), stages={e.RetrainRequested: needs_room}, ticks={})
    with pytest.raises(DiskFull):
        reactor.turn()
    full[0] = False
    reactor.turn()

    assert effects(ledger) == [0, 1]


def test_the_same_stroke_of_the_clock_writes_its_event_once() -> None:
    ledger = open_memory("", project="p").ledger
    tick: Callable[[Context], Sequence[Timed]] = lambda _: [Timed(key="2026-01-01", event=moved(7))]  # noqa: E731
    reactor = Reactor(context(ledger), stages={}, ticks={"review": tick})

    reactor.tick()
    reactor.tick()

    assert effects(ledger) == [7]


def test_what_stands_comes_before_what_the_clock_brings() -> None:
    """As after a crash between an event and its effects: the order is the one that there would have been."""
    ledger = open_memory("", project="p").ledger
    start(ledger, 1)
    tick: Callable[[Context], Sequence[Timed]] = lambda _: [Timed(key="2026-01-01", event=moved(7))]  # noqa: E731

    dealt = Reactor(context(ledger), stages={e.RetrainRequested: chain}, ticks={"review": tick}).tick()

    assert effects(ledger) == [0, 1, 7]
    assert dealt == 4


def test_an_effect_names_its_cause() -> None:
    ledger = open_memory("", project="p").ledger
    start(ledger, 1)

    Reactor(context(ledger), stages={e.RetrainRequested: chain}, ticks={}).turn()

    first, *rest = ledger.read()
    assert {entry.cause for entry in rest} == {first.id}
