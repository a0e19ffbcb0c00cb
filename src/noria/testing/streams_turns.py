"""Named streams on which deciding is tried: worlds that turn, return, drift without harm, lie or break, and what a loop should make of each.

A turn is a stream of labelled days and the truth about each day. Alarms alone are tried on streams_catalogue. Seeds below 2000 are for whoever works
on a rule; those from 2000 on are kept for its proof. Called by tests and benchmarks of the loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from noria.testing.streams import Change, Labels, Rows, Stream
from noria.testing.streams_faults import Broken, Fault
from noria.testing.streams_weather import Season, Trend, Weather, Wobble
from noria.testing.streams_worlds import Bools, Columns, Floats, Hyperplane, Push, Sea, World

TURN_SEEDS = 2000
"""The first seed of a proof of deciding."""
HISTORY, DAYS, ROWS, TURNS_ON = 40, 150, 200, 50


@dataclass(frozen=True)
class Lean:
    """A yes/no label that leans on six numbers by a logistic law, and on a text of four values. The new law: other weights, another base rate."""

    before: tuple[float, ...] = (1.2, -0.8, 0.6, 0.0, 0.4, 0.0)
    to: tuple[float, ...] = (1.2, -0.8, 0.6, 0.0, 0.4, 0.0)
    base: float = -0.7
    base_to: float = -0.7

    SHOPS = ("north", "south", "east", "web")
    OF_SHOP = (0.0, 0.3, -0.3, 0.6)

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(f"x{i}" for i in range(len(self.before)))

    @property
    def texts(self) -> tuple[str, ...]:
        return ("shop",)

    @property
    def classes(self) -> int:
        return 2

    def draw(self, rng: np.random.Generator, push: Push, after: Bools) -> tuple[Columns, Floats]:
        x = rng.standard_normal((push.rows, len(self.before))) * push.scale + push.shift
        place = rng.choice(4, size=push.rows, p=(0.4, 0.3, 0.2, 0.1))
        place = np.where(rng.uniform(size=push.rows) < push.mix[:, 0], 3 - place, place)
        columns: Columns = {f"x{i}": x[:, i] for i in range(len(self.before))}
        columns["shop"] = np.array(self.SHOPS, dtype=object)[place]
        odds = np.where(after, self._odds(x, place, new=True), self._odds(x, place, new=False))
        return columns, (rng.uniform(size=push.rows) < 1 / (1 + np.exp(-odds))).astype(np.float64)

    def believes(self, columns: Columns) -> Floats:
        x = np.stack([columns[name] for name in self.numbers], axis=1)
        place = np.array([self.SHOPS.index(name) for name in columns["shop"].tolist()])
        return np.asarray(1 / (1 + np.exp(-self._odds(x, place, new=False))))

    def _odds(self, x: Floats, place: "np.ndarray[tuple[int], np.dtype[np.int64]]", *, new: bool) -> Floats:
        weights, base = (self.to, self.base_to) if new else (self.before, self.base)
        return np.asarray(base + x @ np.array(weights) + np.array(self.OF_SHOP)[place])


@dataclass(frozen=True, kw_only=True)
class Lie:
    """For `lasts` days from `window` on a share of the labels is told turned round; what truly happened is another matter."""

    window: int
    lasts: int
    share: float = 1.0

    def there(self, window: int) -> bool:
        """Whether the labels of a day's rows are told wrong."""
        return self.window <= window < self.window + self.lasts


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One stream of days. about: what happens, and what should be made of it. pipe: the days as they come in."""

    name: str
    about: str
    pipe: Stream | Broken
    lies: tuple[Lie, ...] = ()

    @property
    def stream(self) -> Stream:
        """The world behind the pipe."""
        return self.pipe.stream if isinstance(self.pipe, Broken) else self.pipe

    def day(self, window: int) -> tuple[Rows, Floats]:
        """The rows of one day, and the labels as they are told; rows.labels are the truth."""
        rows = self.pipe.window(window)
        told = rows.labels.copy()
        for i, lie in enumerate(self.lies):
            if lie.there(window):
                rng = np.random.default_rng([self.stream.seed, 1 << 29, i, window + self.stream.reference])
                turned = rng.uniform(size=len(rows)) < lie.share
                told = np.where(turned, 1 - told, told)
        return rows, told

    def law(self, window: int) -> float:
        """How far the new law holds on a day: 0 the old one alone, 1 the new one alone. Days of one law belong together."""
        return sum(c.size * c.amount(window) for c in self.stream.changes if c.kind == "concept" and window >= 0)

    def is_sound(self, window: int) -> bool:
        """Whether a day's rows and labels are what happened: nothing broken, nothing told wrong."""
        broken = isinstance(self.pipe, Broken) and bool(self.pipe.faults_in(window))
        return not broken and not any(lie.there(window) for lie in self.lies)


@dataclass(frozen=True, kw_only=True)
class TurnScenario:
    """A name, and the turn of a seed."""

    name: str
    about: str
    make: Callable[[int], Turn]


CALM: tuple[Weather, ...] = (Wobble(0.05), Season(7, 0.1))
AGAINST = (-0.6, -0.8, 0.6, 0.9, 0.4, 0.0)
"""Weights of another law: the first turns round, the fourth begins to count."""


def _turn(
    name: str,
    about: str,
    *,
    world: World | None = None,
    changes: tuple[Change, ...] = (),
    weather: tuple[Weather, ...] = CALM,
    labels: Labels | None = None,
    faults: tuple[Fault, ...] = (),
    lies: tuple[Lie, ...] = (),
) -> TurnScenario:
    def make(seed: int) -> Turn:
        stream = Stream(
            world=world or Lean(to=AGAINST),
            seed=seed,
            rows=ROWS,
            reference=HISTORY,
            windows=DAYS,
            weather=weather,
            changes=changes,
            labels=labels or Labels(delay=timedelta(days=1)),
        )
        pipe = Broken(stream=stream, faults=faults) if faults else stream
        return Turn(name=name, about=about, pipe=pipe, lies=lies)

    return TurnScenario(name=name, about=about, make=make)


def _concept(at: int = TURNS_ON, *, over: int = 0, lasts: int | None = None, size: float = 1.0) -> Change:
    return Change(kind="concept", window=at, size=size, over=over, lasts=lasts)


def _moved(size: float, *columns: str, over: int = 0) -> Change:
    return Change(kind="shift", window=TURNS_ON, size=size, columns=columns, over=over)


TURNS = (
    _turn("none", "nothing happens but weather: nothing should be done but to learn from more"),
    _turn("sudden", "the law turns on day 50", changes=(_concept(),)),
    _turn("sudden-hyperplane", "4 of 10 weights of a plane turn on day 50", world=Hyperplane(), changes=(_concept(),)),
    _turn("sudden-sea", "SEA's limit moves from 8 to 9.5 on day 50", world=Sea(0, 3), changes=(_concept(),)),
    _turn("half", "half of all rows follow the new law from day 50 on", changes=(_concept(size=0.5),)),
    _turn("gradual", "the law turns over 50 days", changes=(_concept(over=50),)),
    _turn("base-rate", "more positives than before, from day 50 on", world=Lean(base_to=0.3), changes=(_concept(),)),
    _turn(
        "recurring",
        "another law for 30 days, twice, 30 days apart",
        changes=(_concept(35, lasts=30), _concept(95, lasts=30)),
    ),
    _turn(
        "late-labels",
        "the law turns; labels come after days",
        changes=(_concept(),),
        labels=Labels(delay=timedelta(days=3), spread=timedelta(days=4), never=0.2),
    ),
    _turn(
        "season", "a wave of 1 sd in all inputs, 60 days long; the law stands", weather=(Wobble(0.05), Season(60, 1.0))
    ),
    _turn("trend", "all inputs climb by 0.01 sd a day; the law stands", weather=(*CALM, Trend(0.01))),
    _turn("inputs-move", "two inputs that count move by 1 sd; the law stands", changes=(_moved(1.0, "x0", "x1"),)),
    _turn("idle-inputs-move", "two inputs that count for nothing move by 1 sd", changes=(_moved(1.0, "x3", "x5"),)),
    _turn(
        "weaker",
        "everything counts for three tenths less from day 50 on",
        world=Lean(to=(0.84, -0.56, 0.42, 0.0, 0.28, 0.0)),
        changes=(_concept(),),
    ),
    _turn(
        "poisoned", "9 of 10 labels of 7 days are told turned round", lies=(Lie(window=TURNS_ON, lasts=7, share=0.9),)
    ),
    _turn(
        "broken-unit",
        "an input comes in another unit for a week",
        faults=(Fault(kind="unit", window=TURNS_ON, columns=("x0",), size=25.0, lasts=7),),
    ),
    _turn(
        "broken-stuck",
        "an input is stuck at one value for a week",
        faults=(Fault(kind="stuck", window=TURNS_ON, columns=("x0",), size=1.0, lasts=7),),
    ),
)
"""Streams on which deciding is tried."""


def turn(name: str) -> TurnScenario:
    """A scenario by its name. KeyError when there is none."""
    return {each.name: each for each in TURNS}[name]
