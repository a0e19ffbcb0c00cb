"""Status: six stations that say how the loop stands, at each of its turns."""

from dataclasses import replace

import msgspec

import noria
from noria.app.status import Status, status
from tests.loop.small import BEGIN, OUT_OF_REACH, Life, World, open_life

NAMES = ["data", "train", "gate", "deploy", "monitor", "retrain"]


def states(life: Life) -> dict[str, str]:
    return {station.name: station.state for station in status(life.workspace).stations}


def headlines(now: Status) -> dict[str, str]:
    return {station.name: station.headline for station in now.stations}


def test_an_empty_project_says_so_and_what_to_do() -> None:
    with noria.Workspace.ephemeral("empty") as workspace:
        now = status(workspace)

    assert [station.name for station in now.stations] == NAMES
    assert {station.state for station in now.stations} == {"empty"}
    assert all(station.command.startswith("noria ") for station in now.stations)
    assert (now.turns, now.what_changed, now.needs_you) == (0, (), ())


def test_after_the_first_version_everything_but_monitoring_stands() -> None:
    with open_life() as life:
        life.declare()
        now = status(life.workspace)

    assert {s.name: s.state for s in now.stations} == dict.fromkeys(NAMES, "ok") | {"monitor": "empty"}
    assert headlines(now)["data"] == f"{BEGIN * life.world.orders_a_day:,} rows"
    assert headlines(now)["gate"] == "1/1 passed"
    assert headlines(now)["deploy"] == "v1 100%"
    assert now.turns == 0
    assert now.what_changed[0].kind == "AliasMoved"
    assert [change.seq for change in now.what_changed] == list(range(12, 0, -1))


def test_a_refused_first_version_is_a_warning_with_its_gate() -> None:
    with open_life(change=lambda recipe: replace(recipe, gates=(OUT_OF_REACH,))) as life:
        life.declare()
        gate = next(s for s in status(life.workspace).stations if s.name == "gate")

    assert (gate.state, gate.headline, gate.detail) == ("warn", "0/1 passed", "challenger refused: out of reach")


def test_a_canary_is_shown_with_its_shares_and_a_promotion_closes_the_loop() -> None:
    by_hand = {"on": (), "recent_days": 6}
    with open_life(
        world=World(turns=24),
        change=lambda recipe: replace(recipe, policy=msgspec.structs.replace(recipe.policy, **by_hand)),
    ) as life:
        life.declare().live(range(BEGIN + 2, 32))
        life.request()
        during = status(life.workspace)
        life.live(range(32, 36))
        after = status(life.workspace)

    assert headlines(during)["deploy"] == "v1 50%, v2 50%"
    assert next(s for s in during.stations if s.name == "deploy").state == "busy"
    assert during.turns == 0
    assert headlines(after)["deploy"] == "v2 100%"
    assert after.turns == 1


def test_an_open_alert_needs_a_person_until_it_is_over() -> None:
    with open_life(world=World(turns=30)) as life:
        life.declare().live(range(BEGIN + 2, 41))
        now = status(life.workspace)
        life.live(range(41, 47))
        later = status(life.workspace)

    monitor = next(s for s in now.stations if s.name == "monitor")
    assert (monitor.state, monitor.headline) == ("bad", "1 open alert")
    (need,) = [n for n in now.needs_you if n.severity == "page"]
    assert need.summary.startswith("the model has decayed")
    assert need.command
    assert [n for n in later.needs_you if n.severity == "page"] == []


def test_a_failed_stage_needs_a_person() -> None:
    with open_life() as life:
        noria.declare(life.workspace, life.recipe)
        noria.Loop(life.workspace, []).turn()
        now = status(life.workspace)

    assert [need.summary for need in now.needs_you] == ["stage 'train' failed: no recipe for deployment 'returns'"]
