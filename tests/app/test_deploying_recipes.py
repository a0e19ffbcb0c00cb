"""Recipes as they are declared: named by a file, given by code, and what the declaration says over both."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import noria
from noria.app.deploying import apply
from noria.app.deploying_acts import roll_back
from noria.app.deploying_recipes import Recipes
from noria.domain import events as e
from noria.domain.declaration import Declaration, DeclaredVariant
from noria.domain.ledger import Draft, Entry, caused
from noria.domain.policy import Policy
from noria.errors import NotFound
from noria.loop.champion import champion_since
from noria.loop.stages.decide import ask_for_the_first
from tests.app.deploying_world import MODEL, a_project, answering, kinds, later
from tests.loop.small import DEPLOYMENT, Life, open_life

FILE = """
import noria
from tests.app.deploying_world import MODEL, a_project, answering, kinds, later
from tests.loop.small import GOOD_ENOUGH, PLAIN, POLICY, SCHEMA

recipe = noria.Recipe(
    deployment="any",
    model="any",
    base="{base}",
    schema=SCHEMA,
    features=("shop", "price"),
    candidates={{"plain": PLAIN}},
    gates=(GOOD_ENOUGH,),
    policy=POLICY,
)
"""


def declared_by_file(life: Life) -> Declaration:
    file = life.workspace.home.parent / "pipeline.py"
    file.write_text(FILE.format(base=life.recipe.base), encoding="utf-8")
    return Declaration(model="orders", recipe="pipeline.py:recipe", policy=Policy(candidates=("plain",), growth=0))


def test_a_loop_that_knows_no_recipe_trains_by_the_declared_ones(tmp_path: Path) -> None:
    with open_life(tmp_path / ".noria") as life:
        loop = noria.Loop(life.workspace, [])
        apply(life.workspace, {"prod": declared_by_file(life)}, actor="ci")
        loop.tick()

        assert {d.name: d.model for d in life.workspace.deployments.all()} == {"prod": "orders"}
        assert len(life.all(e.RolloutPromoted)) == 1


def test_one_recipe_serves_a_staging_and_a_production(tmp_path: Path) -> None:
    with open_life(tmp_path / ".noria") as life:
        wanted = declared_by_file(life)
        staging = structs.replace(wanted, alias="staging")
        apply(life.workspace, {"staging": staging, "prod": wanted}, actor="ci")
        recipes = Recipes(life.workspace)
        recipes.refresh()

        assert {name: (r.deployment, r.model) for name, r in recipes.items()} == {
            "prod": ("prod", "orders"),
            "staging": ("staging", "orders"),
        }


def test_what_is_declared_holds_over_what_code_says_and_is_heard_while_the_loop_runs() -> None:
    with open_life() as life:
        recipes = Recipes(life.workspace, [life.recipe])
        recipes.refresh()
        assert recipes[DEPLOYMENT].policy == life.recipe.policy

        declared = Declaration(model=DEPLOYMENT, policy=Policy(cooldown_days=3), approval="person")
        apply(life.workspace, {DEPLOYMENT: declared}, actor="ci")
        assert recipes.refresh()
        assert recipes[DEPLOYMENT].policy.cooldown_days == 3
        assert recipes[DEPLOYMENT].approval == "person"
        assert recipes[DEPLOYMENT].canary == life.recipe.canary
        assert not recipes.refresh()


def test_a_recipe_that_cannot_be_read_leaves_the_others_alone(tmp_path: Path) -> None:
    with open_life(tmp_path / ".noria") as life:
        good, bad = declared_by_file(life), Declaration(model="others", recipe="missing.py:recipe")
        recipes = Recipes(life.workspace)
        apply(life.workspace, {"good": good, "bad": bad}, actor="ci")
        recipes.refresh()

        assert list(recipes) == ["good"]
        with pytest.raises(NotFound, match=r"missing\.py"):
            recipes["bad"]


def test_nothing_is_trained_for_a_declaration_without_a_recipe() -> None:
    with open_life() as life:
        apply(life.workspace, {"elsewhere": Declaration(model="orders")}, actor="ci")
        life.loop.tick()

        assert not life.all(e.RetrainRequested)
        assert not life.all(e.StageFailed)


def test_a_declaration_that_changes_before_the_first_version_asks_for_no_second_training() -> None:
    with open_life() as life:
        for days in (3, 4):
            wanted = Declaration(model=DEPLOYMENT, policy=Policy(cooldown_days=days))
            apply(life.workspace, {DEPLOYMENT: wanted}, actor="ci")
        ledger, loop = life.workspace.ledger, life.loop
        asked = [event for entry in ledger.read() for event in ask(entry, loop, life)]

        assert [type(event).__name__ for event in asked] == ["RetrainRequested"]


def ask(entry: Entry, loop: noria.Loop, life: Life) -> list[e.AnyEvent]:
    """The stage alone, and what it says written down: no training."""
    if not isinstance(entry.event, e.DeploymentDeclared):
        return []
    events = list(ask_for_the_first(entry, loop.context))
    for event in events:
        draft = Draft(id=caused(entry, "ask"), at=life.clock.now(), actor="noria", event=event, cause=entry.id)
        life.workspace.ledger.append([draft])
    return events


def test_a_version_is_champion_since_it_last_became_so() -> None:
    with a_project() as workspace:
        began = {}
        for version in ("3", "5"):
            apply(workspace, {"prod": versions(version)}, actor="ci")
            began[version] = workspace.clock.now()
            later(workspace)
        shadow = DeclaredVariant(name="next", version="6", shadow=True)
        more = structs.replace(versions("5"), variants=(*versions("5").variants, shadow))
        apply(workspace, {"prod": more}, actor="ci")
        deployment = workspace.deployments.get("prod")
        assert champion_since(workspace.ledger, deployment, 5) == began["5"]

        later(workspace)
        back = roll_back(workspace, "prod", to="3", reason="worse", actor="ada")
        assert champion_since(workspace.ledger, back, 3) == workspace.clock.now()


def test_what_people_try_without_a_recipe_is_judged_and_the_wheel_is_left_alone() -> None:
    with a_project() as workspace:
        apply(workspace, {"prod": versions("3")}, actor="ci")
        apply(workspace, {"prod": versions("5", canary=noria.CanaryPlan(weight=0.1, maximum_days=2))}, actor="ci")
        loop = noria.Loop(workspace, [])
        assert loop.is_needed()
        later(workspace, hours=49)
        loop.stroke()

        rollout = workspace.deployments.rollouts("prod")[-1]
        assert rollout.outcome == "rolled_back"
        assert answering(workspace) == {"champion": (3, 1.0)}
        assert kinds(workspace).count("RolloutRolledBack") == 1
        assert workspace.ledger.cursor("wheel").seq == 0


def versions(champion: str, **more: Any) -> Declaration:
    return Declaration(model=MODEL, variants=(DeclaredVariant(name="champion", version=champion),), **more)
