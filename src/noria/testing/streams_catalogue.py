"""Named streams on which alarms are tried: what should be slept through, what should be seen, and what should be seen and judged harmless.

A scenario is a stream for each seed. Seeds below 1000 are for whoever works on a method; those from 1000 on are kept for its proof.
Called by tests and benchmarks of monitoring.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from noria.testing.streams import Change, Kind, Labels, Stream
from noria.testing.streams_agrawal import Agrawal
from noria.testing.streams_faults import Broken, Fault, FaultKind
from noria.testing.streams_weather import Batches, RowMemory, Season, Trend, Weather, Wobble
from noria.testing.streams_worlds import Hyperplane, Led, Sea, Stagger, Table, World

PROOF_SEEDS = 1000
"""The first seed of a proof."""
HOUR = timedelta(hours=1)
DRIFTING = ("x0", "x4", "x1")
"""Two plain numbers and one with heaps at its ends."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A name, why it is tried, and the stream of a seed. at: the window in which the change begins; before it all is quiet."""

    name: str
    about: str
    at: int
    make: Callable[[int], Stream]

    def stream(self, seed: int) -> Stream:
        """The stream of a seed."""
        return self.make(seed)


def _inputs(
    name: str,
    about: str,
    *,
    world: World | None = None,
    change: Change | None = None,
    weather: tuple[Weather, ...] = (),
    rows: int = 1000,
    reference: int = 40,
    reference_rows: int | None = None,
    at: int = 60,
    after: int = 40,
    length: timedelta = timedelta(days=1),
) -> Scenario:
    """A stream whose inputs change in window `at`: three of fifty by a quarter of a standard deviation, unless told otherwise."""
    what = replace(change or Change(kind="shift", window=at, size=0.25, columns=DRIFTING), window=at)

    def make(seed: int) -> Stream:
        return Stream(
            world=world or Table(),
            seed=seed,
            rows=rows,
            length=length,
            reference=reference,
            reference_rows=reference_rows,
            windows=at + after,
            weather=weather,
            changes=(what,),
        )

    return Scenario(name=name, about=about, at=at, make=make)


def _change(
    kind: Kind,
    size: float,
    *columns: str,
    over: int = 0,
    lasts: int | None = None,
    matters: Literal["worse", "better", "not", "unknown"] = "unknown",
) -> Change:
    return Change(kind=kind, window=0, size=size, columns=columns, over=over, lasts=lasts, matters=matters)


NARROW = Table(width=8, levels=(5, 20))

INPUTS = (
    _inputs("plain", "independent rows; 3 of 50 inputs move by 0.25 sd"),
    _inputs(
        "days-of-100",
        "the same in days of 100 rows, a reference of 20,000",
        rows=100,
        reference_rows=500,
        at=150,
        after=60,
    ),
    _inputs("small", "3 of 50 inputs move by 0.1 sd", change=_change("shift", 0.1, *DRIFTING)),
    _inputs("one", "1 of 50 inputs moves by 1 sd", change=_change("shift", 1.0, "x0")),
    _inputs("wobble", "every day every number moves by N(0, 0.03 sd)", weather=(Wobble(0.03),)),
    _inputs(
        "strong-wobble",
        "every day every number moves by N(0, 0.1 sd); then 0.5 sd",
        weather=(Wobble(0.1),),
        change=_change("shift", 0.5, *DRIFTING),
    ),
    _inputs(
        "memory",
        "days remember the day before: 0.05 sd, correlation 0.9",
        weather=(Wobble(0.05, 0.9, 0.3),),
        change=_change("shift", 0.5, *DRIFTING),
    ),
    _inputs(
        "week",
        "a week's wave of 0.3 sd in every number, six weeks of reference",
        weather=(Season(7, 0.3),),
        reference=42,
        change=_change("shift", 0.5, *DRIFTING),
    ),
    _inputs(
        "hours",
        "hours of 100 rows with a day's wave of 0.5 sd and a week's of 0.2; four weeks of reference",
        weather=(Season(1, 0.5), Season(7, 0.2)),
        rows=100,
        reference=672,
        at=336,
        after=240,
        length=HOUR,
        world=Table(width=16, levels=(5, 20)),
    ),
    _inputs("trend", "every number climbs by 0.0005 sd a day", weather=(Trend(0.0005),)),
    _inputs(
        "rows-remember",
        "rows resemble the row before (a part of 1 sd, correlation 0.95)",
        weather=(RowMemory(0.95, 1.0),),
        change=_change("shift", 0.75, *DRIFTING),
    ),
    _inputs(
        "batches",
        "rows come in batches of 50 that differ by 0.5 sd",
        weather=(Batches(50, 0.5),),
        change=_change("shift", 0.5, *DRIFTING),
    ),
    _inputs(
        "reference-50",
        "a reference of 50 rows",
        reference=10,
        reference_rows=5,
        change=_change("shift", 1.0, *DRIFTING),
    ),
    _inputs(
        "reference-500",
        "a reference of 500 rows",
        reference=10,
        reference_rows=50,
        change=_change("shift", 0.5, *DRIFTING),
    ),
    _inputs("reference-2000", "a reference of 2,000 rows", reference=20, reference_rows=100),
    _inputs("days-of-30", "30 rows a day, a reference of 1,200", rows=30, change=_change("shift", 0.5, *DRIFTING)),
    _inputs(
        "days-of-100k",
        "100,000 rows a day that wobble by 0.02 sd; 8 numbers and 2 texts",
        rows=100_000,
        world=NARROW,
        weather=(Wobble(0.02),),
        reference=12,
        at=12,
        after=6,
    ),
    _inputs(
        "levels",
        "texts with 1,000, 10,000 and 100,000 values; the mix of one changes",
        world=Table(width=4, levels=(1000, 10_000, 100_000), used=4),
        change=_change("mix", 0.2, "t1"),
    ),
    _inputs("heavy", "every fourth number has very heavy tails", world=Table(heavy=True)),
    _inputs("mix", "the mix of two texts of ten changes by 15 %", change=_change("mix", 0.15, "t3", "t5")),
    _inputs("spread", "3 of 50 inputs spread 1.3 times as wide", change=_change("spread", 1.3, *DRIFTING)),
    _inputs("creep", "3 of 50 inputs move by 0.5 sd over 40 days", change=_change("shift", 0.5, *DRIFTING, over=40)),
    _inputs(
        "passing", "3 of 50 inputs move by 0.5 sd for 5 days", change=_change("shift", 0.5, *DRIFTING, lasts=5), after=5
    ),
    _inputs("joint", "neighbouring inputs correlate by 0.8; each alone looks as before", change=_change("joint", 0.8)),
)
"""Streams whose inputs change. Up to window `at` only weather."""


def _concept(
    name: str,
    about: str,
    *,
    world: World,
    change: Change | None = None,
    weather: tuple[Weather, ...] = (),
    labels: Labels | None = None,
    at: int = 100,
    after: int = 60,
) -> Scenario:
    """A stream of 100 rows a day, 50 days of reference, whose labels change their meaning in window `at`."""
    what = replace(change or _change("concept", 1.0, matters="worse"), window=at)

    def make(seed: int) -> Stream:
        return Stream(
            world=world,
            seed=seed,
            rows=100,
            reference=50,
            windows=at + after,
            weather=weather,
            changes=(what,),
            labels=labels or Labels(),
        )

    return Scenario(name=name, about=about, at=at, make=make)


CONCEPTS = (
    _concept("sea-0-3", "SEA, limit 8 to 9.5", world=Sea(0, 3)),
    _concept("sea-0-1", "SEA, limit 8 to 9", world=Sea(0, 1)),
    _concept("agrawal-0-2", "Agrawal, rule 0 to 2", world=Agrawal(0, 2)),
    _concept("agrawal-1-3", "Agrawal, rule 1 to 3", world=Agrawal(1, 3)),
    _concept("stagger-0-1", "STAGGER, concept 0 to 1", world=Stagger(0, 1)),
    _concept("hyperplane", "4 of 10 weights change their sign", world=Hyperplane()),
    _concept(
        "hyperplane-slow",
        "the same over 40 days",
        world=Hyperplane(),
        change=_change("concept", 1.0, over=40, matters="worse"),
    ),
    _concept("table-half", "all inputs count half as much", world=Table(width=8, levels=(5,), turn=0.5)),
    _concept("led", "4 of 7 lamps change places with lamps that mean nothing", world=Led(moved=4)),
    _concept(
        "late-labels",
        "SEA 0 to 3; labels come after 3 days, of label 1 after 6, a fifth never",
        world=Sea(0, 3),
        labels=Labels(spread=timedelta(days=3), never=0.2, slower=2.0),
    ),
    _concept(
        "nothing-changes",
        "an input that the label does not need moves by 1 sd",
        world=Sea(0, 3),
        change=_change("shift", 1.0, "x2", matters="not"),
    ),
    _concept(
        "it-helps",
        "inputs move to where the answer is easy",
        world=Hyperplane(),
        change=_change("shift", 0.6, matters="better"),
    ),
    _concept(
        "harder-days",
        "inputs move to where the answer is hard; the model is as honest as before",
        world=Table(width=8, levels=(5,)),
        change=_change("spread", 0.5, matters="not"),
    ),
)
"""Streams in which the model becomes worse, or in which it only looks so."""


@dataclass(frozen=True, kw_only=True)
class BrokenScenario:
    """A name and the pipe of a seed: 40 days of reference, 20 good days that wobble, and from day `at` on one fault."""

    name: str
    fault: Fault
    at: int = 20

    def pipe(self, seed: int) -> Broken:
        """Days of 300 rows with 8 numbers and 3 texts."""
        stream = Stream(
            world=Table(width=8, levels=(5, 20, 200), used=6),
            seed=seed,
            rows=300,
            windows=self.at + 5,
            weather=(Wobble(0.05), Season(7, 0.1)),
        )
        return Broken(stream=stream, faults=(replace(self.fault, window=self.at),))


def _broken(name: str, kind: FaultKind, size: float, *columns: str) -> BrokenScenario:
    return BrokenScenario(name=name, fault=Fault(kind=kind, window=0, size=size, columns=columns))


FAULTS = (
    _broken("a number is missing in 20 % of rows", "missing", 0.2, "x1"),
    _broken("a text is missing in 20 % of rows", "missing", 0.2, "t1"),
    _broken("a number is missing altogether", "missing", 1.0, "x1"),
    _broken("a number is stuck at one value", "stuck", 1.0, "x0"),
    _broken("a number comes in another unit (x 1,000)", "unit", 1000.0, "x2"),
    _broken("two numbers are swapped", "swapped", 1.0, "x0", "x2"),
    _broken("10 % of a text's values are new", "unseen", 0.1, "t0"),
    _broken("5 % of a number are infinite", "infinite", 0.05, "x0"),
    _broken("a number comes as text", "retyped", 1.0, "x3"),
    _broken("a column is gone", "gone", 1.0, "t2"),
    _broken("30 % of rows come twice", "repeated", 0.3),
    _broken("70 % of rows are lost", "lost", 0.7),
    _broken("yesterday's rows come again", "replayed", 1.0),
)
"""Pipes that break."""


def scenario(name: str) -> Scenario:
    """A scenario by its name. KeyError when there is none."""
    return {each.name: each for each in INPUTS + CONCEPTS}[name]
