"""A process that takes one look at a small world and dies by kill -9 as soon as it has seen it. Run by test_alerts_killed: `python look.py HOME DAY`.

`python look.py HOME DAY on` does not die.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import noria
from noria.domain.look import Look
from noria.loop.reactor import Reactor
from noria.loop.wheel import TICKS, WHEEL
from noria.testing.clock import FakeClock
from tests.loop.small import World, a_recipe, moment


def die(_: Look) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with noria.Workspace.open(Path(sys.argv[1]), clock=FakeClock(moment(float(sys.argv[2])))) as workspace:
        loop = noria.Loop(workspace, [a_recipe(workspace, World(turns=24))])
        if sys.argv[3:] == ["on"]:
            loop.tick()
        else:
            Reactor(replace(loop.context, on_look=die), stages=WHEEL, ticks=TICKS).tick()
