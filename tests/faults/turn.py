"""A process that strikes the loop's clock at given days of a small world, and dies by kill -9 at a write of its stores that is counted out for it.

`python -m tests.faults.turn HOME WRITE DAY...`: dies at the WRITEth write, before it if WRITE is negative, after it otherwise; 0: lives.
Run by test_turn_killed.
"""

import os
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

import noria
from noria.domain.trigger import TriggerRule
from noria.loop.reactor import Reactor
from noria.loop.wheel import TICKS, WHEEL
from noria.testing.clock import FakeClock
from tests.loop.small import World, a_recipe, moment

WRITES = {
    "ledger": {"append"},
    "deployments": {"put"},
    "blobs": {"put", "put_file", "publish"},
    "runs": {"create", "log_params", "log_metrics", "set_tags", "add_artifacts", "finish"},
    "models": {"register", "move_alias"},
    "journal": {"lease", "commit"},
    "tables": {"write"},
    "counts": {"put", "mark_counted"},
}
MORNING = TriggerRule(name="morning", kind="cron", cron="0 6 * * *")


class Counted:
    """A store whose writes are counted, together with those of the others; each call reaches the real one."""

    def __init__(self, inner: Any, writes: set[str], left: list[int], *, before: bool) -> None:
        self._inner, self._writes, self._left, self._before = inner, writes, left, before

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._writes:
            return method

        def counted(*given: Any, **named: Any) -> Any:
            self._left[0] -= 1
            if self._left[0] == 0 and self._before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(*given, **named)
            if self._left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted


def triggered(recipe: noria.Recipe) -> noria.Recipe:
    """Trained when the trigger fires, once besides the first training, and for no other reason."""
    policy = msgspec.structs.replace(
        recipe.policy, on=("schedule",), minimum_labels=1, cooldown_days=1, budget_per_year=2
    )
    return replace(recipe, policy=policy, triggers=(MORNING,))


def strike(home: Path, write: int, days: list[float]) -> None:
    clock = FakeClock(moment(days[0]))
    with noria.Workspace.open(home, clock=clock) as workspace:
        loop = noria.Loop(workspace, [triggered(a_recipe(workspace, World(turns=24)))])
        left = [abs(write)]
        stores = {
            name: Counted(getattr(loop.context, name), writes, left, before=write < 0)
            for name, writes in WRITES.items()
        }
        context = replace(loop.context, **stores) if write else loop.context  # type: ignore[arg-type]
        for day in days:
            clock.advance(max(moment(day) - clock.now(), timedelta()))
            Reactor(context, stages=WHEEL, ticks=TICKS).tick()


if __name__ == "__main__":
    strike(Path(sys.argv[1]), int(sys.argv[2]), [float(day) for day in sys.argv[3:]])
