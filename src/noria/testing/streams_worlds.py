"""What rows are made of, for streams whose truth is known: a wide table, SEA, LED, STAGGER, a hyperplane, each with an old and a new concept.

Agrawal's is streams_agrawal. Time, weather and changes are laid over them by streams; what breaks is streams_faults. Called by streams.

Sources: Street and Kim 2001 (SEA); Breiman et al. 1984 (LED); Schlimmer and Granger 1986 (STAGGER); Hulten, Spencer, Domingos 2001.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Push:
    """What moves the inputs of n rows, before labels are made of them.

    shift: shape (n, numbers), in standard deviations. scale: shape (n, numbers), factor of the distance from the mean. mix: shape (n, texts),
    probability that the value comes from the popularity turned upside down. joint: shape (n,), correlation forced between neighbouring numbers;
    every number keeps its own distribution.
    """

    shift: Floats
    scale: Floats
    mix: Floats
    joint: Floats

    @property
    def rows(self) -> int:
        """How many rows to draw."""
        return int(self.joint.size)


def no_push(rows: int, world: "World") -> Push:
    """Nothing moved."""
    numbers, texts = len(world.numbers), len(world.texts)
    return Push(
        shift=np.zeros((rows, numbers)),
        scale=np.ones((rows, numbers)),
        mix=np.zeros((rows, texts)),
        joint=np.zeros(rows),
    )


class World(Protocol):
    """A law of rows. numbers: columns that weather can move; texts: columns whose mix can change. classes: 2, more, or 0 for a number as label."""

    @property
    def numbers(self) -> tuple[str, ...]: ...

    @property
    def texts(self) -> tuple[str, ...]: ...

    @property
    def classes(self) -> int: ...

    def draw(self, rng: np.random.Generator, push: Push, after: Bools) -> tuple[Columns, Floats]:
        """Inputs and labels of push.rows rows; where `after` is true the label follows the new concept."""
        ...

    def believes(self, columns: Columns) -> Floats:
        """What a perfect model of the old concept answers: P(y = 1), shape (n,), or P of each class, shape (n, classes), or the mean."""
        ...


def _labels(rng: np.random.Generator, chance: Floats) -> Floats:
    return (rng.uniform(size=chance.size) < chance).astype(np.float64)


@dataclass(frozen=True)
class Table:
    """A wide table: numbers of four shapes, texts as popular as words are (Zipf), and a yes/no label that leans on the first `used` numbers.

    levels: distinct values of each text. turn: what the new concept multiplies the weights with (1: none; -1: turned round). base: log-odds of a
    mean row. heavy: every fourth number has tails far heavier than the normal's.
    """

    width: int = 40
    levels: tuple[int, ...] = (2, 3, 5, 10, 20, 30, 50, 100, 150, 200)
    used: int = 8
    turn: float = 0.0
    base: float = -1.0
    heavy: bool = False

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(f"x{i}" for i in range(self.width))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(f"t{i}" for i in range(len(self.levels)))

    @property
    def classes(self) -> int:
        return 2

    def draw(self, rng: np.random.Generator, push: Push, after: Bools) -> tuple[Columns, Floats]:
        n = push.rows
        plain = rng.standard_normal((n, self.width))
        if push.joint.any():
            tie = push.joint[:, None]
            left = plain[:, :-1:2]
            plain[:, 1::2] = tie * left[:, : plain[:, 1::2].shape[1]] + np.sqrt(1 - tie**2) * plain[:, 1::2]
        columns: Columns = {
            name: _shape(i, plain[:, i] * push.scale[:, i] + push.shift[:, i], heavy=self.heavy)
            for i, name in enumerate(self.numbers)
        }
        for i, (name, levels) in enumerate(zip(self.texts, self.levels, strict=True)):
            columns[name] = _words(rng, levels, push.mix[:, i])
        odds = self._odds(columns)
        odds = np.where(after, self.base + (odds - self.base) * self.turn, odds)
        return columns, _labels(rng, 1 / (1 + np.exp(-odds)))

    def _odds(self, columns: Columns) -> Floats:
        odds = np.full(len(columns["x0"]), self.base)
        for i in range(min(self.used, self.width)):
            typical = _TYPICAL[0] if self.heavy and i % 4 == 0 else _TYPICAL[i % 4]
            value = np.asarray(columns[f"x{i}"], dtype=np.float64)
            odds += (0.8, -0.6, 0.4, -0.3)[i % 4] * np.clip((value - typical[0]) / typical[1], -3, 3)
        return odds

    def believes(self, columns: Columns) -> Floats:
        return np.asarray(1 / (1 + np.exp(-self._odds(columns))))


_TYPICAL = ((0.0, 1.0), (0.0, 1.0), (1.65, 2.16), (3.0, 1.8))
"""Mean and standard deviation of the four shapes of a number."""


def _shape(place: int, plain: Floats, *, heavy: bool) -> Floats:
    """A standard normal as one of four shapes, so that a push of one standard deviation means the same for all of them."""
    if place % 4 == 0:
        return np.asarray(np.sinh(2.5 * plain)) if heavy else plain
    if place % 4 == 1:
        return np.asarray(np.clip(plain, -2.5, 2.5))  # a range with a heap at either end
    if place % 4 == 2:
        return np.asarray(np.exp(plain))
    return np.asarray(np.floor(np.exp(0.5 * plain) * 3))  # small counts: many equal values


@lru_cache(maxsize=32)
def _vocabulary(levels: int) -> tuple[NDArray[Any], Floats]:
    """The words of a text, and up to which share of rows each reaches: popularity is 1/rank."""
    share = 1 / np.arange(1, levels + 1)
    return np.array([f"w{rank}" for rank in range(levels)], dtype=object), np.cumsum(share / share.sum())


def _words(rng: np.random.Generator, levels: int, mix: Floats) -> NDArray[Any]:
    """Texts by popularity 1/rank, or 1/(rank from the end) with probability `mix`."""
    words, reach = _vocabulary(levels)
    rank = np.searchsorted(reach, rng.uniform(size=mix.size)).clip(0, levels - 1)
    if mix.any():
        rank = np.where(rng.uniform(size=mix.size) < mix, levels - 1 - rank, rank)
    return np.asarray(words[rank])


@dataclass(frozen=True)
class Sea:
    """SEA: three numbers in 0..10, the label is x0 + x1 <= a limit, a share `noise` of labels turned. Concepts 0..3: limits 8, 9, 7, 9.5."""

    before: int = 0
    to: int = 3
    noise: float = 0.1

    LIMITS = (8.0, 9.0, 7.0, 9.5)

    @property
    def numbers(self) -> tuple[str, ...]:
        return ("x0", "x1", "x2")

    @property
    def texts(self) -> tuple[str, ...]:
        return ()

    @property
    def classes(self) -> int:
        return 2

    def draw(self, rng: np.random.Generator, push: Push, after: Bools) -> tuple[Columns, Floats]:
        x = (rng.uniform(0, 10, (push.rows, 3)) - 5) * push.scale + 5 + push.shift * (10 / np.sqrt(12))
        limit = np.where(after, self.LIMITS[self.to], self.LIMITS[self.before])
        clean = x[:, 0] + x[:, 1] <= limit
        turned = rng.uniform(size=push.rows) < self.noise
        return {f"x{i}": x[:, i] for i in range(3)}, (clean ^ turned).astype(np.float64)

    def believes(self, columns: Columns) -> Floats:
        yes = columns["x0"] + columns["x1"] <= self.LIMITS[self.before]
        return np.where(yes, 1 - self.noise, self.noise)


@dataclass(frozen=True)
class Stagger:
    """STAGGER: size, colour and shape with three values each; concepts: 0 small and red, 1 green or circle, 2 medium or large."""

    before: int = 0
    to: int = 1
    noise: float = 0.05

    VALUES = (("small", "medium", "large"), ("red", "green", "blue"), ("circle", "square", "triangle"))
    SHARES = (0.5, 0.3, 0.2)

    @property
    def numbers(self) -> tuple[str, ...]:
        return ()

    @property
    def texts(self) -> tuple[str, ...]:
        return ("size", "colour", "shape")

    @property
    def classes(self) -> int:
        return 2

    def draw(self, rng: np.random.Generator, push: Push, after: Bools) -> tuple[Columns, Floats]:
        columns: Columns = {}
        for i, (name, values) in enumerate(zip(self.texts, self.VALUES, strict=True)):
            at = np.searchsorted(np.cumsum(self.SHARES), rng.uniform(size=push.rows)).clip(0, 2)
            at = np.where(rng.uniform(size=push.rows) < push.mix[:, i], 2 - at, at)
            columns[name] = np.array(values, dtype=object)[at]
        clean = np.where(after, self._concept(columns, self.to), self._concept(columns, self.before))
        return columns, (clean ^ (rng.uniform(size=push.rows) < self.noise)).astype(np.float64)

    @staticmethod
    def _concept(columns: Columns, which: int) -> Bools:
        size, colour, shape = columns["size"], columns["colour"], columns["shape"]
        if which == 0:
            return np.asarray((size == "small") & (colour == "red"))
        if which == 1:
            return np.asarray((colour == "green") | (shape == "circle"))
        return np.asarray((size == "medium") | (size == "large"))

    def believes(self, columns: Columns) -> Floats:
        return np.where(self._concept(columns, self.before), 1 - self.noise, self.noise)


@dataclass(frozen=True)
class Hyperplane:
    """A plane through the unit cube: the label says on which side a row lies. The new concept turns the signs of `turned` of the weights."""

    width: int = 10
    turned: int = 4
    noise: float = 0.05

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(f"x{i}" for i in range(self.width))

    @property
    def texts(self) -> tuple[str, ...]:
        return ()

    @property
    def classes(self) -> int:
        return 2

    @property
    def _weights(self) -> Floats:
        return np.linspace(1.0, 0.3, self.width)

    def draw(self, rng: np.random.Generator, push: Push, after: Bools) -> tuple[Columns, Floats]:
        x = (rng.uniform(size=(push.rows, self.width)) - 0.5) * push.scale + 0.5 + push.shift / np.sqrt(12)
        signs = np.where(np.arange(self.width) < self.turned, -1.0, 1.0)
        side = np.where(after, (x - 0.5) @ (self._weights * signs), (x - 0.5) @ self._weights)
        turned = rng.uniform(size=push.rows) < self.noise
        return {f"x{i}": x[:, i] for i in range(self.width)}, ((side > 0) ^ turned).astype(np.float64)

    def believes(self, columns: Columns) -> Floats:
        x = np.stack([columns[name] for name in self.numbers], axis=1)
        return np.where((x - 0.5) @ self._weights > 0, 1 - self.noise, self.noise)


@dataclass(frozen=True)
class Led:
    """A seven-segment digit of which each segment is wrong with probability `noise`, beside 17 lamps that mean nothing. The label is the digit.

    In the new concept the first `moved` segments have changed places with lamps that meant nothing.
    """

    noise: float = 0.1
    moved: int = 4

    SEGMENTS = (
        0b1110111,
        0b0010010,
        0b1011101,
        0b1011011,
        0b0111010,
        0b1101011,
        0b1101111,
        0b1010010,
        0b1111111,
        0b1111011,
    )

    @property
    def numbers(self) -> tuple[str, ...]:
        return ()

    @property
    def texts(self) -> tuple[str, ...]:
        return ()

    @property
    def classes(self) -> int:
        return 10

    @property
    def _lit(self) -> Floats:
        return np.array([[segments >> (6 - i) & 1 for i in range(7)] for segments in self.SEGMENTS], dtype=np.float64)

    def draw(self, rng: np.random.Generator, push: Push, after: Bools) -> tuple[Columns, Floats]:
        digit = rng.integers(0, 10, push.rows)
        lit = self._lit[digit].astype(bool) ^ (rng.uniform(size=(push.rows, 7)) < self.noise)
        lamps = np.concatenate([lit, rng.uniform(size=(push.rows, 17)) < 0.5], axis=1)
        places = np.arange(24)
        places[: self.moved], places[7 : 7 + self.moved] = np.arange(7, 7 + self.moved), np.arange(self.moved)
        seen = np.where(after[:, None], lamps[:, places], lamps)
        return {f"a{i}": seen[:, i].astype(np.float64) for i in range(24)}, digit.astype(np.float64)

    def believes(self, columns: Columns) -> Floats:
        lamps = np.stack([columns[f"a{i}"] for i in range(7)], axis=1)
        right = (lamps[:, None, :] == self._lit[None, :, :]).sum(axis=2)
        odds = ((1 - self.noise) / self.noise) ** right
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
