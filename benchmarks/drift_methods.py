"""Ways to decide on drift from window counts, side by side: false alarms and delay over ways in which harmless data move. What ADR 29 rests on.

    python benchmarks/drift_methods.py [--seeds 5] [--windows 200] [--only iid-100,memory]

Fifty features, counted in the bins of a reference; then clean windows; then three features move by 0.25 (and, apart, by 1) standard deviations.
Methods: `noria` is what Noria does; `no-memory` the same without season and memory; `margin` the method of ADR 10 (three wobbles belong to the
margin); `conformal` a conformal martingale on the strangest share of each window. Budget: one false alarm in 2,000 windows. Prints one JSON object.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import erf, log, sqrt
from statistics import NormalDist
from typing import Any, Protocol

import msgspec
import numpy as np

from noria.domain.profile import FeatureBins
from noria.stats.sequential import EFFECTS, LARGEST_BET, log_evidence, margin_of, panel, start, step, wobble_of
from noria.stats.wobble import learn_wobble

FEATURES, BINS, BUDGET, MOVED = 50, 16, 2000.0, 3
GRID = np.linspace(-12, 12, 24_001)
BELOW = np.array([0.5 * (1 + erf(x / sqrt(2))) for x in GRID])
CUTS = np.array([NormalDist().inv_cdf(i / BINS) for i in range(1, BINS)])
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class World:
    """rows: in a window of the reference. windows: of the reference. seconds: of a window. move: (rng, windows) -> shift in sd of each feature."""

    rows: int
    windows: int
    move: Callable[[np.random.Generator, int], Array]
    seconds: int = 86_400
    served: int | None = None


def still(rng: np.random.Generator, n: int) -> Array:
    return np.zeros((n, FEATURES))


def wobble(size: float) -> Callable[[np.random.Generator, int], Array]:
    return lambda rng, n: rng.standard_normal((n, FEATURES)) * size


def heavy(size: float) -> Callable[[np.random.Generator, int], Array]:
    return lambda rng, n: rng.standard_t(3, (n, FEATURES)) * size / sqrt(3)


def memory(size: float, keeps: float) -> Callable[[np.random.Generator, int], Array]:
    def move(rng: np.random.Generator, n: int) -> Array:
        chain = rng.standard_normal((n, FEATURES)) * size
        for i in range(1, n):
            chain[i] = keeps * chain[i - 1] + sqrt(1 - keeps**2) * chain[i]
        return chain

    return move


def batches(size: float, length: int) -> Callable[[np.random.Generator, int], Array]:
    return lambda rng, n: np.repeat(rng.standard_normal((n // length + 1, FEATURES)) * size, length, axis=0)[:n]


def season(size: float, period: int) -> Callable[[np.random.Generator, int], Array]:
    def move(rng: np.random.Generator, n: int) -> Array:
        wave = np.sin(2 * np.pi * np.arange(n)[:, None] / period + rng.uniform(0, 2 * np.pi, FEATURES))
        return size * wave + 0.02 * rng.standard_normal((n, FEATURES))

    return move


def trend(step_sd: float, stops: int) -> Callable[[np.random.Generator, int], Array]:
    return lambda rng, n: np.repeat(np.minimum(np.arange(n), stops)[:, None] * step_sd, FEATURES, axis=1)


WORLDS = {
    "iid-30": World(30, 60, still),
    "iid-100": World(100, 60, still),
    "iid-1000": World(1000, 60, still),
    "iid-1M": World(10**6, 60, still),
    "wobble-100": World(100, 60, wobble(0.03)),
    "wobble-1000": World(1000, 60, wobble(0.03)),
    "wobble-1M": World(10**6, 60, wobble(0.03)),
    "wobble-1M-20-windows": World(10**6, 20, wobble(0.1)),
    "heavy-tailed-1M": World(10**6, 60, heavy(0.05)),
    "memory-1000": World(1000, 60, memory(0.1, 0.8)),
    "memory-1M": World(10**6, 60, memory(0.1, 0.8)),
    "long-memory": World(100_000, 60, memory(0.1, 0.95)),
    "memory-200-windows": World(100_000, 200, memory(0.1, 0.8)),
    "levels-of-10": World(10_000, 60, batches(0.1, 10)),
    "hours-of-a-day": World(1000, 336, season(0.3, 24), seconds=3600),
    "days-of-a-week": World(10_000, 56, season(0.3, 7)),
    "trend-that-ends": World(10_000, 60, trend(0.005, 60)),
    "reference-50": World(10, 5, still, served=1000),
    "reference-500": World(50, 10, still, served=1000),
    "reference-2000": World(200, 10, still, served=1000),
    "reference-5000-served-100k": World(100, 50, still, served=100_000),
}


def draw(rng: np.random.Generator, rows: int, shift: Array) -> Array:
    """Counts of one window, shape (features, bins + 1); none is missing."""
    below = np.interp(CUTS[None, :] - shift[:, None], GRID, BELOW)
    edges = np.concatenate([np.zeros((FEATURES, 1)), below, np.ones((FEATURES, 1))], axis=1)
    share = np.maximum(np.diff(edges, axis=1), 0)
    found = rng.multinomial(rows, share / share.sum(axis=1, keepdims=True))
    return np.concatenate([found, np.zeros((FEATURES, 1), dtype=found.dtype)], axis=1)


class Method(Protocol):
    def forget(self) -> None: ...
    def takes(self, counts: Array, at: float) -> bool: ...


class Noria:
    def __init__(self, reference: Array, starts: Array, seconds: int, *, plain: bool = False) -> None:
        features = []
        for i in range(FEATURES):
            varies = learn_wobble(reference[:, i], text=False, starts=starts, window_seconds=seconds)
            if plain:
                varies = learn_wobble(reference[:, i], text=False)
                varies = msgspec.structs.replace(varies, persistence=1.0)
            counts = tuple(reference[:, i].sum(axis=0).tolist())
            features.append(FeatureBins(name=str(i), kind="number", counts=counts, varies=varies))
        self.bets = panel(features)
        self.forget()

    def forget(self) -> None:
        self.state = start(self.bets)

    def takes(self, counts: Array, at: float) -> bool:
        self.state = step(self.bets, self.state, counts, threshold=BUDGET, at=at)
        return log_evidence(self.bets, self.state) > log(BUDGET)


class Margin:
    """ADR 10: likelihood ratios of binomials against the share on the edge of a margin that holds three wobbles."""

    def __init__(self, reference: Array, starts: Array, seconds: int) -> None:
        counts = reference.sum(axis=0)
        rows = counts.sum(axis=1, keepdims=True)
        share = np.cumsum(counts, axis=1) / rows
        moves = np.stack([wobble_of(reference[:, i]) for i in range(FEATURES)])
        allowed = margin_of(share, rows, moves, windows=len(reference))
        null = np.stack([share + allowed, 1 - share + allowed], axis=2)[..., None]
        bet = null + np.asarray(EFFECTS)
        possible = (np.arange(BINS + 1) < BINS)[None, :, None, None] & (bet < 1 - 1e-6)
        null, bet = np.where(possible, null, 0.5), np.where(possible, bet, 0.5)
        self.hit, self.miss, self.placed = np.log(bet / null), np.log((1 - bet) / (1 - null)), possible
        self.forget()

    def forget(self) -> None:
        self.capital = np.full(self.hit.shape, -np.inf)

    def takes(self, counts: Array, at: float) -> bool:
        left = np.cumsum(counts, axis=1)
        both = np.stack([left, counts.sum(axis=1, keepdims=True) - left], axis=2)[..., None]
        growth = np.minimum(both * self.hit + both[:, :, ::-1] * self.miss, LARGEST_BET)
        self.capital = np.minimum(np.logaddexp(0, self.capital) + growth, log(BUDGET) + log(self.capital.size) + 7)
        held = self.capital[self.placed]
        return bool(np.logaddexp.reduce(held) - log(held.size) > log(BUDGET))


class Conformal:
    """A simple mixture martingale over the conformal p-values of each window's strangest share, in Shiryaev-Roberts form. Vovk et al. 2005."""

    def __init__(self, reference: Array, starts: Array, seconds: int) -> None:
        self.rng = np.random.default_rng(0)
        self.known = np.cumsum(reference, axis=2)[:, :, :-1] / reference.sum(axis=2)[:, :, None]
        self.size, self.mean, self.sd = len(reference), self.known.mean(axis=0), self.known.std(axis=0) + 1e-4
        rest = (self.mean * self.size - self.known) / (self.size - 1)
        self.strange = (np.abs(self.known - rest) / self.sd).max(axis=(1, 2))
        self.forget()

    def forget(self) -> None:
        self.capital = -np.inf

    def takes(self, counts: Array, at: float) -> bool:
        share = np.cumsum(counts, axis=1)[:, :-1] / counts.sum(axis=1)[:, None]
        strange = float((np.abs(share - self.mean) / self.sd).max())
        rank = (self.strange > strange).sum() + self.rng.uniform() * (1 + (self.strange == strange).sum())
        p = min(max(rank / (self.size + 1), 1e-6), 1 - 1e-6)
        bet = (1 - p + p * log(p)) / (p * log(p) ** 2)
        self.capital = float(np.logaddexp(0, self.capital)) + log(max(bet, 1e-9))
        return self.capital > log(BUDGET)


METHODS: dict[str, Callable[[Array, Array, int], Method]] = {
    "noria": Noria,
    "no-memory": lambda reference, starts, seconds: Noria(reference, starts, seconds, plain=True),
    "margin": Margin,
    "conformal": Conformal,
}


def tried(make: Callable[[Array, Array, int], Method], world: World, *, seed: int, clean: int) -> dict[str, Any]:
    """One stream: false alarms (each forgets what led to it), then the delay in windows until a move of 0.25 sd, and of 1 sd, is found."""
    rng = np.random.default_rng(seed)
    after = 60
    moves = world.move(rng, world.windows + clean + after)
    reference = np.stack([draw(rng, world.rows, moves[t]) for t in range(world.windows)])
    method = make(reference, np.arange(world.windows) * float(world.seconds), world.seconds)
    rows, false = world.served or world.rows, 0
    for t in range(world.windows, world.windows + clean):
        if method.takes(draw(rng, rows, moves[t]), t * float(world.seconds)):
            false += 1
            method.forget()
    found: dict[str, Any] = {"false": false}
    for size in (0.25, 1.0):
        method.forget()
        drift = np.where(np.arange(FEATURES) < MOVED, size, 0.0)
        found[str(size)] = None
        for i, t in enumerate(range(world.windows + clean, world.windows + clean + after)):
            if method.takes(draw(rng, rows, moves[t] + drift), t * float(world.seconds)):
                found[str(size)] = i + 1
                break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=5000)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else list(WORLDS)
    results: dict[str, Any] = {}
    for name in chosen:
        for method, make in METHODS.items():
            begun = time.process_time()
            streams = [
                tried(make, WORLDS[name], seed=options.first_seed + i, clean=options.windows)
                for i in range(options.seeds)
            ]
            results.setdefault(name, {})[method] = {
                "false_per_1000": round(1000 * sum(s["false"] for s in streams) / options.seeds / options.windows, 2),
                "streams_with_false": sum(s["false"] > 0 for s in streams),
                "delay_0.25": [s["0.25"] for s in streams],
                "delay_1": [s["1.0"] for s in streams],
                "cpu_s": round(time.process_time() - begun, 1),
            }
            print(name, method, json.dumps(results[name][method]), file=sys.stderr, flush=True)
    machine = {"python": platform.python_version(), "numpy": np.__version__}
    print(json.dumps({"options": vars(options), "machine": machine, "results": results}, indent=1))


if __name__ == "__main__":
    main()
