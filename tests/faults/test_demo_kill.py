"""The demo under kill -9: whatever it was doing, started again it ends with the same result, the same events and each prediction once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from noria.app.settings import Settings
from noria.app.workspace import Workspace
from noria.demo.prepare import BEGIN, END
from noria.demo.project import DEPLOYMENT
from noria.governance.audit import verify

# One worker of xdist for all: they share the undisturbed run.
pytestmark = [pytest.mark.faults, pytest.mark.demo, pytest.mark.timeout(900), pytest.mark.xdist_group("demo_kill")]

DAYS = 4
PARTS = {"1 ·": "prepare", "2 ·": "first_version", "3 ·": "replay", "4 ·": "arms"}
UNLIKE = ("timings", "peak_memory_mb")
"""What no two runs share."""


@dataclass
class Told:
    """What a finished demo left: its result, and what stands in its stores."""

    result: dict[str, Any]
    timings: dict[str, float]
    events: list[tuple[str, object, object]]
    predictions: pl.DataFrame
    aside: int
    whole: bool


def start(home: Path) -> "subprocess.Popen[bytes]":
    """The demo in a process group of its own, so that it can be killed with its worker."""
    home.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "NORIA_HOME": str(home), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    environment.pop("NORIA_PROJECT", None)
    command = [sys.executable, "-m", "noria.cli.main", "demo", "--exit", "--json", "--days", str(DAYS)]
    with (home.parent / "out").open("wb") as out, (home.parent / "err").open("wb") as err:
        return subprocess.Popen(
            command, cwd=home.parent, stdout=out, stderr=err, env=environment, start_new_session=True
        )


def said(home: Path) -> str:
    return (home.parent / "err").read_text(encoding="utf-8", errors="replace")


def kill_after(running: "subprocess.Popen[bytes]", home: Path, part: str, delay: float) -> bool:
    """Kill the whole group `delay` seconds into a part; whether it was still running."""
    while part not in said(home):
        if running.poll() is not None:
            assert running.returncode == 0, said(home)[-2000:]
            return False
        time.sleep(0.02)
    end = time.monotonic() + delay
    while time.monotonic() < end and running.poll() is None:
        time.sleep(0.01)
    alive = running.poll() is None
    if alive:
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return alive


def finish(home: Path) -> Told:
    """Run to the end, and read what is there."""
    running = start(home)
    assert running.wait() == 0, said(home)[-3000:]
    result = json.loads((home.parent / "out").read_text(encoding="utf-8"))
    with Workspace(Settings(), home) as workspace:
        entries = workspace.ledger.read(limit=100_000)
        served = pl.DataFrame(workspace.predictions.joined(DEPLOYMENT, known_by=END))
        return Told(
            result={name: value for name, value in result.items() if name not in UNLIKE},
            timings=result["timings"],
            events=[(type(x.event).__name__, x.id, x.at) for x in entries],
            predictions=served.drop("latency_us"),
            aside=len(workspace.predictions.labels_aside(DEPLOYMENT)),
            whole=verify(workspace.ledger, project=workspace.project).whole,
        )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return finish(tmp_path_factory.mktemp("undisturbed") / "home")


def killed(folder: Path, undisturbed: Told, parts: list[str], *, seed: int) -> tuple[Told, int]:
    """A demo that is killed at a random moment of each of these parts, then finished; and how often it was really killed."""
    rng, home, kills = random.Random(seed), folder / "home", 0
    for part in parts:
        delay = rng.random() * max(1.0, undisturbed.timings[PARTS[part]])
        kills += kill_after(start(home), home, part, delay)
    return finish(home), kills


def assert_same(after: Told, undisturbed: Told) -> None:
    assert after.result == undisturbed.result
    assert after.events == undisturbed.events
    assert len({event for _, event, _ in after.events}) == len(after.events)
    assert (
        after.predictions["prediction_id"].n_unique() == after.predictions.height == undisturbed.result["predictions"]
    )
    assert after.predictions.equals(undisturbed.predictions, null_equal=True)
    assert after.predictions["label"].is_not_null().sum() > 0
    assert after.aside == 0
    assert after.whole


def test_the_demo_that_nobody_disturbs_asks_each_flight_once(undisturbed: Told) -> None:
    asked = undisturbed.predictions

    assert asked.height == undisturbed.result["predictions"] > 3000
    assert asked["prediction_id"].n_unique() == asked.height
    assert asked["at"].is_between(BEGIN, END).all()
    assert undisturbed.whole
    assert undisturbed.aside == 0
    assert Counter(kind for kind, _, _ in undisturbed.events)["RolloutPromoted"] == 1


@pytest.mark.slow
def test_a_demo_that_is_killed_while_it_replays_ends_the_same(tmp_path: Path, undisturbed: Told) -> None:
    kills, delay = False, undisturbed.timings["replay"] / 2
    while not kills:  # a machine that has become faster meanwhile may be done by then: sooner, in a new home
        home, delay = tmp_path / f"{delay}" / "home", delay / 2
        kills = kill_after(start(home), home, "3 ·", delay)

    assert_same(finish(home), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_demo_that_is_killed_again_and_again_ends_the_same(tmp_path: Path, undisturbed: Told, seed: int) -> None:
    after, kills = killed(tmp_path, undisturbed, ["1 ·", "2 ·", "2 ·", "3 ·", "3 ·", "3 ·"], seed=seed)

    assert kills >= 4
    assert_same(after, undisturbed)
