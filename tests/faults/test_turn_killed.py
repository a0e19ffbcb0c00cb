"""kill -9 anywhere from a trigger to the end of its rollout: firing, training, version, rollout and verdict come out as if nothing had happened."""

import json
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import noria
from noria.domain import events as e
from noria.domain.ids import EventId
from noria.governance.audit import verify
from tests.faults.turn import triggered
from tests.loop.small import BEGIN, World, open_life

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
FIRST = BEGIN + 2
BEFORE = FIRST + 3
"""On this day the processes take over; its morning fires the trigger."""
VERDICT = BEFORE + 4


def strike(home: Path, write: int, *days: float) -> int:
    program = [sys.executable, "-m", "tests.faults.turn", str(home), str(write), *map(str, days)]
    done = subprocess.run(program, cwd=ROOT, check=False, timeout=600, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def live(home: Path, days: range) -> None:
    """Requests and labels of some days, and no stroke of the clock."""
    with open_life(home / ".noria", world=World(turns=24), change=triggered) as life:
        for day in days:
            life.live_without_a_look(day)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first version has answered for three days."""
    home = tmp_path_factory.mktemp("prepared")
    (home / "noria.toml").write_text("project = 'small'\n", encoding="utf-8")
    with open_life(home / ".noria", world=World(turns=24), change=untriggered) as life:
        life.declare().live(range(FIRST, BEFORE))
    return home


def untriggered(recipe: noria.Recipe) -> noria.Recipe:
    return replace(recipe, policy=msgspec.structs.replace(recipe.policy, on=()))


def whole_way(home: Path, *, kill: random.Random | None) -> int:
    """Fire, train and begin the rollout; live on; judge it. Gives how many times a process was killed."""
    killed = 0
    for days, lived in (((BEFORE, BEFORE + 0.5), range(BEFORE, VERDICT)), ((VERDICT + 0.01,), range(0))):
        while kill is not None and strike(home, kill.choice((-1, 1)) * kill.randint(1, 14), *days) != 0:
            killed += 1
        assert strike(home, 0, *days) == 0
        live(home, lived)
    return killed


def story(home: Path) -> dict[str, Any]:
    """What must be the same: events with their causes, generations, versions, aliases, runs, and what the workers are told."""
    with noria.Workspace.open(home) as workspace:
        assert verify(workspace.ledger, project="small").whole
        entries = workspace.ledger.read(limit=10_000)
        assert not [x for x in entries if isinstance(x.event, e.StageFailed)]
        document = json.loads(workspace.blobs.published("serving/returns.json") or b"{}")
        return {
            "events": [(x.id, type(x.event).__name__, x.cause) for x in entries],
            "generations": [
                (d.generation, d.cause, [(v.name, v.number, v.weight) for v in d.variants])
                for d in workspace.deployments.history("returns")
            ],
            "versions": [(v.number, str(v.version), v.bundle) for v in workspace.models.versions("returns")],
            "moves": [(m.number, m.previous) for m in workspace.models.alias_history("returns", "champion")],
            "published": document["generation"],
        }


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(prepared, home)
    whole_way(home, kill=None)
    return story(home)


def test_the_undisturbed_way_is_the_whole_way(undisturbed: dict[str, Any]) -> None:
    kinds = [kind for _, kind, _ in undisturbed["events"]]
    for kind in ("TriggersDeclared", "TriggerFired", "RetrainRequested", "RolloutStarted"):
        assert kind in kinds
    assert kinds[-1] in ("AliasMoved", "RolloutRolledBack", "RetrainSuppressed", "AlertOpened", "TriggerFired"), kinds[
        -5:
    ]
    assert {"RolloutPromoted", "RolloutRolledBack"} & set(kinds[kinds.index("RolloutStarted") :])


@pytest.mark.parametrize("seed", range(2))
def test_a_turn_killed_anywhere_comes_out_as_if_nothing_had_happened(
    prepared: Path, undisturbed: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    home = tmp_path / "home"
    shutil.copytree(prepared, home)

    killed = whole_way(home, kill=random.Random(seed))

    assert killed >= 3
    assert story(home) == undisturbed, f"seed {seed}, killed {killed} times"


def test_two_loops_at_once_write_what_one_writes(prepared: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """Two processes, each striking the same strokes; whoever is first, each thing stands once."""
    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    program = [sys.executable, "-m", "tests.faults.turn", str(home), "0"]
    for days, lived in (((BEFORE, BEFORE + 0.5), range(BEFORE, VERDICT)), ((VERDICT + 0.01,), range(0))):
        both = [subprocess.Popen([*program, *map(str, days)], cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
        for process in both:
            process.wait(
                600
            )  # one may have met a step that the other had just taken over: it goes on at its next stroke
        assert strike(home, 0, *days) == 0
        live(home, lived)

    found = story(home)
    once = [key for key, _, _ in found["events"]]
    assert len(once) == len(set(once))
    assert sorted(x[:2] for x in found["events"]) == sorted(x[:2] for x in undisturbed["events"])
    assert found["generations"] == undisturbed["generations"]
    assert found["versions"] == undisturbed["versions"]
    assert found["moves"] == undisturbed["moves"]


def test_ids_of_what_fired_are_those_that_anybody_can_derive(undisturbed: dict[str, Any]) -> None:
    from noria.loop.firing import TICK
    from noria.loop.reactor import struck

    fired = [key for key, kind, _ in undisturbed["events"] if kind == "TriggerFired"]
    assert EventId(fired[0]) == struck(TICK, "returns/morning/2026-01-26T06:00Z")
