"""One turn of the wheel, and what may become of a challenger: with real stores, real models and a clock that tests move."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

import noria
from noria.domain import events as e
from noria.domain.ids import EventId
from noria.domain.ledger import Draft
from noria.domain.pipeline import StepResult
from noria.domain.run import Run
from noria.governance.audit import verify
from noria.loop.reactor import Reactor
from noria.loop.wheel import TICKS, WHEEL
from noria.ports.runs import RunStore
from tests.loop.small import (
    BEGIN,
    BROKEN,
    OUT_OF_REACH,
    PLAIN,
    Broken,
    Life,
    World,
    open_life,
)

NOW = BEGIN + 2
FIRST_VERSION = [
    "ProjectCreated",
    "DatasetVersionCreated",
    "DeploymentDeclared",
    "RetrainRequested",
    "DatasetVersionCreated",
    "RunFinished",
    "BundleBuilt",
    "GatesPassed",
    "ModelVersionRegistered",
    "ModelVersionApproved",
    "RolloutPromoted",
    "AliasMoved",
]
CHALLENGER = [
    "RetrainRequested",
    "DatasetVersionCreated",
    "RunFinished",
    "BundleBuilt",
    "GatesPassed",
    "ModelVersionRegistered",
    "ModelVersionApproved",
    "RolloutStarted",
]
BY_HAND_ONLY = {"on": ()}
TURNED = World(turns=24)


def with_policy(**changes: object) -> Callable[[noria.Recipe], noria.Recipe]:
    return lambda recipe: replace(recipe, policy=msgspec.structs.replace(recipe.policy, **changes))


def whole(life: Life) -> bool:
    return verify(life.workspace.ledger, project="small").whole


@pytest.mark.parametrize("kept", ["memory", "files"])
def test_a_declaration_turns_the_whole_wheel(tmp_path: Path, kept: str) -> None:
    with open_life(tmp_path / "home" if kept == "files" else None) as life:
        life.declare()

        entries = life.workspace.ledger.read()
        assert life.kinds() == FIRST_VERSION
        by_id = {entry.id: entry for entry in entries}
        for entry in entries[1:]:
            assert entry.cause is not None
            assert by_id[entry.cause].seq < entry.seq
        deployment = life.workspace.deployments.get("returns")
        assert [(v.name, v.number, v.weight) for v in deployment.variants] == [("champion", 1, 1.0)]
        assert [move.number for move in life.workspace.models.alias_history("returns", "champion")] == [1]
        assert whole(life)


def test_the_same_life_leaves_the_same_events_in_memory_and_in_files(tmp_path: Path) -> None:
    told = []
    for home in (None, tmp_path / "home"):
        with open_life(home, world=TURNED) as life:
            life.declare().live(range(NOW, NOW + 4))
            told.append([(x.id, x.at, x.event, x.cause) for x in life.workspace.ledger.read()])

    assert told[0] == told[1]


def test_turning_and_declaring_again_changes_nothing() -> None:
    """Also not when the same rows stand under a second name by now, that of the training set."""
    with open_life() as life:
        before = life.declare().kinds()

        life.declare()
        life.loop.tick()
        life.again(life.recipe).loop.tick()

        assert life.kinds() == before


class Quicker:
    """The runs' store, with a loop on another clock beside this one, which begins each run a moment before."""

    def __init__(self, runs: RunStore, *, earlier: timedelta) -> None:
        self._runs, self._earlier = runs, earlier

    def create(self, run: Run) -> Run:
        self._runs.create(msgspec.structs.replace(run, started_at=run.started_at - self._earlier))
        return self._runs.create(run)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs, name)


def test_a_run_that_another_loop_began_is_trained_and_its_bundle_is_the_same() -> None:
    bundles = []
    for earlier in (timedelta(0), timedelta(hours=7)):
        with open_life() as life:
            noria.declare(life.workspace, life.recipe)
            context = life.loop.context
            runs = cast(RunStore, Quicker(context.runs, earlier=earlier))
            Reactor(replace(context, runs=runs), stages=WHEEL, ticks=TICKS).turn()

            assert life.kinds() == FIRST_VERSION
            bundles.append(life.all(e.BundleBuilt)[0].bundle)

    assert bundles[0] == bundles[1]


def test_a_failing_gate_refuses_the_first_version_and_says_why() -> None:
    with open_life(change=lambda recipe: replace(recipe, gates=(OUT_OF_REACH,))) as life:
        life.declare()

        assert life.kinds() == [*FIRST_VERSION[:7], "GatesFailed"]
        (failure,) = life.all(e.GatesFailed)[0].report.failures()
        assert failure.gate.name == "out of reach"
        assert "must surely be at least 0.999" in failure.evidence
        assert life.workspace.deployments.all() == []
        assert life.workspace.models.models() == []


def test_a_failing_gate_leaves_the_champion() -> None:
    with open_life(change=with_policy(**BY_HAND_ONLY)) as life:
        life.declare().live(range(NOW, NOW + 1))
        before = life.workspace.deployments.get("returns")

        strict = life.again(replace(life.recipe, gates=(OUT_OF_REACH,)))
        strict.request()

        assert life.kinds()[-1] == "GatesFailed"
        assert life.workspace.deployments.get("returns") == before
        assert [v.number for v in life.workspace.models.versions("returns")] == [1]
        assert whole(life)


def test_a_canary_that_is_better_is_promoted() -> None:
    with open_life(world=TURNED, change=with_policy(**BY_HAND_ONLY, recent_days=6)) as life:
        life.declare().live(range(NOW, 32))
        mark = life.workspace.ledger.head().seq

        life.request()
        started = life.workspace.deployments.get("returns")
        life.live(range(32, 36))

        assert life.kinds(after=mark)[: len(CHALLENGER)] == CHALLENGER
        assert [(v.name, v.number, v.weight) for v in started.variants] == [
            ("champion", 1, 0.5),
            ("challenger", 2, 0.5),
        ]
        promoted = life.all(e.RolloutPromoted)[-1]
        assert (promoted.number, promoted.previous) == (2, 1)
        assert promoted.verdict.difference.high < 0
        ended = life.workspace.deployments.get("returns")
        assert [(v.name, v.number, v.weight) for v in ended.variants] == [("champion", 2, 1.0)]
        assert life.all(e.AliasMoved)[-1].number == 2
        assert whole(life)


def test_a_challenger_that_is_bad_online_is_rolled_back() -> None:
    """It learns from a world that turns back on the day when it meets traffic: its gates could not know."""
    world = World(turns=24, turns_back=32)
    with open_life(world=world, change=with_policy(**BY_HAND_ONLY, recent_days=6)) as life:
        life.declare().live(range(NOW, 32))

        life.request()
        life.live(range(32, 36))

        (rolled_back,) = life.all(e.RolloutRolledBack)
        assert (rolled_back.number, rolled_back.champion) == (2, 1)
        assert rolled_back.verdict.difference.low > 0
        assert "RolloutPromoted" not in life.kinds()[len(FIRST_VERSION) :]
        ended = life.workspace.deployments.get("returns")
        assert [(v.name, v.number) for v in ended.variants] == [("champion", 1)]
        assert ended.rollout is not None
        assert ended.rollout.outcome == "rolled_back"
        assert life.all(e.AliasMoved)[-1].number == 1
        assert whole(life)


def test_a_decay_that_stands_is_tried_again_after_the_cool_down() -> None:
    """The shorter one, as long as the champion does not know the changed world and a challenger learnt too little of it."""
    with open_life(world=World(turns=30)) as life:
        life.declare().live(range(NOW, 47))

        policy = life.recipe.policy
        entries = life.workspace.ledger.read(limit=1000)
        requests = [x for x in entries if isinstance(x.event, e.RetrainRequested)]
        opened = {x.id: x.event.alert for x in entries if isinstance(x.event, e.AlertOpened)}
        of_answers = [alert for alert in opened.values() if alert.kind in ("decay", "concept_drift")]
        assert [x.event.trigger for x in requests] == ["declared", "decay", "decay", "decay"]
        days = [(b.at - a.at).days for a, b in pairwise(requests)]
        assert all(gap >= policy.change_cooldown_days for gap in days)
        assert days[-1] >= policy.cooldown_days
        assert [alert.kind for alert in of_answers] == ["concept_drift", "decay"], "each kind is told once"
        assert [opened[x.cause].kind for x in requests[1:] if x.cause] == ["concept_drift", "decay", "decay"]
        assert life.kinds().index("GatesFailed") < life.kinds().index("RolloutStarted")
        assert [p.number for p in life.all(e.RolloutPromoted)] == [1, 2]
        assert {r.alert_id for r in life.all(e.AlertResolved)} >= {alert.id for alert in of_answers}
        assert whole(life)


@pytest.mark.slow
def test_data_that_grew_enough_is_a_reason() -> None:
    with open_life(change=with_policy(growth=0.3, cooldown_days=1)) as life:
        life.declare().live(range(NOW, NOW + 9))

        asked = [x for x in life.all(e.RetrainRequested) if x.trigger == "growth"]
        assert len(asked) == 1
        assert asked[0].evidence["growth"] >= 0.3
        assert asked[0].evidence["labels_since_last"] >= 0.3 * life.all(e.RunFinished)[0].rows


@pytest.mark.slow
def test_a_spent_budget_is_told() -> None:
    with open_life(world=TURNED, change=with_policy(budget_per_year=1)) as life:
        life.declare().live(range(NOW, 36))

        suppressed = [x for x in life.all(e.RetrainSuppressed) if x.trigger == "decay"]
        assert len(life.all(e.RetrainRequested)) == 1
        assert len(suppressed) == 1
        assert suppressed[0].reason.startswith("the budget of 1 retrainings in 365 days is spent")


def test_a_version_waits_for_a_person() -> None:
    with open_life(change=lambda recipe: replace(recipe, approval="person")) as life:
        life.declare()
        life.loop.tick()
        assert life.kinds() == FIRST_VERSION[:9]
        assert life.workspace.deployments.all() == []

        word = e.ModelVersionApproved(deployment="returns", model="returns", number=1, by="Ada", reason="read the card")
        life.workspace.ledger.append([Draft(id=EventId("word"), at=life.clock.now(), actor="Ada", event=word)])
        life.loop.turn()

        assert life.kinds() == FIRST_VERSION
        assert life.workspace.deployments.get("returns").variants[0].number == 1


def test_code_of_a_project_that_raises_is_a_failed_run_and_the_loop_goes_on() -> None:
    with open_life(change=lambda recipe: replace(recipe, candidates={"plain": BROKEN})) as life:
        life.declare()

        assert life.kinds() == [*FIRST_VERSION[:4], "RunFailed"]
        (failed,) = life.all(e.RunFailed)
        assert "no licence for seed 0" in failed.error
        run = life.workspace.runs.get(failed.run_id)
        assert (run.status, "no licence" in run.error) == ("failed", True)

        life.again(replace(life.recipe, candidates={"plain": PLAIN})).request()

        assert life.kinds()[-1] == "AliasMoved"
        assert life.workspace.deployments.get("returns").variants[0].number == 1
        assert whole(life)


def test_an_exception_inside_a_stage_is_told_and_does_not_end_the_loop(capfd: pytest.CaptureFixture[str]) -> None:
    def fails(step: StepResult) -> None:
        raise Broken(f"no terminal for {step.step}")

    with open_life() as life:
        noria.declare(life.workspace, life.recipe)
        noria.Loop(life.workspace, [life.recipe], on_step=fails).turn()
        (failed,) = life.all(e.StageFailed) or life.all(e.RunFailed)
        assert "no terminal for prepare" in failed.error

        life.request()

        assert life.workspace.deployments.get("returns").variants[0].number == 1
        assert whole(life)


def test_a_stage_that_failed_does_not_count_as_a_training_under_way() -> None:
    """Else one failure would have ended all retraining of the deployment."""
    with open_life(change=with_policy(growth=0.05, cooldown_days=1)) as life:
        life.declare()
        life.again(replace(life.recipe, gates=())).request()
        assert life.kinds()[-1] == "StageFailed"

        life.live(range(NOW, NOW + 5))

        assert [x.trigger for x in life.all(e.RetrainRequested)][:3] == ["declared", "hand", "growth"]


def test_a_deployment_without_a_recipe_is_a_failed_stage() -> None:
    with open_life() as life:
        noria.declare(life.workspace, life.recipe)

        noria.Loop(life.workspace, []).turn()

        (failed,) = life.all(e.StageFailed)
        assert (failed.stage, failed.error_code) == ("train", "noria-2001")
        assert "noria.toml" in failed.error


@pytest.mark.slow
def test_few_held_back_rows_do_not_stop_the_timing_of_a_bundle() -> None:
    world = World(orders_a_day=40)
    latency = noria.Gate(name="fast enough", kind="latency", metric="p99_ms", limit=500.0, better="lower")
    with open_life(world=world, change=lambda recipe: replace(recipe, gates=(latency,))) as life:
        life.declare()

        (result,) = life.all(e.GatesPassed)[0].report.results
        assert result.measured.n >= 300
