"""A small world, and a recipe that a loop can turn in seconds: orders that come back or not, by price and shop. Called by the tests of loop and app.

What a day brings depends on the seed and the day alone, so two lives in the same world are the same life.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import noria
from noria.app.settings import Settings
from noria.data.snapshot import snapshot
from noria.domain import events as e
from noria.testing.clock import FakeClock

START = datetime(2026, 1, 1, tzinfo=UTC)
SHOPS = ("north", "south", "web")
DEPLOYMENT = "returns"
BEGIN = 20
"""The day on which the loop begins; the days before it are the history."""

SCHEMA = noria.Schema(
    columns=(
        noria.Column(name="at", dtype="datetime"),
        noria.Column(name="known_at", dtype="datetime"),
        noria.Column(name="label", dtype="float64"),
        noria.Column(name="shop", dtype="string"),
        noria.Column(name="price", dtype="float32", minimum=0),
    ),
    time_column="at",
)
GOOD_ENOUGH = noria.Gate(name="good enough", kind="absolute", metric="auc", limit=0.55, better="higher")
OUT_OF_REACH = noria.Gate(name="out of reach", kind="absolute", metric="auc", limit=0.999, better="higher")
POLICY = noria.Policy(
    candidates=("plain",),
    windows=("all", "recent"),
    recent_days=10,
    backtest_days=4,
    cooldown_days=5,
    minimum_labels=200,
    growth=0,
)


def moment(day: float) -> datetime:
    """The beginning of a day of this world."""
    return START + timedelta(days=day)


@dataclass(frozen=True)
class World:
    """Orders of any day. turns: from this day on, cheap orders come back instead of dear ones; until it turns back."""

    orders_a_day: int = 120
    turns: int = 10_000
    turns_back: int = 10_000
    delay: timedelta = timedelta(days=1)
    seed: int = 11

    def orders(self, day: int) -> pl.DataFrame:
        """One day, with the labels that only the future knows."""
        rng = np.random.default_rng([self.seed, day])
        n = self.orders_a_day
        price = rng.gamma(2.0, 30.0, n).astype(np.float32)
        shop = rng.choice(SHOPS, n)
        pull = np.log(price / 60) * (-1.0 if self.turns <= day < self.turns_back else 1.0) + 0.5 * (shop == "web")
        at = [moment(day) + i * timedelta(days=1) / n for i in range(n)]
        return pl.DataFrame(
            {
                "at": at,
                "known_at": [t + self.delay for t in at],
                "label": (rng.random(n) < 1 / (1 + np.exp(-2.5 * pull))).astype(float),
                "shop": shop,
                "price": price,
            }
        )


def make(params: Mapping[str, object], seed: int) -> Pipeline:
    """An honest learner."""
    columns = ColumnTransformer(
        [("text", OneHotEncoder(handle_unknown="ignore"), ["shop"]), ("numbers", StandardScaler(), ["price"])]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression(C=params["C"], random_state=seed))])


class Broken(RuntimeError):
    """What a project's own code raises."""


def make_broken(params: Mapping[str, object], seed: int) -> Pipeline:
    """A learner that cannot even be built."""
    raise Broken(f"no licence for seed {seed}")


PLAIN = noria.Candidate(name="plain", params={"C": 1.0}, make=make, fit_weights="model__sample_weight")
BROKEN = noria.Candidate(name="plain", params={"C": 1.0}, make=make_broken)


def a_recipe(workspace: noria.Workspace, world: World, **changes: Any) -> noria.Recipe:
    """The recipe over the history of this world, with what the test changes."""
    history = pl.concat([world.orders(day) for day in range(BEGIN)])
    base = snapshot(workspace.tables, "shop-orders", history, schema=SCHEMA, at=workspace.clock.now())
    recipe = noria.Recipe(
        deployment=DEPLOYMENT,
        model=DEPLOYMENT,
        base=base.digest,
        schema=SCHEMA,
        features=("shop", "price"),
        candidates={"plain": PLAIN},
        gates=(GOOD_ENOUGH,),
        policy=POLICY,
        canary=noria.CanaryPlan(weight=0.5, minimum_labels=60, maximum_days=3, paired=True),
    )
    return replace(recipe, **changes)


@dataclass
class Life:
    """A workspace whose loop turns, and the world around it."""

    workspace: noria.Workspace
    world: World
    clock: FakeClock
    recipe: noria.Recipe
    loop: noria.Loop

    def again(self, recipe: noria.Recipe) -> "Life":
        """The same workspace under another recipe: as after a new start of the loop with edited code."""
        return Life(self.workspace, self.world, self.clock, recipe, noria.Loop(self.workspace, [recipe]))

    def declare(self) -> "Life":
        """Declare, and let the wheel turn."""
        noria.declare(self.workspace, self.recipe)
        self.loop.turn()
        return self

    def ask(self, day: int) -> list[str]:
        """Ask for every order of a day in requests of ten; gives the ids."""
        endpoint = noria.Endpoint(self.workspace, self.recipe.deployment)
        ids: list[str] = []
        for number, part in enumerate(self.world.orders(day).iter_slices(10)):
            self.clock.advance(max(part["at"][0] - self.clock.now(), timedelta()))
            answer = endpoint.predict(part.select("shop", "price").to_dict(as_series=False), key=f"{day}-{number}")
            ids.extend(answer.ids)
        endpoint.close()
        return ids

    def live(self, days: range, *, label: Callable[[datetime, float], float] = lambda _, value: value) -> "Life":
        """Ask for the orders of each day, hand in the labels known at its end, strike the clock. label: what is told of (known_at, value)."""
        for day in days:
            self.live_without_a_look(day, label=label)
            self.loop.tick()
        return self

    def live_without_a_look(
        self, day: int, *, label: Callable[[datetime, float], float] = lambda _, value: value
    ) -> None:
        """A day as in `live`, up to the stroke of the clock at its end."""
        ids = self.ask(day)
        self._waiting = [*getattr(self, "_waiting", []), *self._labels(day, ids, label)]
        self.clock.advance(max(moment(day + 1) - self.clock.now(), timedelta()))
        now = self.clock.now()
        self.workspace.predictions.add_labels(self.recipe.deployment, [x for x in self._waiting if x.at <= now])
        self._waiting = [x for x in self._waiting if x.at > now]

    def _labels(
        self, day: int, ids: Sequence[str], label: Callable[[datetime, float], float]
    ) -> list[noria.GroundTruth]:
        rows = self.world.orders(day).select("known_at", "label").iter_rows()
        return [
            noria.GroundTruth(prediction_id=i, value=label(known_at, value), at=known_at)  # type: ignore[arg-type]
            for i, (known_at, value) in zip(ids, rows, strict=True)
        ]

    def kinds(self, *, after: int = 0) -> list[str]:
        """Kinds of the events, in order."""
        return [type(entry.event).__name__ for entry in self.workspace.ledger.read(after=after, limit=100_000)]

    def all(self, kind: type) -> list[Any]:
        """The events of one kind, in order."""
        return [x.event for x in self.workspace.ledger.read(limit=100_000) if isinstance(x.event, kind)]

    def request(self, *, number: int = 1) -> None:
        """A retraining asked for by hand, as an event of the ledger like any other."""
        from noria.domain.ids import EventId
        from noria.domain.ledger import Draft

        now = self.clock.now()
        event = e.RetrainRequested(
            deployment=self.recipe.deployment, model=self.recipe.model, reason="by hand", trigger="hand", data_until=now
        )
        self.workspace.ledger.append([Draft(id=EventId(f"hand-{number}"), at=now, actor="test", event=event)])
        self.loop.turn()


def open_life(
    home: Path | None = None,
    *,
    world: World | None = None,
    change: Callable[[noria.Recipe], noria.Recipe] = lambda recipe: recipe,
) -> "Lived":
    """A life in memory, or in the embedded stores of a folder."""
    return Lived(home, world or World(), change)


class Lived(AbstractContextManager[Life]):
    """Opens and closes the workspace of a life."""

    def __init__(self, home: Path | None, world: World, change: Callable[[noria.Recipe], noria.Recipe]) -> None:
        clock = FakeClock(moment(BEGIN + 2))
        self._workspace = (
            noria.Workspace.ephemeral("small", clock=clock)
            if home is None
            else noria.Workspace(Settings(project="small"), home, clock=clock)
        )
        recipe = change(a_recipe(self._workspace, world))
        self._life = Life(self._workspace, world, clock, recipe, noria.Loop(self._workspace, [recipe]))

    def __enter__(self) -> Life:
        return self._life

    def __exit__(self, *_: object) -> None:
        self._workspace.close()
