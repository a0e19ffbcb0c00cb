"""A control plane without pages: leads when it can, and then fires what is due by a clock that runs fast and jumps. Until it is killed.

`python -m tests.faults.lead STORE NAME LEASE_S SEED BEGAN`. Run by test_leader_killed.
"""

import random
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from noria.adapters.metadata.sqlite import open_store
from noria.adapters.tables.memory import open_store as open_tables
from noria.app.leading import Leadership, strokes
from noria.domain.dataset import Schema
from noria.domain.ids import Digest
from noria.domain.trigger import TriggerRule
from noria.loop.context import Context, Recipe
from noria.loop.reactor import Reactor
from noria.loop.stages.triggers import fire

EPOCH = datetime(2026, 5, 4, 12, tzinfo=UTC)
RULE = TriggerRule(name="often", kind="cron", cron="*/20 * * * *", catch_up="all")
FASTER = 6000
"""Seconds of this clock in one of the machine's."""


@dataclass
class Part:
    """The part of a context that firing uses."""

    ledger: Any
    tables: Any
    clock: Any
    recipes: dict[str, Recipe]


class Wild:
    """A wall clock that runs fast and is set wrong now and then: up to an hour ahead or back."""

    def __init__(self, seed: int, began: float) -> None:
        self._rng, self._began, self._off = random.Random(seed), began, timedelta()

    def now(self) -> datetime:
        if self._rng.random() < 0.1:
            self._off = timedelta(hours=self._rng.uniform(-1, 1))
        return EPOCH + self._off + timedelta(seconds=(time.time() - self._began) * FASTER)


def recipe() -> Recipe:
    return Recipe(
        deployment="churn",
        model="churn",
        base=Digest("blake3:0"),
        schema=Schema(columns=()),
        features=(),
        candidates={},
        gates=(),
        triggers=(RULE,),
    )


def reactor(ledger: Any, clock: Any) -> Reactor:
    part = Part(ledger, open_tables(""), clock, {"churn": recipe()})
    return Reactor(cast(Context, part), stages={}, ticks={"fire": fire})


def main(store: Path, name: str, lease_s: float, seed: int, began: float) -> None:
    metadata, clock = open_store(str(store), project="p"), Wild(seed, began)
    leadership = Leadership(metadata.leases, metadata.ledger, clock=clock, seconds=lease_s, holder=name)
    leadership.start()
    print("looking", flush=True)
    strokes(reactor(metadata.ledger, clock).tick, leadership, every_s=0.05, stop=threading.Event())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
