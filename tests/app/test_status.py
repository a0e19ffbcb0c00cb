"""Status: six stations that say how the loop stands, at each of its turns."""

from dataclasses import replace
from typing import NamedTuple

import msgspec
import pytest

import noria
from noria.app.deliveries import Delivery, DeliveryStory, deliveries, delivery
from noria.app.status import Status, status
from tests.loop.small import BEGIN, DEPLOYMENT, OUT_OF_REACH, Life, World, open_life

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


class Turned(NamedTuple):
    """A loop that trained a second version by hand and promoted it after its canary: as it was told then."""

    during: Status
    after: Status
    deliveries: list[Delivery]
    story: DeliveryStory


@pytest.fixture(scope="module")
def turned() -> Turned:
    by_hand = {"on": (), "recent_days": 6}
    with open_life(
        world=World(turns=24),
        change=lambda recipe: replace(recipe, policy=msgspec.structs.replace(recipe.policy, **by_hand)),
    ) as life:
        life.declare().live(range(BEGIN + 2, 32))
        life.request()
        during = status(life.workspace)
        life.live(range(32, 36))
        told = deliveries(life.workspace, DEPLOYMENT)
        return Turned(during, status(life.workspace), told, delivery(life.workspace, told[0].id))


def test_a_canary_is_shown_with_its_shares_and_a_promotion_closes_the_loop(turned: Turned) -> None:
    assert headlines(turned.during)["deploy"] == "v1 50%, v2 50%"
    assert next(s for s in turned.during.stations if s.name == "deploy").state == "busy"
    assert turned.during.turns == 0
    assert headlines(turned.after)["deploy"] == "v2 100%"
    assert turned.after.turns == 1


def test_a_loop_that_turned_is_told_as_deliveries(turned: Turned) -> None:
    second, first = turned.deliveries

    assert (first.kind, first.headline) == ("first", "version 1 is the first that answers")
    assert (second.outcome, second.trigger, second.approved_by) == ("promoted", "hand", "policy")
    assert second.verdict is not None and second.reason == second.verdict.reason
    assert second.gates is not None
    assert turned.story.curves[0].points[-1].value is not None
    assert "RetrainRequested" in [x.kind for x in turned.story.led]
    assert [x.kind for x in turned.story.followed][-1] == "AliasMoved"


def test_an_open_alert_needs_a_person_until_it_is_over() -> None:
    with open_life(world=World(turns=30)) as life:
        life.declare().live(range(BEGIN + 2, 41))
        now = status(life.workspace)
        life.live(range(41, 47))
        later = status(life.workspace)

    monitor = next(s for s in now.stations if s.name == "monitor")
    assert (monitor.state, monitor.headline) == ("bad", "2 open alerts")
    needs = [n for n in now.needs_you if n.severity == "page"]
    assert {n.summary.partition(":")[0] for n in needs} == {
        "labelled answers mean something else than before",
        "the model has decayed",
    }
    assert all(need.command for need in needs)
    assert [n for n in later.needs_you if n.severity == "page"] == []


def test_a_failed_stage_needs_a_person() -> None:
    with open_life() as life:
        noria.declare(life.workspace, life.recipe)
        noria.Loop(life.workspace, []).turn()
        now = status(life.workspace)

    assert [need.summary for need in now.needs_you] == ["stage 'train' failed: no recipe for deployment 'returns'"]
